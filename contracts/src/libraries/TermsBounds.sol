// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IMarket} from "../interfaces/IMarket.sol";
import {Terms} from "../interfaces/MarketTypes.sol";

/// @title TermsBounds
/// @notice The bounds of every number of a market's terms; docs/protocol.md section 1.
library TermsBounds {
    /// @dev Two weights to a field element, 4096 elements to a polynomial.
    uint256 private constant _WEIGHTS_PER_POLYNOMIAL = 8192;
    /// @dev Seats are numbered 0 .. 253, so that a bitmap of them has room for a flag.
    uint256 private constant _MOST_SEATS = 254;
    /// @dev Scoring g groups, f of them faulty, takes g^2 f steps; with so many a settlement stays below the gas of one transaction.
    uint256 private constant _MOST_SCORING_STEPS = 10_000;
    /// @dev What public nodes take in one transaction.
    uint256 private constant _MOST_SETTLEMENT_BYTES = 131_072;
    uint256 private constant _LONGEST_SECONDS = 30 days;
    uint256 private constant _BLOBS_PER_TRANSACTION = 6;

    /// @notice Number B of polynomials of an update of `weights` weights.
    function polynomialsFor(uint256 weights) internal pure returns (uint256) {
        return Math.ceilDiv(weights, _WEIGHTS_PER_POLYNOMIAL);
    }

    /// @notice Refuse terms with a number out of bounds. Fields that others depend on come first, then the order of the table.
    function check(Terms memory terms) internal pure {
        _within("groupSize", terms.groupSize, 3, 16);
        _within("faultyGroups", terms.faultyGroups, 1, 20);
        _within("weights", terms.weights, 1, 2 ** 22);
        uint256 polynomials = polynomialsFor(terms.weights);
        _checkMoney(terms);
        _checkSizes(terms, polynomials);
        _checkTimes(terms, polynomials);
        _within("metrics", bytes(terms.metrics).length, 0, 256);
    }

    /// @dev Amounts.
    function _checkMoney(Terms memory terms) private pure {
        _within("rewardWei", terms.rewardWei, 1, 2 ** 96);
        _within("stakeWei", terms.stakeWei, (uint256(terms.groupSize) + 1) * terms.rewardWei, 2 ** 104);
        _within("bondWei", terms.bondWei, 1, 2 ** 104);
        _within("accuseFeeWei", terms.accuseFeeWei, 0, 2 ** 96);
    }

    /// @dev Numbers of owners, bits and rounds, and what they make of a settlement.
    function _checkSizes(Terms memory terms, uint256 polynomials) private pure {
        uint256 leastOwners = uint256(terms.groupSize) * (2 * uint256(terms.faultyGroups) + 3);
        _within("mostOwners", terms.mostOwners, leastOwners, _MOST_SEATS);
        _within("settlementBytes", _settlementBytes(terms, polynomials), 0, _MOST_SETTLEMENT_BYTES);
        _within("scoringSteps", _scoringSteps(terms), 0, _MOST_SCORING_STEPS);
        _within("updateBits", terms.updateBits, 2, _mostUpdateBits(terms.groupSize, polynomials));
        _within("clipNano", terms.clipNano, 1, 10 ** 12);
        _within("normBound", terms.normBound, 1, 2 ** 100);
        _within("roundsPerEpoch", terms.roundsPerEpoch, 1, 10_000);
    }

    /// @dev Windows, whose floors grow with owners and polynomials.
    function _checkTimes(Terms memory terms, uint256 polynomials) private pure {
        uint256 owners = terms.mostOwners;
        uint256 answerSeconds = 60 + 12 * owners * Math.ceilDiv(polynomials, _BLOBS_PER_TRANSACTION);
        _within("commitSeconds", terms.commitSeconds, 60, _LONGEST_SECONDS);
        _within("accuseSeconds", terms.accuseSeconds, 60 + owners, _LONGEST_SECONDS);
        _within("answerSeconds", terms.answerSeconds, answerSeconds, _LONGEST_SECONDS);
        _within("proveSeconds", terms.proveSeconds, 120 + owners * polynomials, _LONGEST_SECONDS);
        _within("drawDelayBlocks", terms.drawDelayBlocks, 2, 4096);
    }

    /// @dev Upper bound of a settling transaction: members' points, distances and evaluations of the most groups, f exclusions, and 2048
    /// bytes for the rest.
    function _settlementBytes(Terms memory terms, uint256 polynomials) private pure returns (uint256) {
        uint256 groups = terms.mostOwners / terms.groupSize;
        uint256 points = 128 * uint256(terms.mostOwners) * polynomials;
        // slither-disable-next-line divide-before-multiply
        return points + 16 * groups * (groups + 1) + 32 * groups * polynomials + 85 * uint256(terms.faultyGroups) + 2048;
    }

    /// @dev Multi-Krum keeps f + 1 distances of each group sorted: G^2 f moves at worst, about 400 gas each.
    function _scoringSteps(Terms memory terms) private pure returns (uint256) {
        uint256 groups = terms.mostOwners / terms.groupSize;
        // slither-disable-next-line divide-before-multiply
        return groups * groups * uint256(terms.faultyGroups);
    }

    /// @dev The largest b of at most 32 with 4096 B ((h + 1) h 2^b)^2 < 2^82, so that squared distances of two packed weights do not
    /// overlap.
    function _mostUpdateBits(uint256 groupSize, uint256 polynomials) private pure returns (uint256 bits) {
        uint256 scale = (groupSize + 1) * groupSize;
        uint256 energy = 4096 * polynomials * scale * scale;
        bits = 32;
        // Ends above 2: 4096 B (272)^2 < 2^38 for the checked B <= 512 and h <= 16.
        while (energy << (2 * bits) >= 2 ** 82) --bits;
    }

    /// @dev Refuse a number out of bounds.
    function _within(string memory field, uint256 actual, uint256 least, uint256 most) private pure {
        if (actual < least || actual > most) revert IMarket.MarketBadTerms(field, actual, least, most);
    }
}
