// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {G1_BYTES, POINT_BYTES, pointAt} from "../types/G1.sol";
import {Parts} from "./Layout.sol";

/// @title GroupSums
/// @notice Commitments to the groups' sums: the sums of the members' commitments.
/// @dev Points are checked to be on the curve here, and to be in the subgroup where the sums are used. Groups have at least two members,
/// so that every point goes through an addition.
library GroupSums {
    /// @notice P_{g,k} of the groups taking part, g-major, 128 bytes each.
    function all(Parts memory parts, uint256 polynomials, bytes calldata settlement) internal view returns (bytes memory sums) {
        uint256 groups = parts.sizes.length;
        sums = new bytes(groups * polynomials * G1_BYTES);
        uint256 stride = polynomials * POINT_BYTES;
        uint256 next = 0;
        // Everything lies within the settlement, whose length has been checked.
        unchecked {
            for (uint256 group = 0; group < groups; ++group) {
                (uint256 start, uint256 size) = (parts.starts[group], parts.sizes[group]);
                for (uint256 end = start + stride; start < end; start += POINT_BYTES) {
                    pointAt(sums, next).setSum(settlement, start, stride, size);
                    next += G1_BYTES;
                }
            }
        }
    }
}
