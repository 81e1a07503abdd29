// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILibraryHarness} from "../harness/ILibraryHarness.sol";
import {Test} from "../utils/Test.sol";

contract BitsTest is Test {
    ILibraryHarness private immutable _harness = ILibraryHarness(deploy("LibraryHarness"));

    function test_fuzz_count_anySet_isNumberOfElements(uint256 set) external view {
        if (set == type(uint256).max) --set;
        uint256 expected = 0;
        for (uint256 i = 0; i < 256; ++i) expected += (set >> i) & 1;

        assertEq(_harness.count(set), expected, "count");
    }

    function test_count_edges() external view {
        assertEq(_harness.count(0), 0, "empty");
        assertEq(_harness.count(type(uint256).max - 1), 255, "all but one");
    }

    function test_least_eachSingleton_isItsElement() external view {
        for (uint256 i = 0; i < 256; ++i) {
            assertEq(_harness.least(1 << i), i, "singleton");
            assertEq(_harness.least(type(uint256).max << i), i, "with all above");
        }
    }

    function test_fuzz_pick_undoesPlacesOf(uint256 set, uint256 subset) external view {
        uint256 places = _harness.placesOf(set, subset);

        assertEq(_harness.pick(set, places), set & subset, "round trip");
        assertEq(_harness.count(places), _harness.count(set & subset), "as many");
    }

    function test_pick_byHand() external view {
        assertEq(_harness.pick(0x2c, 5), 0x24, "first and third of {2, 3, 5}");
        assertEq(_harness.placesOf(0x2c, 0x28), 6, "second and third");
    }

    function test_fuzz_seatsOf_groups_partitionTheOrder(uint256 size, uint256 groupSize) external view {
        (groupSize, size) = (bound(groupSize, 3, 16), bound(size, 15, 254));
        bytes memory order = new bytes(size);
        for (uint256 i = 0; i < size; ++i) order[i] = bytes1(uint8(size - 1 - i));
        uint256 groups = size / groupSize;
        if (size % groupSize > groups) return;

        uint256 all = 0;
        for (uint256 group = 0; group < groups; ++group) {
            uint256 seats = _harness.seatsOf(order, groupSize, group);
            assertEq(all & seats, 0, "disjoint");
            assertEq(_harness.count(seats), group < size % groupSize ? groupSize + 1 : groupSize, "size");
            all |= seats;
        }
        assertEq(all, (1 << size) - 1, "complete");
    }
}
