// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IMarket} from "../interfaces/IMarket.sol";
import {Terms} from "../interfaces/MarketTypes.sol";

/// @title TermsBounds
/// @notice The bounds of every number of a market's terms; docs/specification/protocol.md section 1.
library TermsBounds {
    /// @dev Two weights to a field element, 4096 elements to a polynomial.
    uint256 private constant _WEIGHTS_PER_POLYNOMIAL = 8192;
    /// @dev Seats are numbered 0 .. 253, so that a bitmap of them has room for a flag.
    uint256 private constant _MOST_SEATS = 254;
    /// @dev Scoring g groups, f of them faulty, takes g^2 f steps; with so many a settlement stays below the gas of one transaction.
    uint256 private constant _MOST_SCORING_STEPS = 10_000;
    uint256 private constant _LONGEST_SECONDS = 30 days;
    /// @dev An answer window must outlast whoever buys blocks out.
    uint256 private constant _SHORTEST_ANSWER_SECONDS = 1800;
    /// @dev Above that an answer costs more than it protects.
    uint256 private constant _MOST_ANSWERED_POLYNOMIALS = 512;
    /// @dev s: a projection adds so many copies of each polynomial, so that squared lengths come out s times as large.
    uint256 internal constant COPIES = 4;

    /// @notice Number B of polynomials of an update of `weights` weights.
    function polynomialsFor(uint256 weights) internal pure returns (uint256) {
        return Math.ceilDiv(weights, _WEIGHTS_PER_POLYNOMIAL);
    }

    /// @notice Number P of polynomials that a settlement proves for each member.
    function polynomialsProven(Terms memory terms) internal pure returns (uint256) {
        return terms.projected ? 1 : polynomialsFor(terms.weights);
    }

    /// @notice Refuse terms with a number out of bounds. Fields that others depend on come first, then the order of the table.
    /// @param blobs Blobs that a transaction may carry; 0 on a chain without.
    function check(Terms memory terms, uint256 blobs) internal pure {
        _within("groupSize", terms.groupSize, 3, 16);
        _within("faultyGroups", terms.faultyGroups, 1, 20);
        _within("weights", terms.weights, 1, 2 ** 26);
        _checkMoney(terms);
        _checkSizes(terms);
        _checkTimes(terms, blobs);
        _within("metrics", bytes(terms.metrics).length, 0, 256);
    }

    /// @dev Amounts.
    function _checkMoney(Terms memory terms) private pure {
        _within("rewardWei", terms.rewardWei, 1, 2 ** 96);
        _within("stakeWei", terms.stakeWei, (uint256(terms.groupSize) + 1) * terms.rewardWei, 2 ** 104);
        // Everybody's share of the bond is at least one unit.
        _within("bondWei", terms.bondWei, terms.mostOwners, 2 ** 104);
        _within("accuseFeeWei", terms.accuseFeeWei, 0, 2 ** 96);
    }

    /// @dev Numbers of owners, bits and rounds.
    function _checkSizes(Terms memory terms) private pure {
        uint256 leastOwners = uint256(terms.groupSize) * (2 * uint256(terms.faultyGroups) + 3);
        _within("mostOwners", terms.mostOwners, leastOwners, _MOST_SEATS);
        _within("scoringSteps", _scoringSteps(terms), 0, _MOST_SCORING_STEPS);
        if (terms.outlierPercent != 0) _within("outlierPercent", terms.outlierPercent, 110, 200);
        _within("updateBits", terms.updateBits, 3, _mostUpdateBits(terms));
        _within("clipNano", terms.clipNano, 1, 10 ** 12);
        _within("normBound", terms.normBound, 1, 2 ** 100);
        _within("roundsPerEpoch", terms.roundsPerEpoch, 1, 10_000);
    }

    /// @dev Windows, whose floors grow with owners and polynomials. Without an answer window there are no accusations.
    function _checkTimes(Terms memory terms, uint256 blobs) private pure {
        uint256 owners = terms.mostOwners;
        uint256 polynomials = polynomialsFor(terms.weights);
        _within("commitSeconds", terms.commitSeconds, 60, _LONGEST_SECONDS);
        _within("accuseSeconds", terms.accuseSeconds, 60 + owners, _LONGEST_SECONDS);
        if (blobs == 0 || polynomials > _MOST_ANSWERED_POLYNOMIALS) {
            _within("answerSeconds", terms.answerSeconds, 0, 0);
        } else if (terms.answerSeconds != 0) {
            uint256 answerSeconds = Math.max(_SHORTEST_ANSWER_SECONDS, 60 + 12 * owners * Math.ceilDiv(polynomials, blobs));
            _within("answerSeconds", terms.answerSeconds, answerSeconds, _LONGEST_SECONDS);
        }
        _within("proveSeconds", terms.proveSeconds, 120 + owners * polynomialsProven(terms) + polynomials, _LONGEST_SECONDS);
        _within("drawDelayBlocks", terms.drawDelayBlocks, 2, 4096);
    }

    /// @dev Multi-Krum keeps f + 1 distances of each group sorted: G^2 f moves at worst, about 400 gas each.
    function _scoringSteps(Terms memory terms) private pure returns (uint256) {
        uint256 groups = terms.mostOwners / terms.groupSize;
        // slither-disable-next-line divide-before-multiply
        return groups * groups * uint256(terms.faultyGroups);
    }

    /// @dev The largest b of at most 32 with 4096 B (h (h + 1) 2^b)^2 < 2^82, and 4096 (s B h (h + 1) 2^b)^2 under projection, so that
    /// squared distances of two packed weights do not overlap.
    function _mostUpdateBits(Terms memory terms) private pure returns (uint256 bits) {
        uint256 polynomials = polynomialsFor(terms.weights);
        uint256 scale = (uint256(terms.groupSize) + 1) * terms.groupSize;
        uint256 energy = 4096 * scale * scale * polynomials;
        if (terms.projected) energy *= COPIES * COPIES * polynomials;
        bits = 32;
        // Ends: with the checked B <= 8192 and h <= 16 energy is below 2^12 2^18 2^4 2^26.
        while (energy << (2 * bits) >= 2 ** 82) --bits;
    }

    /// @dev Refuse a number out of bounds.
    function _within(string memory field, uint256 actual, uint256 least, uint256 most) private pure {
        if (actual < least || actual > most) revert IMarket.MarketBadTerms(field, actual, least, most);
    }
}
