// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title MaskKeys
/// @notice Which X25519 public keys a data owner may register.
/// @dev With a key of low order the shared secret is the same for every peer, and honest libraries refuse to compute it: the whole
/// group could not mask. Keys are little-endian: byte 0 is the lowest.
library MaskKeys {
    /// @dev The u of the points of order 1, 2, 4 and 8 that are canonical, as RFC 7748 encodes them.
    bytes32 private constant _ZERO = 0;
    bytes32 private constant _ONE = hex"0100000000000000000000000000000000000000000000000000000000000000";
    bytes32 private constant _ORDER_8 = hex"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    bytes32 private constant _ORDER_8_TOO = hex"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157";
    bytes32 private constant _MINUS_ONE = hex"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";

    /// @dev Bytes 1 .. 31 of the order 2^255 - 19 of the field, and its byte 0.
    uint256 private constant _ORDER_REST = 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f;
    uint256 private constant _ORDER_BYTE_0 = 0xed;

    /// @notice Whether a key is canonical (below 2^255 - 19) and not of low order.
    function isUsable(bytes32 key) internal pure returns (bool) {
        return _isCanonical(key) && key != _ZERO && key != _ONE && key != _ORDER_8 && key != _ORDER_8_TOO && key != _MINUS_ONE;
    }

    /// @dev Whether a key is below the order of the field.
    function _isCanonical(bytes32 key) private pure returns (bool) {
        if (uint8(key[31]) > 0x7f) return false;
        return (uint256(key) & type(uint248).max) != _ORDER_REST || uint8(key[0]) < _ORDER_BYTE_0;
    }
}
