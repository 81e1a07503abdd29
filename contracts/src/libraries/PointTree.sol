// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {POINT_BYTES} from "../types/G1.sol";

/// @title PointTree
/// @notice Digest of a row of commitments: the root of a hash tree of fours, so that one commitment can be shown without the others.
/// @dev A leaf is keccak(point), of 96 bytes, a node keccak of its four children, of 128 bytes; a missing child is the zero word. The place
/// of a child follows from its index and is never sorted: a proof is good for one index alone.
library PointTree {
    /// @notice Root over `count` points, at least one, of 96 bytes each from `start` on.
    /// @dev The caller knows that `points` holds them all.
    function root(bytes calldata points, uint256 start, uint256 count) internal pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            // The nodes of a level, after room for a point; each level is written over the one below.
            let room := mload(0x40)
            let nodes := add(room, 0x60)
            let source := add(points.offset, start)
            let end := add(nodes, shl(5, count))
            for { let node := nodes } lt(node, end) { node := add(node, 0x20) } {
                calldatacopy(room, source, POINT_BYTES)
                mstore(node, keccak256(room, POINT_BYTES))
                source := add(source, POINT_BYTES)
            }
            for { } gt(count, 1) { } {
                mstore(end, 0)
                mstore(add(end, 0x20), 0)
                mstore(add(end, 0x40), 0)
                count := shr(2, add(count, 3))
                end := add(nodes, shl(5, count))
                let children := nodes
                for { let node := nodes } lt(node, end) { node := add(node, 0x20) } {
                    mstore(node, keccak256(children, 0x80))
                    children := add(children, 0x80)
                }
            }
            digest := mload(nodes)
        }
    }

    /// @notice Number of words that prove one of `count` points: three for each of ceil(log4 count) levels.
    function proofWords(uint256 count) internal pure returns (uint256 words) {
        for (; count > 1; count = (count + 3) / 4) words += 3;
    }

    /// @notice The root that a point at `index` and its siblings from the leaf up lead to.
    /// @dev The caller knows that the point, at `start`, and `words` words of `proof` from `first` on are there.
    function rootFrom(
        bytes calldata points,
        uint256 start,
        uint256 index,
        bytes32[] calldata proof,
        uint256 first,
        uint256 words
    ) internal pure returns (bytes32 node) {
        node = keccak256(points[start:start + POINT_BYTES]);
        bytes32[4] memory children;
        for (uint256 end = first + words; first < end; index >>= 2) {
            for (uint256 child = 0; child < 4; ++child) children[child] = child == (index & 3) ? node : proof[first++];
            node = keccak256(abi.encode(children));
        }
    }
}
