// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Bits
/// @notice Sets of small numbers as bitmaps.
library Bits {
    uint256 private constant _ODD = 0x5555555555555555555555555555555555555555555555555555555555555555;
    uint256 private constant _PAIRS = 0x3333333333333333333333333333333333333333333333333333333333333333;
    uint256 private constant _NIBBLES = 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f;
    uint256 private constant _BYTES = 0x0101010101010101010101010101010101010101010101010101010101010101;

    /// @notice The set {0, .., size - 1}, for a size of at most 255.
    function below(uint256 size) internal pure returns (uint256 set) {
        unchecked {
            return (1 << size) - 1;
        }
    }

    /// @notice Whether `set` has `element`; false for 256 and more.
    function has(uint256 set, uint256 element) internal pure returns (bool) {
        return (set >> element) & 1 == 1;
    }

    /// @notice How many elements `set` has; at most 255, the full set counts as 0.
    function count(uint256 set) internal pure returns (uint256 size) {
        // Sums of neighbours, doubling in width; the last product adds all bytes into the highest, so that it wraps by design.
        unchecked {
            size = set - ((set >> 1) & _ODD);
            size = (size & _PAIRS) + ((size >> 2) & _PAIRS);
            size = (size + (size >> 4)) & _NIBBLES;
            size = (size * _BYTES) >> 248;
        }
    }

    /// @notice The least element of a set that is not empty.
    function least(uint256 set) internal pure returns (uint256) {
        // The elements below the least one are as many as it says.
        unchecked {
            return count((set & (0 - set)) - 1);
        }
    }

    /// @notice The set without its least element.
    function withoutLeast(uint256 set) internal pure returns (uint256 rest) {
        // For the empty set the difference wraps and the result is empty.
        unchecked {
            return set & (set - 1);
        }
    }

    /// @notice The elements of `set` whose places in it, counted from the least, are in `places`.
    function pick(uint256 set, uint256 places) internal pure returns (uint256 picked) {
        for (; set != 0 && places != 0; set = withoutLeast(set)) {
            if (places & 1 == 1) picked |= set & (~withoutLeast(set));
            places >>= 1;
        }
    }

    /// @notice The places in `set`, counted from the least, of the elements that `subset` has too; undoes `pick`.
    function placesOf(uint256 set, uint256 subset) internal pure returns (uint256 places) {
        for (uint256 bit = 1; set != 0; set = withoutLeast(set)) {
            if (has(subset, least(set))) places |= bit;
            bit <<= 1;
        }
    }
}
