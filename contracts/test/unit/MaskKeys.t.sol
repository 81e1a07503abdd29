// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILibraryHarness} from "../harness/ILibraryHarness.sol";
import {Test} from "../utils/Test.sol";

contract MaskKeysTest is Test {
    uint256 private constant _ORDER = 2 ** 255 - 19;

    ILibraryHarness private immutable _harness = ILibraryHarness(deploy("LibraryHarness"));

    function test_isUsable_notCanonical_isFalse() external view {
        for (uint256 u = _ORDER; u < 2 ** 255; ++u) assertTrue(!_harness.isUsable(_littleEndian(u)), "at or above the order");
        assertTrue(!_harness.isUsable(_littleEndian(2 ** 255 + 9)), "top bit");
        assertTrue(!_harness.isUsable(_littleEndian(type(uint256).max)), "all ones");
    }

    function test_isUsable_ordinaryKeys_isTrue() external view {
        assertTrue(_harness.isUsable(_littleEndian(9)), "base point");
        assertTrue(_harness.isUsable(_littleEndian(2)), "least");
        assertTrue(_harness.isUsable(_littleEndian(_ORDER - 2)), "greatest");
    }

    function test_fuzz_isUsable_anyKey_isBelowTheOrderAndNoneOfTheFive(uint256 u) external view {
        bool expected = u < _ORDER;
        uint256[5] memory low = _lowOrder();
        for (uint256 i = 0; i < low.length; ++i) expected = expected && u != low[i];

        assertTrue(_harness.isUsable(_littleEndian(u)) == expected, "canonical and of no low order");
    }

    function _lowOrder() private pure returns (uint256[5] memory) {
        return [
            uint256(0),
            1,
            325606250916557431795983626356110631294008115727848805560023387167927233504,
            39382357235489614581723060781553021112529911719440698176882885853963445705823,
            _ORDER - 1
        ];
    }

    function _littleEndian(uint256 value) private pure returns (bytes32 key) {
        for (uint256 i = 0; i < 32; ++i) key |= bytes32(((value >> (8 * i)) & 0xff) << (8 * (31 - i)));
    }
}
