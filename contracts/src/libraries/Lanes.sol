// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Terms} from "../interfaces/MarketTypes.sol";

/// @notice How the weights of a computed market lie in field elements; docs/specification/protocol.md section 9.
/// @param width Bits of a lane, w: a sum of h + 1 quantised weights, raised until it is not negative, fits.
/// @param third A third of an element's lanes. Lanes i, third + i and 2 third + i are looked at together: their products fit between them.
/// @param elements Elements of a vector, E.
/// @param half What a quantised weight is raised by, 2^(b-1).
struct Lanes {
    uint256 width;
    uint256 third;
    uint256 elements;
    uint256 half;
}

/// @title LaneLayout
/// @notice Finds the lanes of a market's terms.
library LaneLayout {
    uint256 internal constant ELEMENT_BYTES = 32;
    /// @dev Three wider lanes would not fit an element with their products between them.
    uint256 private constant _MOST_WIDTH = 28;
    /// @dev Numbers of so many bits are below the order of the field.
    uint256 private constant _ELEMENT_BITS = 254;

    /// @notice The lanes of these terms, whose `updateBits` are at most `mostUpdateBits`.
    function lanesOf(Terms memory terms) internal pure returns (Lanes memory lanes) {
        lanes.width = terms.updateBits + _spareBits(terms.groupSize);
        lanes.third = _ELEMENT_BITS / (3 * lanes.width);
        lanes.elements = Math.ceilDiv(terms.weights, 3 * lanes.third);
        lanes.half = 1 << (terms.updateBits - 1);
    }

    /// @notice Largest b that fits lanes.
    function mostUpdateBits(uint256 groupSize) internal pure returns (uint256) {
        return _MOST_WIDTH - _spareBits(groupSize);
    }

    /// @dev ceil(log2(h + 1)): what the sum of a group may need above a weight's bits.
    function _spareBits(uint256 groupSize) private pure returns (uint256) {
        return Math.log2(groupSize + 1, Math.Rounding.Ceil);
    }
}
