// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../interfaces/IMarket.sol";
import {Bits} from "./Bits.sol";

/// @title Epochs
/// @notice The members of an epoch and their groups.
/// @dev Groups are consecutive pieces of the order that the draw gave: the first n mod h of h + 1 seats, the rest of h. The order is
/// stored, 32 seats to a slot, which is one slot where a bitmap for each group would be five.
library Epochs {
    using Bits for uint256;

    /// @dev The present epoch's; an earlier order is written over.
    struct Epoch {
        uint256 members; // seats
        bytes32 seed; // that of an earlier epoch until the draw
        mapping(uint256 index => bytes32) orderWords;
    }

    /// @notice Number of groups that `size` members make, refused if they are too few or cannot be cut.
    function checkSize(uint256 size, uint256 groupSize, uint256 leastGroups) internal pure {
        uint256 groups = size / groupSize;
        if (groups < leastGroups) revert IMarket.MarketTooFewOwners(size, groupSize * leastGroups);
        if (size % groupSize > groups) revert IMarket.MarketUnevenGroups(size, groupSize);
    }

    /// @notice Keep the order of a draw.
    function storeOrder(Epoch storage self, bytes calldata order) internal {
        uint256 length = order.length;
        for (uint256 start = 0; start < length; start += 32) {
            // A shorter last piece is padded with zeros on the right.
            bytes calldata piece = start + 32 < length ? order[start:start + 32] : order[start:];
            self.orderWords[start / 32] = bytes32(piece);
        }
    }

    /// @notice The order of the present epoch's draw, one byte a seat.
    function loadOrder(Epoch storage self, uint256 size) internal view returns (bytes memory order) {
        order = new bytes(size);
        for (uint256 start = 0; start < size; start += 32) {
            bytes32 word = self.orderWords[start / 32];
            // Memory of bytes is padded to whole words.
            assembly ("memory-safe") {
                mstore(add(add(order, 0x20), start), word)
            }
        }
    }

    /// @notice Seats of one group of an order.
    function seatsOf(bytes memory order, uint256 groupSize, uint256 group) internal pure returns (uint256 seats) {
        // At most 254 seats: nothing here comes near a word's end.
        unchecked {
            uint256 larger = order.length % groupSize;
            uint256 start = group * groupSize + (group < larger ? group : larger);
            uint256 end = start + groupSize + (group < larger ? 1 : 0);
            for (uint256 place = start; place < end; ++place) seats |= 1 << uint8(order[place]);
        }
    }

    /// @notice Seats of each group of a set, groups ascending; refused if one does not exist.
    function roster(
        Epoch storage self,
        uint256 size,
        uint256 groupSize,
        uint256 groups
    ) internal view returns (uint256[] memory seats) {
        uint256 known = Bits.below(size / groupSize);
        if (groups & ~known != 0) revert IMarket.MarketUnknownGroup(groups, known);
        bytes memory order = loadOrder(self, size);
        seats = new uint256[](groups.count());
        for (uint256 i = 0; i < seats.length; ++i) {
            seats[i] = seatsOf(order, groupSize, groups.least());
            groups = groups.withoutLeast();
        }
    }
}
