// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../interfaces/IMarket.sol";
import {IVerification, Statement, Verdict} from "../interfaces/IVerification.sol";
import {Terms} from "../interfaces/MarketTypes.sol";
import {Bits} from "./Bits.sol";
import {MultiKrum} from "./MultiKrum.sol";
import {TermsBounds} from "./TermsBounds.sol";

/// @title Rounds
/// @notice The live round, what finished rounds pay, and the judgement of a settlement.
library Rounds {
    using Bits for uint256;

    /// @dev Bit of `paid` that marks a round which timed out: its seats have a share of the bond too. Seats are below 254.
    uint256 internal constant TIMED_OUT = 1 << 255;

    /// @dev The live round's, and what finished rounds owe.
    struct Book {
        bytes32 taskHash; // of the last anchored round
        bytes32 rosterHash; // of the last opened round
        uint256 groups; // of the last opened round
        mapping(uint32 round => uint256) paid; // seats, and TIMED_OUT; 0 for a round that lapsed
        mapping(uint32 round => uint256) bondShareWei;
    }

    /// @notice Outcome of a settlement, as bitmaps over roster positions.
    struct Judgement {
        uint256 accepted;
        uint256 excluded;
    }

    /// @notice What a settlement is bound to.
    function contextOf(bytes32 epochSeed, uint32 epoch, uint32 round, bytes32 taskHash) internal view returns (bytes32) {
        bytes32 tag = keccak256("OmniLytics/v1/settlement");
        return keccak256(abi.encode(tag, block.chainid, address(this), epochSeed, epoch, round, taskHash));
    }

    /// @notice Seats of all groups together.
    function union(uint256[] memory seats) internal pure returns (uint256) {
        return union(seats, type(uint256).max);
    }

    /// @notice Seats of the groups at `positions`.
    function union(uint256[] memory seats, uint256 positions) internal pure returns (uint256 all) {
        for (uint256 i = 0; i < seats.length; ++i) {
            if (positions.has(i)) all |= seats[i];
        }
    }

    /// @notice Positions of the groups that have a seat of `some`.
    function having(uint256[] memory seats, uint256 some) internal pure returns (uint256 positions) {
        for (uint256 i = 0; i < seats.length; ++i) {
            if (seats[i] & some != 0) positions |= 1 << i;
        }
    }

    /// @notice Ask the verification for the distances and select.
    /// @param seats Seats of each group of the roster.
    /// @param outside Roster positions of groups that do not take part.
    function judge(
        Terms memory terms,
        bytes32 context,
        bytes32 rosterHash,
        uint256[] memory seats,
        uint256 outside,
        bytes calldata settlement
    ) internal returns (Judgement memory judgement) {
        uint256[] memory sizes = new uint256[](seats.length);
        for (uint256 i = 0; i < sizes.length; ++i) sizes[i] = seats[i].count();
        Verdict memory verdict = IVerification(terms.verification).verify(
            Statement({
                context: context,
                rosterHash: rosterHash,
                sizes: sizes,
                outside: outside,
                polynomials: TermsBounds.polynomialsFor(terms.weights),
                updateBits: terms.updateBits
            }),
            settlement
        );
        uint256 judged = Bits.below(sizes.length) & ~outside;
        if (verdict.excluded & ~judged != 0) revert IMarket.MarketUnknownGroup(verdict.excluded, judged);
        judgement.excluded = verdict.excluded;
        judgement.accepted = _select(terms, verdict, sizes, judged & ~verdict.excluded);
    }

    /// @dev Positions of the accepted among those taking part. At most f groups go unpaid: excluded, not eligible, or dropped.
    function _select(
        Terms memory terms,
        Verdict memory verdict,
        uint256[] memory sizes,
        uint256 taking
    ) private pure returns (uint256) {
        uint256 groups = taking.count();
        uint256 excluded = verdict.excluded.count();
        uint256 most = terms.faultyGroups;
        if (verdict.distances.length != MultiKrum.pairs(groups)) {
            revert IMarket.MarketWrongLength(verdict.distances.length, MultiKrum.pairs(groups));
        }
        if (excluded > most) revert IMarket.MarketTooManyUnpaid(excluded, most);
        uint256 faulty = most - excluded;
        uint256 scale = MultiKrum.lcm(sizes, taking);
        uint256 set = MultiKrum.eligible(verdict.distances, groups, scale, terms.normBound);
        uint256 ineligible = groups - set.count();
        if (ineligible > faulty) revert IMarket.MarketTooManyUnpaid(excluded + ineligible, most);
        uint256[] memory scores = MultiKrum.scores(verdict.distances, groups, faulty);
        return taking.pick(MultiKrum.lowest(scores, set, groups > faulty ? groups - faulty : 0));
    }

    /// @notice What finished rounds after `from` and up to `through` owe a seat.
    function owedTo(
        Book storage self,
        uint8 seat,
        uint32 from,
        uint32 through,
        uint256 rewardWei
    ) internal view returns (uint256 amountWei) {
        // Round numbers are far from their type's end, and amounts are bounded by what was ever funded.
        unchecked {
            for (uint32 round = from + 1; round <= through; ++round) {
                uint256 paid = self.paid[round];
                if (!paid.has(seat)) continue;
                amountWei += rewardWei;
                if (paid & TIMED_OUT != 0) amountWei += self.bondShareWei[round];
            }
        }
    }
}
