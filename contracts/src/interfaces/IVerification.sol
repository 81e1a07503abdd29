// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What a market asks a verification to check.
/// @param context Hash that binds chain, market, epoch seed, epoch, round and task.
/// @param rosterHash Keccak-256 of the digests of all members, groups ascending, seats ascending.
/// @param sizes Members of each group of the roster, in roster order.
/// @param outside Bitmap over roster positions of groups that do not take part (waived or void).
/// @param polynomials Number B of polynomials of an update.
/// @param updateBits Bits b of a quantised weight.
struct Statement {
    bytes32 context;
    bytes32 rosterHash;
    uint256[] sizes;
    uint256 outside;
    uint256 polynomials;
    uint256 updateBits;
}

/// @notice What a verification answers.
/// @param excluded Bitmap over roster positions of groups whose sum is proven out of range.
/// @param distances Squared distances of all pairs (i, k), 0 <= i < k <= G', lexicographic; 0 is the zero update, 1 .. G' the groups
/// neither outside nor excluded in roster order; on the common scale of the least common multiple of their sizes.
struct Verdict {
    uint256 excluded;
    uint256[] distances;
}

/// @title IVerification
/// @notice Decides from commitments and a settlement what the squared distances between the groups' means are.
/// @dev Reverts for a malformed settlement and for a wrong one alike: its only caller is a market, for which neither may pass.
interface IVerification {
    /// @notice A length differs from what the statement demands.
    error VerificationWrongLength(uint256 actual, uint256 expected);
    /// @notice A scalar is not below the field's order.
    error VerificationNotCanonical(uint256 value);
    /// @notice A point is off the curve, outside the subgroup, or not encoded as it must be.
    error VerificationBadPoint();
    /// @notice The settlement's digests are not the roster's.
    error VerificationWrongRoster(bytes32 actual, bytes32 expected);
    /// @notice An exclusion names a position out of order or outside, a place that does not exist, or a value in range.
    error VerificationWrongExclusion(uint256 position);
    /// @notice An opening proof fails; 0 is the fold, 1 the constant term, 2 + i the i-th exclusion.
    error VerificationWrongOpening(uint256 which);
    /// @notice The evaluations do not satisfy R(z) = q(z) (z^N - 1) + f(z).
    error VerificationWrongSumcheck();
    /// @notice The chain lacks a precompile that the verification needs.
    error VerificationUnsupportedChain(address precompile);

    /// @notice Check a settlement against a statement.
    /// @param statement What must hold.
    /// @param settlement Verification-specific bytes.
    /// @return verdict Excluded groups and distances; reverts if anything fails.
    function verify(Statement calldata statement, bytes calldata settlement) external returns (Verdict memory verdict);

    /// @notice Number of polynomials of an update of `weights` weights.
    /// @param weights Number of weights.
    /// @return polynomials B, as the verification packs them.
    function polynomialsFor(uint256 weights) external view returns (uint256 polynomials);

    /// @notice Whether a delivery's points are canonical, on the curve and in the subgroup, the check that a settlement will apply.
    /// @param points Commitments in a row, 128 bytes each.
    /// @param polynomials Expected number of commitments.
    /// @return good False for a bad point; reverts for a wrong length.
    function checkPoints(bytes calldata points, uint256 polynomials) external view returns (bool good);
}
