// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Terms} from "./MarketTypes.sol";

/// @notice What a market asks a verification to check.
/// @param context Hash that binds chain, market, epoch seed, epoch, round and task.
/// @param rosterHash Hash of the roster's groups and of the digests of all its members.
/// @param sizes Members of each group of the roster, in roster order.
/// @param outside Bitmap over roster positions of groups that do not take part (waived or void).
/// @param polynomials Number P of polynomials proven for each member: B of an exact market, 1 of a projected one.
struct Statement {
    bytes32 context;
    bytes32 rosterHash;
    uint256[] sizes;
    uint256 outside;
    uint256 polynomials;
}

/// @notice What a verification answers.
/// @param digests Digest of each member of the roster, groups ascending, seats ascending: of its points or its vector, or as the settlement
/// gives it if the group is outside.
/// @param distances Squared distances of all pairs (i, k), 0 <= i < k <= G', lexicographic; 0 is the zero update, 1 .. G' the groups
/// not outside in roster order; on the common scale of the least common multiple of their sizes.
struct Verdict {
    bytes32[] digests;
    uint256[] distances;
}

/// @title IVerification
/// @notice Finds the squared distances between the groups' means from a settlement.
/// @dev Reverts for a malformed settlement and for a wrong one alike: its only caller is a market, for which neither may pass.
interface IVerification {
    /// @notice A length differs from what the statement demands.
    error VerificationWrongLength(uint256 actual, uint256 expected);
    /// @notice A scalar is not below the field's order.
    error VerificationNotCanonical(uint256 value);
    /// @notice A point is off the curve, outside the subgroup, or not encoded as it must be.
    error VerificationBadPoint();
    /// @notice The commitments do not open to what the distances and the evaluations say.
    error VerificationWrongOpening();
    /// @notice The chain lacks a precompile that the verification needs.
    error VerificationUnsupportedChain(address precompile);

    /// @notice Check a settlement against a statement.
    /// @param statement What must hold.
    /// @param settlement Verification-specific bytes.
    /// @return verdict Digests and distances; reverts if anything fails. Whether the digests are what members signed is the market's business.
    function verify(Statement calldata statement, bytes calldata settlement) external returns (Verdict memory verdict);

    /// @notice Upper bound of the bytes of a transaction that settles a round of a market with these terms.
    /// @param terms Within all bounds that do not depend on the verification; refused if it cannot verify such updates.
    /// @return most Bytes.
    function settlementBytes(Terms calldata terms) external view returns (uint256 most);

    /// @notice Whether a delivery's points are canonical, on the curve and in the subgroup, the check that a settlement will apply.
    /// @param points Commitments in a row, 96 bytes each; none if the verification knows none.
    /// @param polynomials Expected number of commitments.
    /// @return good False for a bad point; reverts for a wrong length.
    function checkPoints(bytes calldata points, uint256 polynomials) external view returns (bool good);
}
