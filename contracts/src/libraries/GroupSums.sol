// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Statement} from "../interfaces/IVerification.sol";
import {G1, G1_BYTES, pointAt} from "../types/G1.sol";
import {Bits} from "./Bits.sol";
import {Layout} from "./Layout.sol";

/// @title GroupSums
/// @notice Commitments to the groups' sums: the sums of the members' commitments.
/// @dev Points are checked to be on the curve here, and to be in the subgroup where the sums are used. Groups have at least two members,
/// so that every point goes through an addition.
library GroupSums {
    using Bits for uint256;

    /// @notice P_{g,k} of the groups at `taking`, g-major, 128 bytes each.
    function all(Statement calldata statement, bytes calldata settlement, uint256 taking) internal view returns (bytes memory sums) {
        uint256 polynomials = statement.polynomials;
        sums = new bytes(taking.count() * polynomials * G1_BYTES);
        uint256 next = 0;
        uint256 start = 0;
        for (uint256 position = 0; position < statement.sizes.length; ++position) {
            uint256 stride = Layout.memberBytes(statement, position);
            uint256 members = statement.sizes[position];
            for (uint256 k = 0; taking.has(position) && k < polynomials; ++k) {
                _sumInto(pointAt(sums, next), settlement, start + k * G1_BYTES, stride, members);
                next += G1_BYTES;
            }
            start += members * stride;
        }
    }

    /// @notice P_{g,k} of one group and polynomial.
    function one(Statement calldata statement, bytes calldata settlement, uint256 group, uint256 polynomial) internal view returns (G1 sum) {
        uint256 start = polynomial * G1_BYTES;
        for (uint256 position = 0; position < group; ++position) {
            start += statement.sizes[position] * Layout.memberBytes(statement, position);
        }
        sum = pointAt(new bytes(G1_BYTES), 0);
        _sumInto(sum, settlement, start, Layout.memberBytes(statement, group), statement.sizes[group]);
    }

    /// @dev Sum of `members` points, `stride` bytes apart, that the length of the settlement has been checked to hold.
    function _sumInto(G1 sum, bytes calldata settlement, uint256 start, uint256 stride, uint256 members) private view {
        sum.set(settlement, start);
        for (uint256 i = 1; i < members; ++i) {
            sum.addFrom(settlement, start + i * stride);
        }
    }
}
