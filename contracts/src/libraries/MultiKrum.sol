// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bits} from "./Bits.sol";

/// @title MultiKrum
/// @notice Selects groups from the squared distances between them (Blanchard et al., NeurIPS 2017).
/// @dev `distances` holds T_{i,k} for 0 <= i < k <= G, lexicographic; 0 is the zero update and 1 .. G are the groups. Results count the
/// groups from 0. Distances are at most 2^128 and groups 255, of at most 255 members: no sum of them overflows.
library MultiKrum {
    using Bits for uint256;

    /// @notice Groups that may go unpaid when `groups` are judged: f', with 2 f' + 3 <= groups.
    function mostUnpaid(uint256 groups, uint256 faultyGroups) internal pure returns (uint256) {
        if (groups < 3) return 0;
        uint256 most = (groups - 3) / 2;
        return most < faultyGroups ? most : faultyGroups;
    }

    /// @notice Least common multiple of the sizes of the groups; 1 if there are none.
    function lcm(uint256[] memory sizes) internal pure returns (uint256 multiple) {
        multiple = 1;
        for (uint256 i = 0; i < sizes.length; ++i) {
            // slither-disable-next-line divide-before-multiply
            if (multiple % sizes[i] != 0) multiple = multiple / _gcd(multiple, sizes[i]) * sizes[i];
        }
    }

    /// @notice Number of pairs among the zero update and `groups` groups.
    function pairs(uint256 groups) internal pure returns (uint256) {
        return (groups * (groups + 1)) / 2;
    }

    /// @notice The groups whose update is within a bound: T_{0,g} <= most.
    function eligible(uint256[] memory distances, uint256 groups, uint256 most) internal pure returns (uint256 set) {
        // T_{0,g} are the first entries.
        for (uint256 group = 0; group < groups; ++group) {
            if (distances[group] <= most) set |= 1 << group;
        }
    }

    /// @notice Score of each group: the sum of its c = max(1, G - unpaid - 2), but at most G - 1, smallest distances to other groups, each
    /// weighed by 2 h_i h_k / (h_i + h_k), rounded down: a mean over fewer members lies farther from the others.
    function scores(uint256[] memory distances, uint256[] memory sizes, uint256 unpaid) internal pure returns (uint256[] memory result) {
        uint256 groups = sizes.length;
        result = new uint256[](groups);
        if (groups < 2) return result;
        uint256[] memory rows = _weighed(distances, sizes);
        uint256 closest = groups > unpaid + 3 ? groups - unpaid - 2 : 1;
        uint256[] memory farthest = new uint256[](groups - 1 - closest);
        for (uint256 group = 0; group < groups; ++group) result[group] = _score(rows, groups, group, farthest);
    }

    /// @notice What is left of `set` without the `most` groups of the highest scores, of equal ones the higher group first; with an
    /// `outlierPercent` only those go whose score is above so much of the lower median of all scores.
    function keep(uint256[] memory score, uint256 set, uint256 most, uint256 outlierPercent) internal pure returns (uint256) {
        uint256 bound = outlierPercent == 0 || score.length == 0 ? 0 : outlierPercent * _lowerMedian(score);
        for (; most != 0 && set != 0; --most) {
            uint256 worst = set.least();
            for (uint256 group = worst + 1; set >> group != 0; ++group) {
                if (set.has(group) && score[group] >= score[worst]) worst = group;
            }
            if (outlierPercent != 0 && 100 * score[worst] <= bound) break;
            set &= ~(1 << worst);
        }
        return set;
    }

    /// @dev The weighed distances as a symmetric matrix, row after row, 0 for a group and itself. Distances take most of what a settlement of
    /// many groups costs, hence the loop by addresses. Equivalent to, for i < k and `next` counting the pairs of groups:
    /// rows[i * groups + k] = rows[k * groups + i] = distances[next] * (2 * sizes[i] * sizes[k]) / (sizes[i] + sizes[k])
    function _weighed(uint256[] memory distances, uint256[] memory sizes) private pure returns (uint256[] memory rows) {
        uint256 groups = sizes.length;
        rows = new uint256[](groups * groups);
        assembly ("memory-safe") {
            let rowBytes := shl(5, groups)
            let end := add(add(sizes, 0x20), rowBytes)
            // The first entries are distances to the zero update.
            let next := add(add(distances, 0x20), rowBytes)
            let diagonal := add(rows, 0x20)
            for { let i := add(sizes, 0x20) } lt(i, end) { i := add(i, 0x20) } {
                let size := mload(i)
                let beside := diagonal
                let below := diagonal
                for { let k := add(i, 0x20) } lt(k, end) { k := add(k, 0x20) } {
                    let other := mload(k)
                    beside := add(beside, 0x20)
                    below := add(below, rowBytes)
                    // At most 2^128 2^17.
                    let weighed := div(mul(mload(next), shl(1, mul(size, other))), add(size, other))
                    mstore(beside, weighed)
                    mstore(below, weighed)
                    next := add(next, 0x20)
                }
                diagonal := add(add(diagonal, rowBytes), 0x20)
            }
        }
    }

    /// @dev Sum of all distances of a group but the farthest, by addresses as well; `farthest` is working memory, as long as there are to be
    /// left out: an ascending list that each larger distance enters and whose least falls out of it, into the sum. Sums are below 2^144.
    function _score(uint256[] memory rows, uint256 groups, uint256 group, uint256[] memory farthest) private pure returns (uint256 score) {
        assembly ("memory-safe") {
            let first := add(farthest, 0x20)
            let last := add(first, shl(5, mload(farthest)))
            for { let place := first } lt(place, last) { place := add(place, 0x20) } { mstore(place, 0) }
            // With nothing to leave out, no distance is larger.
            let least := sub(0, iszero(mload(farthest)))
            let next := add(add(rows, 0x20), shl(5, mul(group, groups)))
            for { let end := add(next, shl(5, groups)) } lt(next, end) { next := add(next, 0x20) } {
                let distance := mload(next)
                if iszero(gt(distance, least)) {
                    score := add(score, distance)
                    continue
                }
                score := add(score, least)
                let place := first
                for { let above := add(first, 0x20) } lt(above, last) { above := add(above, 0x20) } {
                    let other := mload(above)
                    if iszero(lt(other, distance)) { break }
                    mstore(place, other)
                    place := above
                }
                mstore(place, distance)
                least := mload(first)
            }
        }
    }

    /// @dev Of an even number of scores the lower of the two in the middle. There is at least one.
    function _lowerMedian(uint256[] memory score) private pure returns (uint256) {
        uint256[] memory sorted = new uint256[](score.length);
        // Insertion; indices are below the length.
        unchecked {
            for (uint256 i = 0; i < sorted.length; ++i) {
                uint256 place = i;
                for (; place != 0 && _at(sorted, place - 1) > _at(score, i); --place) _put(sorted, place, _at(sorted, place - 1));
                _put(sorted, place, _at(score, i));
            }
            return _at(sorted, (sorted.length - 1) / 2);
        }
    }

    /// @dev list[i] without a look at the length.
    function _at(uint256[] memory list, uint256 i) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(add(list, 0x20), shl(5, i)))
        }
    }

    /// @dev list[i] = value without a look at the length.
    function _put(uint256[] memory list, uint256 i, uint256 value) private pure {
        assembly ("memory-safe") {
            mstore(add(add(list, 0x20), shl(5, i)), value)
        }
    }

    /// @dev Greatest common divisor.
    function _gcd(uint256 a, uint256 b) private pure returns (uint256) {
        while (b != 0) (a, b) = (b, a % b);
        return a;
    }
}
