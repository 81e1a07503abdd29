// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification} from "../interfaces/IVerification.sol";

/// @notice Canonical element of the BLS12-381 scalar field.
/// @dev `toFr` is the way in for what others send, `frFromHash` for challenges; nothing else wraps.
type Fr is uint256;

/// @dev Order of the field.
uint256 constant FR_ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;

Fr constant FR_ZERO = Fr.wrap(0);
Fr constant FR_ONE = Fr.wrap(1);

/// @dev 1 / 4096.
Fr constant FR_INVERSE_4096 = Fr.wrap(0x73e66878b46ae3705eb6a46a89213de7d3686828bfce5c19400fffff00100001);

/// @dev Generator of the 4096-th roots of unity: 7^((r - 1) / 4096), as in EIP-4844.
Fr constant FR_ROOT_4096 = Fr.wrap(0x564c0a11a0f704f4fc3e8acfe0f8245f0ad1347b378fbf96e206da11a5d36306);

using {add as +, sub as -, mul as *, eq as ==, pow} for Fr global;

/// @notice The field element with this value; refused unless it is below the order.
function toFr(uint256 value) pure returns (Fr) {
    if (value >= FR_ORDER) revert IVerification.VerificationNotCanonical(value);
    return Fr.wrap(value);
}

/// @notice A challenge: a hash reduced modulo the order.
function frFromHash(bytes32 digest) pure returns (Fr) {
    return Fr.wrap(uint256(digest) % FR_ORDER);
}

/// @notice Field elements of a calldata string of 32-byte words; refused unless all are below the order.
function toFrs(bytes calldata words) pure returns (Fr[] memory elements) {
    uint256 length = words.length / 32;
    elements = new Fr[](length);
    uint256 order = FR_ORDER;
    uint256 good;
    assembly ("memory-safe") {
        let element := add(elements, 0x20)
        let end := add(element, shl(5, length))
        calldatacopy(element, words.offset, shl(5, length))
        good := 1
        for { } lt(element, end) { element := add(element, 0x20) } { good := and(good, lt(mload(element), order)) }
    }
    // Which one it is, is asked only if one is not.
    for (uint256 i = 0; good == 0 && i < length; ++i) toFr(Fr.unwrap(elements[i]));
}

/// @notice elements[i] without a look at the length.
/// @dev The caller knows that i < elements.length.
function peek(Fr[] memory elements, uint256 i) pure returns (Fr element) {
    assembly ("memory-safe") {
        element := mload(add(add(elements, 0x20), shl(5, i)))
    }
}

/// @notice x + y.
function add(Fr x, Fr y) pure returns (Fr) {
    return Fr.wrap(addmod(Fr.unwrap(x), Fr.unwrap(y), FR_ORDER));
}

/// @notice x - y.
function sub(Fr x, Fr y) pure returns (Fr) {
    // An element is below the order, so that the difference does not wrap.
    unchecked {
        return Fr.wrap(addmod(Fr.unwrap(x), FR_ORDER - Fr.unwrap(y), FR_ORDER));
    }
}

/// @notice x y.
function mul(Fr x, Fr y) pure returns (Fr) {
    return Fr.wrap(mulmod(Fr.unwrap(x), Fr.unwrap(y), FR_ORDER));
}

/// @notice Whether x and y are the same element.
function eq(Fr x, Fr y) pure returns (bool) {
    return Fr.unwrap(x) == Fr.unwrap(y);
}

/// @notice x to the power of `exponent`; one squaring for each bit of it.
function pow(Fr x, uint256 exponent) pure returns (Fr result) {
    result = FR_ONE;
    for (; exponent != 0; exponent >>= 1) {
        if (exponent & 1 == 1) result = result * x;
        x = x * x;
    }
}
