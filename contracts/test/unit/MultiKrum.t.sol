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

    function test_scores_byHand() external view {
        // Five groups on a line at 0, 1, 2, 4, 9; one faulty: the two smallest squared distances count.
        uint256[] memory score = _harness.scores(_onALine([uint256(0), 1, 2, 4, 9]), 5, 1);
        uint256[5] memory expected = [uint256(1 + 4), 1 + 1, 1 + 4, 4 + 9, 25 + 49];
        for (uint256 i = 0; i < 5; ++i) assertEq(score[i], expected[i], "score");
    }

    function test_lowest_ties_keepTheLowerGroup() external view {
        uint256[] memory score = new uint256[](4);
        (score[0], score[1], score[2], score[3]) = (3, 7, 7, 7);
        assertEq(_harness.lowest(score, 15, 2), 3, "0 and 1");
        assertEq(_harness.lowest(score, 14, 2), 6, "1 and 2, 0 is not in the set");
        assertEq(_harness.lowest(score, 14, 5), 14, "no more than there are");
        assertEq(_harness.lowest(score, 15, 0), 0, "none");
    }

    function _onALine(uint256[5] memory places) private pure returns (uint256[] memory distances) {
        distances = new uint256[](15);
        uint256 pair = 0;
        for (uint256 i = 0; i <= 5; ++i) {
            for (uint256 k = i + 1; k <= 5; ++k) {
                uint256 gap = i == 0 ? places[k - 1] : places[k - 1] - places[i - 1];
                distances[pair++] = gap * gap;
            }
        }
    }
}
