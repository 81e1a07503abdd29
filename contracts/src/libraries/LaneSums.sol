// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FR_ORDER} from "../types/Fr.sol";
import {Lanes} from "./Lanes.sol";
import {MultiKrum} from "./MultiKrum.sol";

/// @notice What is gathered of the groups' sums while one element after the other is looked at. A *word* has three lanes far apart.
/// @param products For each pair g <= k of groups, lexicographic, the sum of the products of words of g and reversed words of k: the inner
/// product of their raised sums lies in its topmost third.
/// @param totals For each group the sum of its words.
/// @param wrong For each group anything but 0 if a lane of its sum is out of range.
struct Gathered {
    uint256[] products;
    uint256[] totals;
    uint256[] wrong;
}

/// @notice What stays the same while a group's sum is looked at.
/// @param source Where its first member's vector begins, in calldata.
/// @param end Where its last member's vector ends.
/// @param raise Makes all lanes of its sum positive.
/// @param least Of its raised lanes, in each lane of a word.
/// @param slack What the largest raised lane lacks of a full one, less `least`, in each lane of a word.
struct Group {
    uint256 source;
    uint256 end;
    uint256 raise;
    uint256 least;
    uint256 slack;
}

/// @title LaneSums
/// @notice Sums the masked vectors of each group, checks the range of all sums, and finds their squared distances.
/// @dev Squared distances follow from inner products, and an inner product of three lanes is one multiplication: of a word and a reversed
/// one, (a0 + a1 X + a2 X^2)(b2 + b1 X + b0 X^2), whose term X^2 is a0 b0 + a1 b1 + a2 b2. With lanes of w <= 28 bits, X = 2^(w third) leaves
/// room for the products of 2^20 words, more than a block can pay for; what lies above X^2 falls out at the top or is cut off.
library LaneSums {
    /// @dev The distance of a group whose sum is out of range, to everybody: above any bound on eligible groups, which is below 2^117.
    uint256 internal constant FAR = 1 << 128;

    /// @notice Squared distances of all pairs (i, k), 0 <= i < k, on the common scale of the sizes; 0 is the zero update.
    /// @param starts Where each group's vectors begin in `vectors`, one member after the other; the caller knows that all are there.
    function distances(
        Lanes memory lanes,
        bytes calldata vectors,
        uint256[] memory starts,
        uint256[] memory sizes
    ) internal pure returns (uint256[] memory result) {
        Gathered memory gathered = _gather(lanes, vectors, starts, sizes);
        uint256 groups = sizes.length;
        uint256 scale = MultiKrum.lcm(sizes);
        uint256 zeroLane = scale * lanes.half;
        uint256 zeroSquare = 3 * lanes.third * lanes.elements * zeroLane * zeroLane;
        result = new uint256[](MultiKrum.pairs(groups));
        uint256 next = groups;
        for (uint256 i = 0; i < groups; ++i) {
            uint256 factor = scale / sizes[i];
            uint256 square = factor * factor * _inner(gathered, lanes, groups, i, i);
            uint256 cross = factor * zeroLane * _laneSum(gathered.totals[i], lanes);
            result[i] = gathered.wrong[i] == 0 ? square + zeroSquare - 2 * cross : FAR;
            for (uint256 k = i + 1; k < groups; ++k) {
                uint256 other = scale / sizes[k];
                uint256 both = square + other * other * _inner(gathered, lanes, groups, k, k);
                both -= 2 * factor * other * _inner(gathered, lanes, groups, i, k);
                result[next++] = gathered.wrong[i] | gathered.wrong[k] == 0 ? both : FAR;
            }
        }
    }

    /// @dev Look at all elements of all groups.
    function _gather(
        Lanes memory lanes,
        bytes calldata vectors,
        uint256[] memory starts,
        uint256[] memory sizes
    ) private pure returns (Gathered memory gathered) {
        uint256 groups = sizes.length;
        gathered.products = new uint256[]((groups * (groups + 1)) / 2);
        gathered.totals = new uint256[](groups);
        gathered.wrong = new uint256[](groups);
        Group[] memory all = new Group[](groups);
        for (uint256 group = 0; group < groups; ++group) all[group] = _group(lanes, vectors, starts[group], sizes[group]);
        // The words of one element of each group, and the same reversed.
        uint256[] memory words = new uint256[](groups * lanes.third);
        uint256[] memory reversed = new uint256[](groups * lanes.third);
        for (uint256 element = 0; element < lanes.elements; ++element) {
            for (uint256 group = 0; group < groups; ++group) {
                uint256 sum = _sum(all[group], 32 * element, 32 * lanes.elements);
                _cut(lanes, all[group], sum, group, words, reversed, gathered);
            }
            _multiply(lanes.third, words, reversed, gathered.products);
        }
    }

    /// @dev What stays the same for a group of `size` members.
    function _group(Lanes memory lanes, bytes calldata vectors, uint256 start, uint256 size) private pure returns (Group memory group) {
        assembly ("memory-safe") {
            start := add(vectors.offset, start)
        }
        group.source = start;
        group.end = start + 32 * lanes.elements * size;
        group.raise = size * lanes.half * _everyLane(lanes.width, 3 * lanes.third);
        // Raised lanes lie in [size, size (2^b - 1)].
        uint256 ones = _everyLane(lanes.width * lanes.third, 3);
        group.least = size * ones;
        group.slack = ((1 << lanes.width) - 1 - size * (2 * lanes.half - 2)) * ones;
    }

    /// @dev Ones `step` bits apart.
    function _everyLane(uint256 step, uint256 count) private pure returns (uint256 ones) {
        for (; count != 0; --count) ones = (ones << step) | 1;
    }

    /// @dev The sum of one element of all members of a group, raised. Equivalent to
    /// sum of calldata[source + offset + i stride] over members i, plus group.raise, modulo the field's order.
    function _sum(Group memory group, uint256 offset, uint256 stride) private pure returns (uint256 sum) {
        uint256 order = FR_ORDER;
        assembly ("memory-safe") {
            sum := mload(add(group, 0x40))
            let end := mload(add(group, 0x20))
            for { let source := add(mload(group), offset) } lt(source, end) { source := add(source, stride) } {
                sum := addmod(sum, calldataload(source), order)
            }
        }
    }

    /// @dev Cut a raised sum into words; note their sum, and whether a lane is out of range or anything lies above the lanes. A lane below
    /// the least borrows, one above the most carries when the slack is added: either leaves a bit outside the lanes of a word.
    function _cut(
        Lanes memory lanes,
        Group memory group,
        uint256 sum,
        uint256 place,
        uint256[] memory words,
        uint256[] memory reversed,
        Gathered memory gathered
    ) private pure {
        assembly ("memory-safe") {
            let width := mload(lanes)
            let third := mload(add(lanes, 0x20))
            let apart := mul(width, third)
            let lowest := sub(shl(width, 1), 1)
            let middle := shl(apart, lowest)
            let mask := or(or(lowest, middle), shl(apart, middle))
            let outside := not(mask)
            let least := mload(add(group, 0x60))
            let slack := mload(add(group, 0x80))
            let wrong := shr(mul(3, apart), sum)
            let total := 0
            let word := add(add(words, 0x20), shl(5, mul(place, third)))
            let backward := add(add(reversed, 0x20), shl(5, mul(place, third)))
            for { let last := add(word, shl(5, third)) } lt(word, last) { word := add(word, 0x20) } {
                let cut := and(sum, mask)
                mstore(word, cut)
                mstore(backward, or(or(shr(shl(1, apart), cut), and(cut, middle)), shl(shl(1, apart), and(cut, lowest))))
                let above := sub(cut, least)
                wrong := or(wrong, and(or(above, add(above, slack)), outside))
                total := add(total, cut)
                sum := shr(width, sum)
                backward := add(backward, 0x20)
            }
            let totals := add(add(mload(add(gathered, 0x20)), 0x20), shl(5, place))
            mstore(totals, add(mload(totals), total))
            let wrongs := add(add(mload(add(gathered, 0x40)), 0x20), shl(5, place))
            mstore(wrongs, or(mload(wrongs), wrong))
        }
    }

    /// @dev Add the products of one element. Equivalent to, for g <= k and `next` counting the pairs,
    /// products[next] += sum of words[g third + i] * reversed[k third + i] over i < third, modulo 2^256.
    function _multiply(uint256 third, uint256[] memory words, uint256[] memory reversed, uint256[] memory products) private pure {
        assembly ("memory-safe") {
            let bytesOfGroup := shl(5, third)
            let next := add(products, 0x20)
            let end := add(add(words, 0x20), shl(5, mload(words)))
            let toReversed := sub(reversed, words)
            for { let left := add(words, 0x20) } lt(left, end) { left := add(left, bytesOfGroup) } {
                let right := add(left, toReversed)
                for { let other := left } lt(other, end) { other := add(other, bytesOfGroup) } {
                    let product := mload(next)
                    let word := left
                    for { let last := add(left, bytesOfGroup) } lt(word, last) { word := add(word, 0x20) } {
                        product := add(product, mul(mload(word), mload(right)))
                        right := add(right, 0x20)
                    }
                    mstore(next, product)
                    next := add(next, 0x20)
                }
            }
        }
    }

    /// @dev The inner product of the raised sums of two groups g <= k.
    function _inner(Gathered memory gathered, Lanes memory lanes, uint256 groups, uint256 g, uint256 k) private pure returns (uint256) {
        uint256 apart = lanes.width * lanes.third;
        // Pairs before those of g: groups + (groups - 1) + .., g terms.
        uint256 product = gathered.products[(g * (2 * groups - g + 1)) / 2 + k - g];
        return (product >> (2 * apart)) & ((1 << apart) - 1);
    }

    /// @dev The sum of the three lanes of a sum of words.
    function _laneSum(uint256 total, Lanes memory lanes) private pure returns (uint256) {
        uint256 apart = lanes.width * lanes.third;
        uint256 mask = (1 << apart) - 1;
        return (total & mask) + ((total >> apart) & mask) + (total >> (2 * apart));
    }
}
