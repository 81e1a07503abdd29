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
        sums = new bytes(taking.count() * statement.polynomials * G1_BYTES);
        uint256 next = 0;
        uint256 start = 0;
        for (uint256 position = 0; position < statement.sizes.length; ++position) {
            uint256 stride = Layout.memberBytes(statement, position);
            uint256 members = statement.sizes[position];
            // Everything lies within the settlement, whose length has been checked.
            unchecked {
                for (uint256 k = 0; taking.has(position) && k < stride; k += G1_BYTES) {
                    pointAt(sums, next).setSum(settlement, start + k, stride, members);
                    next += G1_BYTES;
                }
                start += members * stride;
            }
        }
    }

    /// @notice P_{g,k} of one group and polynomial.
    function one(
        Statement calldata statement,
        bytes calldata settlement,
        uint256 group,
        uint256 polynomial
    ) internal view returns (G1 sum) {
        uint256 start = polynomial * G1_BYTES;
        for (uint256 position = 0; position < group; ++position) {
            start += statement.sizes[position] * Layout.memberBytes(statement, position);
        }
        sum = pointAt(new bytes(G1_BYTES), 0);
        sum.setSum(settlement, start, Layout.memberBytes(statement, group), statement.sizes[group]);
    }
}
