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

    function test_fuzz_scores_anyDistances_matchSorting(uint256 seed, uint256 groups, uint256 faulty) external view {
        (groups, faulty) = (bound(groups, 0, 12), bound(faulty, 0, 20));
        uint256[] memory distances = _random(seed, (groups * (groups + 1)) / 2);

        uint256[] memory score = _harness.scores(distances, groups, faulty);

        for (uint256 group = 0; group < groups; ++group) {
            assertEq(score[group], _plainScore(distances, groups, group, faulty), "score");
        }
    }

    function test_fuzz_lowest_anyScores_matchCounting(uint256 seed, uint256 set, uint256 count) external view {
        uint256[] memory score = _random(seed, 12);
        (set, count) = (set % 4096, bound(count, 0, 12));

        uint256 chosen = _harness.lowest(score, set, count);

        // A group is chosen if fewer than `count` of the set come before it.
        for (uint256 group = 0; group < 12; ++group) {
            uint256 before = 0;
            for (uint256 other = 0; other < 12; ++other) {
                bool precedes = score[other] < score[group] || (score[other] == score[group] && other < group);
                if ((set >> other) & 1 == 1 && precedes) ++before;
            }
            bool expected = (set >> group) & 1 == 1 && before < count;
            assertTrue(((chosen >> group) & 1 == 1) == expected, "chosen");
        }
    }

    /// @dev The definition: sort all distances to other groups, add the first c.
    function _plainScore(uint256[] memory distances, uint256 groups, uint256 group, uint256 faulty) private pure returns (uint256 score) {
        if (groups < 2) return 0;
        uint256[] memory row = new uint256[](groups - 1);
        uint256 length = 0;
        uint256 pair = 0;
        for (uint256 i = 0; i <= groups; ++i) {
            for (uint256 k = i + 1; k <= groups; ++k) {
                if (i != 0 && (i == group + 1 || k == group + 1)) row[length++] = distances[pair];
                ++pair;
            }
        }
        for (uint256 i = 1; i < length; ++i) {
            for (uint256 j = i; j > 0 && row[j] < row[j - 1]; --j) (row[j], row[j - 1]) = (row[j - 1], row[j]);
        }
        uint256 closest = groups > faulty + 2 ? groups - faulty - 2 : 1;
        if (closest > groups - 1) closest = groups - 1;
        for (uint256 i = 0; i < closest; ++i) score += row[i];
    }

    /// @dev Small values, so that ties are common.
    function _random(uint256 seed, uint256 length) private pure returns (uint256[] memory values) {
        values = new uint256[](length);
        for (uint256 i = 0; i < length; ++i) values[i] = uint256(keccak256(abi.encode(seed, i))) % 16;
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
