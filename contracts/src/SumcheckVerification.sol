// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification, Statement, Verdict} from "./interfaces/IVerification.sol";
import {ChainTest} from "./libraries/ChainTest.sol";
import {GroupSums} from "./libraries/GroupSums.sol";
import {Layout, Parts} from "./libraries/Layout.sol";
import {MultiKrum} from "./libraries/MultiKrum.sol";
import {Openings} from "./libraries/Openings.sol";
import {Sumcheck} from "./libraries/Sumcheck.sol";
import {TermsBounds} from "./libraries/TermsBounds.sol";
import {Transcript} from "./libraries/Transcript.sol";
import {FR_ONE, FR_ZERO, Fr, peek, toFr, toFrs} from "./types/Fr.sol";
import {G1, G1_BYTES, POINT_BYTES, TERM_BYTES, pointAt, setTerm, tryMsm} from "./types/G1.sol";

/// @title SumcheckVerification
/// @notice Exact squared distances from commitments alone: one univariate sumcheck and two KZG openings, whatever the number of weights.
/// @dev Nothing is stored, nobody owns it, and any number of markets may use one.
contract SumcheckVerification is IVerification {
    /// @dev What the checks after the transcript need.
    struct Proof {
        Fr[] values; // V of every pair
        Fr[] evaluations; // y_{g,k}, then y_q, y_f
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
        Fr constantTerm = _checkSumcheck(parts.sizes, polynomials, proof);
        _checkOpenings(settlement, parts, proof, sums, constantTerm);

        verdict.distances = Sumcheck.distances(proof.values);
    }

    /// @inheritdoc IVerification
    function polynomialsFor(uint256 weights) external pure returns (uint256 polynomials) {
        return TermsBounds.polynomialsFor(weights);
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
        bytes calldata evaluations = settlement[parts.evaluationsAt:parts.proofsAt];
        proof.values = toFrs(values);
        proof.evaluations = toFrs(evaluations);
        bytes32 digest = Transcript.begin(statement, sumsHash, keccak256(values));
        proof.rho = Transcript.challenge(digest);
        digest = Transcript.commit(digest, commitments);
        proof.z = Transcript.challenge(digest);
        digest = Transcript.evaluate(digest, evaluations);
        proof.gamma = Transcript.challenge(digest);
    }

    /// @dev Check (i). The row of the zero update stays 0.
    /// @return constantTerm What C_f must open to at 0.
    function _checkSumcheck(
        uint256[] memory sizes,
        uint256 polynomials,
        Proof memory proof
    ) private pure returns (Fr constantTerm) {
        uint256 scale = MultiKrum.lcm(sizes);
        Fr[] memory rows = new Fr[]((sizes.length + 1) * polynomials);
        uint256 next = polynomials;
        for (uint256 group = 0; group < sizes.length; ++group) {
            Fr factor = toFr(scale / sizes[group]);
            // Evaluations are as many as the rows after the first, and two.
            unchecked {
                for (uint256 end = next + polynomials; next < end; ++next) {
                    rows[next] = factor * peek(proof.evaluations, next - polynomials);
                }
            }
        }
        Fr combined;
        (combined, constantTerm) = Sumcheck.combine(rows, polynomials, proof.values, proof.rho);
        uint256 last = sizes.length * polynomials;
        if (!Sumcheck.holds(combined, proof.z, proof.evaluations[last], proof.evaluations[last + 1])) {
            revert VerificationWrongSumcheck();
        }
    }

    /// @dev Checks (ii) and (iii).
    function _checkOpenings(
        bytes calldata settlement,
        Parts memory parts,
        Proof memory proof,
        bytes memory sums,
        Fr constantTerm
    ) private view {
        bytes memory commitments = new bytes(2 * G1_BYTES);
        pointAt(commitments, 0).load(settlement, parts.commitmentsAt);
        pointAt(commitments, G1_BYTES).load(settlement, parts.commitmentsAt + POINT_BYTES);
        (G1 fold, Fr folded) = _fold(proof, sums, commitments);
        bytes calldata atZ = settlement[parts.proofsAt:parts.proofsAt + Openings.PROOF_BYTES];
        bytes calldata atZero = settlement[parts.proofsAt + Openings.PROOF_BYTES:];
        if (!Openings.holds(pointAt(commitments, G1_BYTES), FR_ZERO, constantTerm, atZero)) revert VerificationWrongOpening(1);
        if (!Openings.holds(fold, proof.z, folded, atZ)) revert VerificationWrongOpening(0);
    }

    /// @dev sum of gamma^i Q_i and of gamma^i y_i. The multi-exponentiation refuses points outside the subgroup.
    function _fold(Proof memory proof, bytes memory sums, bytes memory commitments) private view returns (G1 fold, Fr folded) {
        uint256 length = proof.evaluations.length;
        bytes memory terms = new bytes(length * TERM_BYTES);
        Fr power = FR_ONE;
        for (uint256 i = 0; i < length; ++i) {
            // As many sums and commitments as evaluations.
            unchecked {
                uint256 offset = i * G1_BYTES;
                G1 point = offset < sums.length ? pointAt(sums, offset) : pointAt(commitments, offset - sums.length);
                setTerm(terms, i, point, power);
            }
            folded = folded + power * peek(proof.evaluations, i);
            power = power * proof.gamma;
        }
        fold = pointAt(new bytes(G1_BYTES), 0);
        if (!tryMsm(terms, fold)) revert VerificationBadPoint();
    }
}
