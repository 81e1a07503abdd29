// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILibraryHarness} from "../harness/ILibraryHarness.sol";
import {Test} from "../utils/Test.sol";

contract MultiKrumTest is Test {
    ILibraryHarness private immutable _harness = ILibraryHarness(deploy("LibraryHarness"));

    function test_lcm_sizesOfTakingGroups_only() external view {
        uint256[] memory sizes = new uint256[](4);
        (sizes[0], sizes[1], sizes[2], sizes[3]) = (4, 5, 4, 7);
        assertEq(_harness.lcm(sizes, 5), 4, "4 and 4");
        assertEq(_harness.lcm(sizes, 3), 20, "4 and 5");
        assertEq(_harness.lcm(sizes, 15), 140, "all");
        assertEq(_harness.lcm(sizes, 0), 1, "none");
    }

    function test_eligible_atTheBound_isEligible() external view {
        // Scale 20, bound 7: 2800.
        uint256[] memory distances = new uint256[](6);
        (distances[0], distances[1], distances[2]) = (2800, 2801, 0);
        assertEq(_harness.eligible(distances, 3, 20, 7), 5, "first and third");
    }
}
