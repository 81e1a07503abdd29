// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification, Statement, Verdict} from "./interfaces/IVerification.sol";
import {Terms} from "./interfaces/MarketTypes.sol";
import {ChainTest} from "./libraries/ChainTest.sol";
import {GroupSums} from "./libraries/GroupSums.sol";
import {Layout, Parts} from "./libraries/Layout.sol";
import {MultiKrum} from "./libraries/MultiKrum.sol";
import {Openings} from "./libraries/Openings.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {Sumcheck} from "./libraries/Sumcheck.sol";
import {TermsBounds} from "./libraries/TermsBounds.sol";
import {Transcript} from "./libraries/Transcript.sol";
import {FR_ONE, FR_ZERO, Fr, peek, toFr, toFrs} from "./types/Fr.sol";
import {G1, G1_BYTES, POINT_BYTES, TERM_BYTES, pointAt, setTerm, tryMsm} from "./types/G1.sol";

/// @title SumcheckVerification
/// @notice Exact squared distances from commitments alone: one univariate sumcheck and one KZG opening, whatever the number of weights.
/// @dev Nothing is stored, nobody owns it, and any number of markets may use one.
contract SumcheckVerification is IVerification {
    /// @dev What the check after the transcript needs.
    struct Proof {
        Fr[] values; // V of every pair
        Fr[] evaluations; // y_{g,k}
        Fr rho;
        Fr z;
        Fr gamma;
    }

    constructor() {
        ChainTest.run();
    }

    /// @inheritdoc IVerification
    function verify(Statement calldata statement, bytes calldata settlement) external view returns (Verdict memory verdict) {
        Parts memory parts = Layout.divide(statement, settlement);
        verdict.digests = Layout.digests(statement, settlement, parts.members);
        if (parts.sizes.length == 0) return verdict;
        uint256 polynomials = statement.polynomials;
        bytes memory sums = GroupSums.all(parts, polynomials, settlement);
        Proof memory proof = _read(statement, settlement, parts, keccak256(sums));
        (Fr combined, Fr constantTerm) = _combine(parts.sizes, polynomials, proof);
        _checkOpening(settlement, parts, proof, sums, combined, constantTerm);

        verdict.distances = Sumcheck.distances(proof.values);
    }

    /// @inheritdoc IVerification
    /// @dev Members' points and signatures, distances and evaluations of the most groups, and 2048 bytes for the rest.
    function settlementBytes(Terms calldata terms) external pure returns (uint256 most) {
        uint256 groups = terms.mostOwners / terms.groupSize;
        uint256 polynomials = TermsBounds.polynomialsProven(terms);
        uint256 members = (POINT_BYTES * polynomials + Signatures.SIGNATURE_BYTES) * terms.mostOwners;
        // slither-disable-next-line divide-before-multiply
        return members + 16 * groups * (groups + 1) + 32 * groups * polynomials + 2048;
    }

    /// @inheritdoc IVerification
    function checkPoints(bytes calldata points, uint256 polynomials) external view returns (bool good) {
        uint256 expected = polynomials * POINT_BYTES;
        if (points.length != expected) revert VerificationWrongLength(points.length, expected);
        G1 point = pointAt(new bytes(G1_BYTES), 0);
        bytes memory terms = new bytes(polynomials * TERM_BYTES);
        for (uint256 k = 0; k < polynomials; ++k) {
            point.load(points, k * POINT_BYTES);
            setTerm(terms, k, point, FR_ONE);
        }
        return tryMsm(terms, pointAt(new bytes(G1_BYTES), 0));
    }

    /// @dev The scalars of the proof, canonical or refused, and the challenges that they and the points give.
    function _read(
        Statement calldata statement,
        bytes calldata settlement,
        Parts memory parts,
        bytes32 sumsHash
    ) private pure returns (Proof memory proof) {
        bytes calldata values = settlement[parts.valuesAt:parts.commitmentsAt];
        bytes calldata commitments = settlement[parts.commitmentsAt:parts.evaluationsAt];
        bytes calldata evaluations = settlement[parts.evaluationsAt:parts.proofAt];
        proof.values = toFrs(values);
        proof.evaluations = toFrs(evaluations);
        bytes32 digest = Transcript.begin(statement, sumsHash, keccak256(values));
        proof.rho = Transcript.challenge(digest);
        digest = Transcript.commit(digest, commitments);
        proof.z = Transcript.challenge(digest);
        digest = Transcript.evaluate(digest, evaluations);
        proof.gamma = Transcript.challenge(digest);
    }

    /// @dev What the commitments must open to at z, by the evaluations and by the distances. The row of the zero update stays 0.
    /// @return combined R(z).
    /// @return constantTerm f(0).
    function _combine(
        uint256[] memory sizes,
        uint256 polynomials,
        Proof memory proof
    ) private pure returns (Fr combined, Fr constantTerm) {
        uint256 scale = MultiKrum.lcm(sizes);
        Fr[] memory rows = new Fr[]((sizes.length + 1) * polynomials);
        uint256 next = polynomials;
        for (uint256 group = 0; group < sizes.length; ++group) {
            Fr factor = toFr(scale / sizes[group]);
            // Evaluations are as many as the rows after the first.
            unchecked {
                for (uint256 end = next + polynomials; next < end; ++next) {
                    rows[next] = factor * peek(proof.evaluations, next - polynomials);
                }
            }
        }
        return Sumcheck.combine(rows, polynomials, proof.values, proof.rho);
    }

    /// @dev The fold opens at z: sum of gamma^i P_i to that of gamma^i y_i, and two commitments more, in which z stands for X already:
    /// (z^N - 1) C_q + C_f to R(z), and C_f - z C_e to f(0). The multi-exponentiation refuses points outside the subgroup.
    function _checkOpening(
        bytes calldata settlement,
        Parts memory parts,
        Proof memory proof,
        bytes memory sums,
        Fr combined,
        Fr constantTerm
    ) private view {
        uint256 length = proof.evaluations.length;
        bytes memory terms = new bytes((length + 3) * TERM_BYTES);
        (Fr power, Fr folded) = (FR_ONE, FR_ZERO);
        for (uint256 i = 0; i < length; ++i) {
            // As many sums as evaluations.
            unchecked {
                setTerm(terms, i, pointAt(sums, i * G1_BYTES), power);
            }
            folded = folded + power * peek(proof.evaluations, i);
            power = power * proof.gamma;
        }
        Fr next = power * proof.gamma;
        folded = folded + power * combined + next * constantTerm;
        Fr[3] memory factors = [power * (proof.z.pow(4096) - FR_ONE), power + next, FR_ZERO - next * proof.z];
        G1 point = pointAt(new bytes(G1_BYTES), 0);
        for (uint256 i = 0; i < 3; ++i) {
            point.load(settlement, parts.commitmentsAt + i * POINT_BYTES);
            setTerm(terms, length + i, point, factors[i]);
        }
        if (!tryMsm(terms, point)) revert VerificationBadPoint();
        if (!Openings.holds(point, proof.z, folded, settlement[parts.proofAt:])) revert VerificationWrongOpening();
    }
}
