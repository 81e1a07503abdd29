// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BlockHeader} from "@openzeppelin/contracts/utils/BlockHeader.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {IMarket} from "../interfaces/IMarket.sol";
import {Bits} from "./Bits.sol";

/// @title Draw
/// @notice Randomness of an epoch, from a block fixed in advance, and the order that it gives the members.
library Draw {
    using Bits for uint256;

    /// @dev Blocks that EIP-2935 remembers.
    uint256 internal constant HISTORY_BLOCKS = 8191;

    /// @notice Last block from which `drawBlock` can be proven.
    function lastBlock(uint256 drawBlock) internal pure returns (uint256) {
        return drawBlock + HISTORY_BLOCKS;
    }

    /// @notice Seed of an epoch: the proven prevrandao of the draw's block, bound to epoch and market.
    function seed(bytes memory header, uint256 drawBlock, uint256 epoch) internal view returns (bytes32) {
        if (block.number <= drawBlock) revert IMarket.MarketDrawTooEarly(block.number, drawBlock);
        if (block.number > lastBlock(drawBlock)) revert IMarket.MarketDrawLapsed(block.number, drawBlock);
        bytes32 expected = Blockhash.blockHash(drawBlock);
        // No header hashes to the 0 that a chain without the history answers.
        if (keccak256(header) != expected) revert IMarket.MarketWrongHeader(keccak256(header), expected);
        return keccak256(abi.encodePacked(BlockHeader.getPrevRandao(header), epoch, address(this)));
    }

    /// @notice Refuse an order that is not all members, strictly increasing by the hash of seed and address.
    /// @dev Strictly increasing means that no address comes twice, so that as many members as there are must be all of them.
    function check(
        bytes calldata order,
        bytes32 epochSeed,
        uint256 members,
        uint256 size,
        mapping(uint256 seat => address) storage ownerOf
    ) internal view {
        if (order.length != size) revert IMarket.MarketWrongLength(order.length, size);
        bytes32 last = 0;
        for (uint256 place = 0; place < size; ++place) {
            uint256 seat = uint8(order[place]);
            if (!members.has(seat)) revert IMarket.MarketWrongOrder(place);
            bytes32 rank = keccak256(abi.encodePacked(epochSeed, ownerOf[seat]));
            if (rank <= last) revert IMarket.MarketWrongOrder(place);
            last = rank;
        }
    }
}
