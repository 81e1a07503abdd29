// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification} from "../interfaces/IVerification.sol";
import {Fr} from "./Fr.sol";

/// @notice Memory address of a point of BLS12-381's G1 in EIP-2537 form: x and y, 64 bytes each, big-endian; infinity is all zero.
/// In calldata a point has 96 bytes: the 16 zeros before each coordinate do not travel.
/// @dev Points come from `pointAt`, over memory that its caller allocated, and live as long as that memory.
type G1 is uint256;

/// @dev Precompiles of EIP-2537: addition, multi-exponentiation.
uint256 constant G1_ADD = 0x0b;
uint256 constant G1_MSM = 0x0c;

/// @dev In memory, as the precompiles want it, and in calldata.
uint256 constant G1_BYTES = 128;
uint256 constant POINT_BYTES = 96;
/// @dev A point followed by a scalar: one term of a multi-exponentiation.
uint256 constant TERM_BYTES = 160;

/// @dev (p - 1) / 2, p the order of the base field, as the upper 16 and the lower 32 bytes.
uint256 constant HALF_UPPER = 0x0d0088f51cbff34d258dd3db21a5d66b;
uint256 constant HALF_LOWER = 0xb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555;

using {load, setSum, compressInto} for G1 global;

/// @notice The point at `offset` of a string of points.
/// @dev The caller knows that offset + 128 <= buffer.length.
function pointAt(bytes memory buffer, uint256 offset) pure returns (G1 point) {
    assembly ("memory-safe") {
        point := add(add(buffer, 0x20), offset)
    }
}

/// @notice Overwrite a point with the one that `offset` bytes into a calldata string begins; it is not checked.
/// @dev The caller knows that offset + 96 <= source.length.
function load(G1 self, bytes calldata source, uint256 offset) pure {
    assembly ("memory-safe") {
        let start := add(source.offset, offset)
        mstore(self, 0)
        calldatacopy(add(self, 0x10), start, 48)
        mstore(add(self, 0x40), 0)
        calldatacopy(add(self, 0x50), add(start, 48), 48)
    }
}

/// @notice Overwrite a point with the sum of points of a calldata string. Each is checked to be on the curve, none to be in the subgroup.
/// @dev The caller knows that there are at least two, and that the string holds them all.
/// @param offset Where the first begins.
/// @param stride Bytes from the beginning of one to that of the next.
/// @param count Number of points.
function setSum(G1 self, bytes calldata source, uint256 offset, uint256 stride, uint256 count) view {
    bool success = true;
    assembly ("memory-safe") {
        // The sum so far and the next point, side by side as the precompile wants them; the padding is cleared once.
        let pair := mload(0x40)
        let start := add(source.offset, offset)
        mstore(pair, 0)
        mstore(add(pair, 0x40), 0)
        mstore(add(pair, 0x80), 0)
        mstore(add(pair, 0xc0), 0)
        calldatacopy(add(pair, 0x10), start, 48)
        calldatacopy(add(pair, 0x50), add(start, 48), 48)
        for { } and(success, gt(count, 1)) { count := sub(count, 1) } {
            start := add(start, stride)
            calldatacopy(add(pair, 0x90), start, 48)
            calldatacopy(add(pair, 0xd0), add(start, 48), 48)
            success := staticcall(gas(), G1_ADD, pair, 256, pair, 128)
            // A chain without the precompile answers with success and nothing.
            success := and(success, eq(returndatasize(), 128))
        }
        mcopy(self, pair, 128)
    }
    if (!success) revert IVerification.VerificationBadPoint();
}

/// @notice Sum of the two points that are at a memory address in a row, unless one is off the curve; the subgroup is not checked.
function tryAdd(uint256 pair, G1 sum) view returns (bool success) {
    assembly ("memory-safe") {
        success := staticcall(gas(), G1_ADD, pair, 256, sum, 128)
        success := and(success, eq(returndatasize(), 128))
    }
}

/// @notice Write the 48-byte compressed form to a memory address; 16 bytes after it are overwritten.
/// @dev For a point that is on the curve: only x and the sign of y are used.
function compressInto(G1 self, uint256 target) pure {
    assembly ("memory-safe") {
        let xUpper := mload(self)
        let xLower := mload(add(self, 0x20))
        let yUpper := mload(add(self, 0x40))
        let yLower := mload(add(self, 0x60))
        // y > (p - 1) / 2
        let larger := or(gt(yUpper, HALF_UPPER), and(eq(yUpper, HALF_UPPER), gt(yLower, HALF_LOWER)))
        let infinite := iszero(or(or(xUpper, xLower), or(yUpper, yLower)))
        let flags := or(0x80, or(shl(6, infinite), shl(5, larger)))
        mstore(target, or(or(shl(128, xUpper), shr(128, xLower)), shl(248, flags)))
        mstore(add(target, 0x20), shl(128, xLower))
    }
}

/// @notice Put a point and a scalar at `index` of the terms of a multi-exponentiation.
/// @dev The caller knows that 160 (index + 1) <= terms.length.
function setTerm(bytes memory terms, uint256 index, G1 point, Fr scalar) pure {
    assembly ("memory-safe") {
        let term := add(add(terms, 0x20), mul(index, TERM_BYTES))
        mcopy(term, point, 128)
        mstore(add(term, 128), scalar)
    }
}

/// @notice Multi-exponentiation: the sum of scalar times point over all terms, unless a point is off the curve or outside the subgroup.
/// @param terms 160 bytes each.
/// @param sum Where the result goes.
/// @return success False for a bad point, for no terms and for a chain that lacks the precompile.
function tryMsm(bytes memory terms, G1 sum) view returns (bool success) {
    assembly ("memory-safe") {
        success := staticcall(gas(), G1_MSM, add(terms, 0x20), mload(terms), sum, 128)
        success := and(success, eq(returndatasize(), 128))
    }
}
