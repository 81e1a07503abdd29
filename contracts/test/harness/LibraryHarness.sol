// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Statement} from "../../src/interfaces/IVerification.sol";
import {ILibraryHarness} from "./ILibraryHarness.sol";
import {Bits} from "../../src/libraries/Bits.sol";
import {Blobs} from "../../src/libraries/Blobs.sol";
import {Epochs} from "../../src/libraries/Epochs.sol";
import {MaskKeys} from "../../src/libraries/MaskKeys.sol";
import {MultiKrum} from "../../src/libraries/MultiKrum.sol";
import {PointTree} from "../../src/libraries/PointTree.sol";
import {Openings} from "../../src/libraries/Openings.sol";
import {Transcript} from "../../src/libraries/Transcript.sol";
import {Fr, frFromHash, toFr} from "../../src/types/Fr.sol";
import {G1, G1_BYTES, POINT_BYTES, TERM_BYTES, pointAt, setTerm, tryMsm} from "../../src/types/G1.sol";

/// @notice Opens the libraries to tests, those in Python included.
contract LibraryHarness is ILibraryHarness {
    function fr(uint256 value) external pure returns (uint256) {
        return Fr.unwrap(toFr(value));
    }

    function frOperations(
        uint256 x,
        uint256 y
    ) external pure returns (uint256 sum, uint256 difference, uint256 product, bool equal) {
        (Fr a, Fr b) = (toFr(x), toFr(y));
        return (Fr.unwrap(a + b), Fr.unwrap(a - b), Fr.unwrap(a * b), a == b);
    }

    function frPower(uint256 x, uint256 exponent) external pure returns (uint256) {
        return Fr.unwrap(toFr(x).pow(exponent));
    }

    function challenge(bytes32 digest) external pure returns (uint256) {
        return Fr.unwrap(frFromHash(digest));
    }

    /// @dev Sum of all points of a string, at least two.
    function addAll(bytes calldata points) external view returns (bytes memory result) {
        result = new bytes(G1_BYTES);
        pointAt(result, 0).setSum(points, 0, POINT_BYTES, points.length / POINT_BYTES);
    }

    function compress(bytes memory point) external pure returns (bytes memory result) {
        result = new bytes(64);
        uint256 target;
        assembly ("memory-safe") {
            target := add(result, 0x20)
        }
        pointAt(point, 0).compressInto(target);
        assembly ("memory-safe") {
            mstore(result, 48)
        }
    }

    function msm(bytes memory points, uint256[] calldata scalars) external view returns (bool success, bytes memory result) {
        bytes memory terms = new bytes(scalars.length * TERM_BYTES);
        for (uint256 i = 0; i < scalars.length; ++i) setTerm(terms, i, pointAt(points, i * G1_BYTES), toFr(scalars[i]));
        result = new bytes(G1_BYTES);
        success = tryMsm(terms, pointAt(result, 0));
    }

    function opens(bytes memory commitment, uint256 point, uint256 value, bytes memory proof) external view returns (bool) {
        return Openings.holdsWithin(200_000, pointAt(commitment, 0), toFr(point), toFr(value), proof);
    }

    /// @dev Of a point as it travels.
    function versionedHash(bytes calldata commitment) external view returns (bytes32) {
        G1 point = pointAt(new bytes(G1_BYTES), 0);
        point.load(commitment, 0);
        return Blobs.versionedHash(point);
    }

    /// @dev The three digests of a transcript; points and values are strings of 96 and 32 bytes each.
    function transcript(
        Statement calldata statement,
        bytes calldata points,
        bytes calldata values,
        bytes calldata commitments,
        bytes calldata evaluations
    ) external pure returns (bytes32 rho, bytes32 z, bytes32 gamma) {
        bytes memory padded = new bytes(points.length / POINT_BYTES * G1_BYTES);
        for (uint256 i = 0; i < points.length / POINT_BYTES; ++i) pointAt(padded, i * G1_BYTES).load(points, i * POINT_BYTES);
        rho = Transcript.begin(statement, keccak256(padded), keccak256(values));
        z = Transcript.commit(rho, commitments);
        gamma = Transcript.evaluate(z, evaluations);
    }

    function root(bytes calldata points) external pure returns (bytes32) {
        return PointTree.root(points, 0, points.length / POINT_BYTES);
    }

    function mostUnpaid(uint256 groups, uint256 faultyGroups) external pure returns (uint256) {
        return MultiKrum.mostUnpaid(groups, faultyGroups);
    }

    function lcm(uint256[] memory sizes) external pure returns (uint256) {
        return MultiKrum.lcm(sizes);
    }

    function eligible(uint256[] memory distances, uint256 groups, uint256 most) external pure returns (uint256) {
        return MultiKrum.eligible(distances, groups, most);
    }

    function scores(uint256[] memory distances, uint256[] memory sizes, uint256 unpaid) external pure returns (uint256[] memory) {
        return MultiKrum.scores(distances, sizes, unpaid);
    }

    function keep(uint256[] memory score, uint256 set, uint256 most, uint256 outlierPercent) external pure returns (uint256) {
        return MultiKrum.keep(score, set, most, outlierPercent);
    }

    function isUsable(bytes32 maskKey) external pure returns (bool) {
        return MaskKeys.isUsable(maskKey);
    }

    function seatsOf(bytes memory order, uint256 groupSize, uint256 group) external pure returns (uint256) {
        return Epochs.seatsOf(order, groupSize, group);
    }

    function count(uint256 set) external pure returns (uint256) {
        return Bits.count(set);
    }

    function least(uint256 set) external pure returns (uint256) {
        return Bits.least(set);
    }

    function pick(uint256 set, uint256 places) external pure returns (uint256) {
        return Bits.pick(set, places);
    }

    function placesOf(uint256 set, uint256 subset) external pure returns (uint256) {
        return Bits.placesOf(set, subset);
    }
}
