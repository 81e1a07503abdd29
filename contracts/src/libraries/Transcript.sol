// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Statement} from "../interfaces/IVerification.sol";
import {Fr, frFromHash} from "../types/Fr.sol";

/// @title Transcript
/// @notice The challenges of a settlement proof: three hashes over fixed-width fields, each over the one before.
library Transcript {
    bytes32 private constant _TAG_RHO = keccak256("OmniLytics/v2/rho");
    bytes32 private constant _TAG_Z = keccak256("OmniLytics/v2/z");
    bytes32 private constant _TAG_GAMMA = keccak256("OmniLytics/v2/gamma");

    /// @notice d0, of everything that is claimed.
    /// @param sums Hash of the summed points of the groups taking part.
    /// @param values Hash of V of all pairs.
    function begin(Statement calldata statement, bytes32 sums, bytes32 values) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                _TAG_RHO,
                statement.context,
                statement.rosterHash,
                statement.polynomials,
                statement.outside,
                keccak256(abi.encodePacked(statement.sizes)),
                sums,
                values
            )
        );
    }

    /// @notice d1, of the commitments C_q, C_f and C_e, 288 bytes together.
    function commit(bytes32 digest, bytes calldata points) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(_TAG_Z, digest, points));
    }

    /// @notice d2, of all evaluations.
    function evaluate(bytes32 digest, bytes calldata values) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(_TAG_GAMMA, digest, values));
    }

    /// @notice The challenge that a digest stands for.
    function challenge(bytes32 digest) internal pure returns (Fr) {
        return frFromHash(digest);
    }
}
