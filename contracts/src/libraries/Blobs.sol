// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../interfaces/IMarket.sol";
import {G1, G1_BYTES, POINT_BYTES, pointAt, tryAdd} from "../types/G1.sol";

/// @title Blobs
/// @notice Whether the blobs of a transaction are what commitments say; EIP-4844.
library Blobs {
    uint256 private constant _SHA256 = 0x02;
    /// @dev A blob's versioned hash is the SHA-256 of its compressed commitment with 1 for the first byte.
    uint256 private constant _VERSION = 1 << 248;
    uint256 private constant _COMPRESSED_BYTES = 48;

    /// @notice Refuse unless the blobs of the transaction from `start` on are polynomials with these commitments, 96 bytes each.
    /// @dev Only x and the sign of y go into a hash, so that each point is looked at too: it is on the curve. As commitments of blobs are
    /// in the subgroup, so is it. A blob that is not there has the hash 0, which nothing has.
    function check(bytes calldata points, uint256 start) internal view {
        // A point, infinity to add to it, and the sum.
        bytes memory room = new bytes(3 * G1_BYTES);
        G1 point = pointAt(room, 0);
        for (uint256 index = start; index < points.length / POINT_BYTES; ++index) {
            point.load(points, index * POINT_BYTES);
            if (!tryAdd(G1.unwrap(point), pointAt(room, 2 * G1_BYTES))) revert IMarket.MarketBadPoint(index);
            bytes32 expected = versionedHash(point);
            if (blobhash(index) != expected) revert IMarket.MarketWrongBlob(index, blobhash(index), expected);
        }
    }

    /// @notice Hash under which a transaction carries the blob with this commitment.
    function versionedHash(G1 commitment) internal view returns (bytes32 hash) {
        uint256 compressed;
        assembly ("memory-safe") {
            // Memory that nobody uses.
            compressed := mload(0x40)
        }
        commitment.compressInto(compressed);
        assembly ("memory-safe") {
            let success := staticcall(gas(), _SHA256, compressed, _COMPRESSED_BYTES, 0, 0x20)
            if iszero(and(success, eq(returndatasize(), 0x20))) { revert(0, 0) }
            hash := or(and(mload(0), sub(_VERSION, 1)), _VERSION)
        }
    }
}
