// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bits} from "./Bits.sol";

/// @title MultiKrum
/// @notice Selects groups from the squared distances between them (Blanchard et al., NeurIPS 2017).
/// @dev `distances` holds T_{i,k} for 0 <= i < k <= G, lexicographic; 0 is the zero update and 1 .. G are the groups. Results count the
/// groups from 0. Distances are below 2^90 and groups at most 255, so that no sum of them overflows.
library MultiKrum {
    using Bits for uint256;

    /// @notice Least common multiple of the sizes of the groups at `places`; 1 if there are none.
    function lcm(uint256[] memory sizes, uint256 places) internal pure returns (uint256 multiple) {
        multiple = 1;
        for (uint256 i = 0; i < sizes.length; ++i) {
            // slither-disable-next-line divide-before-multiply
            if (places.has(i)) multiple = multiple / _gcd(multiple, sizes[i]) * sizes[i];
        }
    }

    /// @notice Number of pairs among the zero update and `groups` groups.
    function pairs(uint256 groups) internal pure returns (uint256) {
        return (groups * (groups + 1)) / 2;
    }

    /// @notice The groups whose update is within the norm bound: T_{0,g} <= L^2 bound.
    function eligible(
        uint256[] memory distances,
        uint256 groups,
        uint256 scale,
        uint256 normBound
    ) internal pure returns (uint256 set) {
        uint256 most = scale * scale * normBound;
        // T_{0,g} are the first entries.
        for (uint256 group = 0; group < groups; ++group) {
            if (distances[group] <= most) set |= 1 << group;
        }
    }

    /// @notice Score of each group: the sum of its max(1, G - faulty - 2), but at most G - 1, smallest distances to other groups.
    function scores(uint256[] memory distances, uint256 groups, uint256 faulty) internal pure returns (uint256[] memory result) {
        result = new uint256[](groups);
        if (groups < 2) return result;
        uint256 closest = groups > faulty + 3 ? groups - faulty - 2 : 1;
        uint256[] memory farthest = new uint256[](groups - 1 - closest);
        for (uint256 group = 0; group < groups; ++group) {
            result[group] = _score(distances, groups, group, farthest);
        }
    }

    /// @notice The `count` groups of `set` with the lowest scores, ties to the lower group; all of it if it has no more.
    function lowest(uint256[] memory score, uint256 set, uint256 count) internal pure returns (uint256) {
        for (uint256 surplus = set.count(); surplus > count; --surplus) {
            uint256 worst = set.least();
            for (uint256 rest = set.withoutLeast(); rest != 0; rest = rest.withoutLeast()) {
                // Of equal scores the higher group goes.
                if (score[rest.least()] >= score[worst]) worst = rest.least();
            }
            set &= ~(1 << worst);
        }
        return set;
    }

    /// @dev Sum of all distances of a group but the farthest; `farthest` is working memory, as long as there are to be left out.
    function _score(
        uint256[] memory distances,
        uint256 groups,
        uint256 group,
        uint256[] memory farthest
    ) private pure returns (uint256 score) {
        uint256 left = farthest.length;
        for (uint256 i = 0; i < left; ++i) farthest[i] = 0;
        // Sums of less than 2^98; all that is subtracted was added before.
        unchecked {
            for (uint256 other = 0; other < groups; ++other) {
                if (other == group) continue;
                (uint256 i, uint256 k) = other < group ? (other + 1, group + 1) : (group + 1, other + 1);
                uint256 distance = distances[_pair(groups, i, k)];
                score += distance;
                if (left == 0 || distance <= farthest[0]) continue;
                // Into an ascending list that forgets its least.
                score += farthest[0];
                uint256 place = 0;
                for (; place + 1 < left && farthest[place + 1] < distance; ++place) farthest[place] = farthest[place + 1];
                farthest[place] = distance;
                score -= distance;
            }
        }
    }

    /// @dev Place of the pair (i, k), i < k, among those of 0 .. groups.
    function _pair(uint256 groups, uint256 i, uint256 k) private pure returns (uint256) {
        // i < k <= groups <= 255: the rows before row i have groups, groups - 1, .. entries.
        unchecked {
            return i * groups - (i * (i - 1)) / 2 + (k - i - 1);
        }
    }

    /// @dev Greatest common divisor.
    function _gcd(uint256 a, uint256 b) private pure returns (uint256) {
        while (b != 0) (a, b) = (b, a % b);
        return a;
    }
}
