// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification, Statement} from "../interfaces/IVerification.sol";
import {Fr, toFr} from "../types/Fr.sol";
import {G1_BYTES} from "../types/G1.sol";
import {Bits} from "./Bits.sol";
import {MultiKrum} from "./MultiKrum.sol";
import {Openings} from "./Openings.sol";

/// @notice Where the parts of a settlement begin, and what their number follows from.
/// @param groups Number of groups taking part.
/// @param exclusions Number of exclusions; they begin at `exclusionsAt`.
struct Parts {
    uint256 groups;
    uint256 exclusions;
    uint256 exclusionsAt;
    uint256 valuesAt;
    uint256 commitmentsAt;
    uint256 evaluationsAt;
    uint256 proofsAt;
}

/// @title Layout
/// @notice Reads the flat string that a settlement is; docs/protocol.md section 7.
library Layout {
    using Bits for uint256;

    uint256 internal constant EXCLUSION_BYTES = 1 + 2 + 2 + 32 + Openings.PROOF_BYTES;
    uint256 internal constant COMMITMENTS_BYTES = 2 * G1_BYTES;
    uint256 private constant _DIGEST_BYTES = 32;

    /// @notice Divide a settlement, refused unless its length is exactly what the statement and its own number of exclusions demand.
    /// @dev Updates of no polynomial and groups of one have nothing to prove: refused, so that no part is ever empty.
    function divide(Statement calldata statement, bytes calldata settlement) internal pure returns (Parts memory parts) {
        uint256 roster = statement.sizes.length;
        if (statement.polynomials == 0) revert IVerification.VerificationWrongLength(0, 1);
        uint256 cursor = 0;
        for (uint256 position = 0; position < roster; ++position) {
            if (statement.sizes[position] < 2) revert IVerification.VerificationWrongLength(statement.sizes[position], 2);
            cursor += statement.sizes[position] * memberBytes(statement, position);
        }
        if (settlement.length <= cursor) revert IVerification.VerificationWrongLength(settlement.length, cursor + 1);
        parts.exclusions = uint8(settlement[cursor]);
        parts.exclusionsAt = cursor + 1;
        parts.valuesAt = parts.exclusionsAt + parts.exclusions * EXCLUSION_BYTES;

        uint256 judged = (Bits.below(roster) & ~statement.outside).count();
        // More exclusions than groups leave nothing; reading them will refuse one.
        parts.groups = judged > parts.exclusions ? judged - parts.exclusions : 0;
        uint256 end = parts.valuesAt;
        if (parts.groups != 0) {
            parts.commitmentsAt = parts.valuesAt + 32 * MultiKrum.pairs(parts.groups);
            parts.evaluationsAt = parts.commitmentsAt + COMMITMENTS_BYTES;
            parts.proofsAt = parts.evaluationsAt + 32 * (parts.groups * statement.polynomials + 2);
            end = parts.proofsAt + 2 * Openings.PROOF_BYTES;
        }
        if (settlement.length != end) revert IVerification.VerificationWrongLength(settlement.length, end);
    }

    /// @notice Bytes that a member of a group brings: its points, or the digest alone if the group is outside.
    function memberBytes(Statement calldata statement, uint256 position) internal pure returns (uint256) {
        return statement.outside.has(position) ? _DIGEST_BYTES : G1_BYTES * statement.polynomials;
    }

    /// @notice The canonical field element at an offset; refused otherwise.
    function elementAt(bytes calldata settlement, uint256 offset) internal pure returns (Fr) {
        return toFr(uint256(bytes32(settlement[offset:offset + 32])));
    }

    /// @notice Keccak-256 of all digests, members in order; `settlement` has been divided.
    function rosterHash(Statement calldata statement, bytes calldata settlement) internal pure returns (bytes32 hash) {
        uint256 members = 0;
        for (uint256 position = 0; position < statement.sizes.length; ++position) members += statement.sizes[position];
        bytes memory digests = new bytes(members * _DIGEST_BYTES);
        uint256 target;
        assembly ("memory-safe") {
            target := add(digests, 0x20)
        }
        uint256 start = 0;
        for (uint256 position = 0; position < statement.sizes.length; ++position) {
            uint256 size = statement.sizes[position];
            uint256 length = memberBytes(statement, position);
            _digest(settlement, start, length, size, statement.outside.has(position), target);
            start += size * length;
            target += size * _DIGEST_BYTES;
        }
        return keccak256(digests);
    }

    /// @dev Write the digests of `count` members, `length` bytes each from `start` on: their hashes, or what they are if `given`.
    function _digest(bytes calldata settlement, uint256 start, uint256 length, uint256 count, bool given, uint256 target) private pure {
        assembly ("memory-safe") {
            let source := add(settlement.offset, start)
            for { let end := add(source, mul(count, length)) } lt(source, end) { source := add(source, length) } {
                let free := mload(0x40)
                calldatacopy(free, source, length)
                switch given
                case 0 { mstore(target, keccak256(free, length)) }
                default { mstore(target, mload(free)) }
                target := add(target, 0x20)
            }
        }
    }
}
