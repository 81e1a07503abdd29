// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification, Statement} from "../interfaces/IVerification.sol";
import {POINT_BYTES} from "../types/G1.sol";
import {Bits} from "./Bits.sol";
import {MultiKrum} from "./MultiKrum.sol";
import {Openings} from "./Openings.sol";
import {PointTree} from "./PointTree.sol";

/// @notice The groups that take part in a settlement, and where its parts begin.
/// @param sizes Members of each group taking part.
/// @param starts Where the points of each group taking part begin.
/// @param members Members of all groups of the roster.
struct Parts {
    uint256[] sizes;
    uint256[] starts;
    uint256 members;
    uint256 valuesAt;
    uint256 commitmentsAt;
    uint256 evaluationsAt;
    uint256 proofAt;
}

/// @title Layout
/// @notice Divides the flat string that a settlement is; docs/specification/protocol.md section 7.
library Layout {
    using Bits for uint256;

    uint256 private constant _DIGEST_BYTES = 32;

    /// @notice Divide a settlement, refused unless its length is exactly what the statement demands.
    /// @dev Updates of no polynomial and groups of one have nothing to prove: refused, so that no part is ever empty.
    function divide(Statement calldata statement, bytes calldata settlement) internal pure returns (Parts memory parts) {
        uint256 polynomials = statement.polynomials;
        if (polynomials == 0) revert IVerification.VerificationWrongLength(0, 1);
        uint256 groups = (Bits.below(statement.sizes.length) & ~statement.outside).count();
        (parts.sizes, parts.starts) = (new uint256[](groups), new uint256[](groups));
        uint256 next = 0;
        uint256 end = 0;
        for (uint256 position = 0; position < statement.sizes.length; ++position) {
            uint256 size = statement.sizes[position];
            if (size < 2) revert IVerification.VerificationWrongLength(size, 2);
            parts.members += size;
            if (!statement.outside.has(position)) (parts.sizes[next], parts.starts[next++]) = (size, end);
            end += size * memberBytes(statement, position);
        }
        parts.valuesAt = end;
        if (groups != 0) {
            parts.commitmentsAt = end + 32 * MultiKrum.pairs(groups);
            parts.evaluationsAt = parts.commitmentsAt + 3 * POINT_BYTES;
            parts.proofAt = parts.evaluationsAt + 32 * groups * polynomials;
            end = parts.proofAt + Openings.PROOF_BYTES;
        }
        if (settlement.length != end) revert IVerification.VerificationWrongLength(settlement.length, end);
    }

    /// @notice Bytes that a member of a group brings: its points, or the digest alone if the group is outside.
    function memberBytes(Statement calldata statement, uint256 position) internal pure returns (uint256) {
        return statement.outside.has(position) ? _DIGEST_BYTES : POINT_BYTES * statement.polynomials;
    }

    /// @notice Digest of each member: of its points, or as it is given if the group is outside.
    /// @dev The settlement has been divided.
    function digests(Statement calldata statement, bytes calldata settlement, uint256 members) internal pure returns (bytes32[] memory result) {
        result = new bytes32[](members);
        uint256 next = 0;
        uint256 start = 0;
        for (uint256 position = 0; position < statement.sizes.length; ++position) {
            uint256 length = memberBytes(statement, position);
            bool given = statement.outside.has(position);
            for (uint256 end = next + statement.sizes[position]; next < end; ++next) {
                result[next] =
                    given ? bytes32(settlement[start:start + length]) : PointTree.root(settlement, start, statement.polynomials);
                start += length;
            }
        }
    }
}
