// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILibraryHarness} from "../harness/ILibraryHarness.sol";
import {Test} from "../utils/Test.sol";

contract MultiKrumTest is Test {
    ILibraryHarness private immutable _harness = ILibraryHarness(deploy("LibraryHarness"));

    function test_lcm_ofAllSizes() external view {
        uint256[] memory sizes = new uint256[](3);
        (sizes[0], sizes[1], sizes[2]) = (4, 5, 4);
        assertEq(_harness.lcm(sizes), 20, "4 and 5");
        (sizes[0], sizes[1], sizes[2]) = (7, 7, 7);
        assertEq(_harness.lcm(sizes), 7, "all alike");
        assertEq(_harness.lcm(new uint256[](0)), 1, "none");
    }

    function test_mostUnpaid_byTheGroupsThatAreThere() external view {
        uint256[8] memory expected = [uint256(0), 0, 0, 0, 0, 1, 1, 2];
        for (uint256 groups = 0; groups < 8; ++groups) assertEq(_harness.mostUnpaid(groups, 3), expected[groups], "f'");
        assertEq(_harness.mostUnpaid(99, 3), 3, "f");
    }

    function test_eligible_atTheBound_isEligible() external view {
        uint256[] memory distances = new uint256[](6);
        (distances[0], distances[1], distances[2]) = (2800, 2801, 0);
        assertEq(_harness.eligible(distances, 3, 2800), 5, "first and third");
    }
}
