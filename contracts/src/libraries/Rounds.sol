// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../interfaces/IMarket.sol";
import {IVerification, Statement, Verdict} from "../interfaces/IVerification.sol";
import {Terms} from "../interfaces/MarketTypes.sol";
import {Bits} from "./Bits.sol";
import {MultiKrum} from "./MultiKrum.sol";
import {TermsBounds} from "./TermsBounds.sol";

/// @title Rounds
/// @notice The live round, what finished rounds pay, and how a settlement is judged.
library Rounds {
    using Bits for uint256;

    /// @dev Bit of `paid` that marks a round which timed out: its seats have a share of the bond too. Seats are below 254.
    uint256 internal constant TIMED_OUT = 1 << 255;

    /// @dev The live round's, and what finished rounds owe.
    struct Book {
        bytes32 taskHash; // of the last anchored round
        bytes32 rosterHash; // of the last opened round: of its groups and digests
        uint256 groups; // of the last opened round
        mapping(uint32 round => uint256) paid; // seats, and TIMED_OUT; 0 for a round that lapsed
        mapping(uint32 round => uint256) bondShareWei;
    }

    /// @notice What a settlement is bound to.
    function contextOf(bytes32 epochSeed, uint32 epoch, uint32 round, bytes32 taskHash) internal view returns (bytes32) {
        bytes32 tag = keccak256("OmniLytics/v2/settlement");
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

    /// @notice Ask the verification for digests and distances; refused unless there is a distance for each pair.
    /// @param seats Seats of each group of the roster.
    /// @param outside Roster positions of groups that do not take part.
    function verify(
        Terms memory terms,
        bytes32 context,
        bytes32 rosterHash,
        uint256[] memory seats,
        uint256 outside,
        bytes calldata settlement
    ) internal returns (Verdict memory verdict) {
        uint256[] memory sizes = new uint256[](seats.length);
        for (uint256 i = 0; i < sizes.length; ++i) sizes[i] = seats[i].count();
        verdict = IVerification(terms.verification).verify(
            Statement({
                context: context,
                rosterHash: rosterHash,
                sizes: sizes,
                outside: outside,
                polynomials: TermsBounds.polynomialsProven(terms)
            }),
            settlement
        );
        uint256 pairs = MultiKrum.pairs((Bits.below(sizes.length) & ~outside).count());
        if (verdict.distances.length != pairs) revert IMarket.MarketWrongLength(verdict.distances.length, pairs);
    }

    /// @notice Refuse unless the digests of all members hash to the roster's hash.
    function checkRosterHash(bytes32 rosterHash, uint256 groups, bytes32[] memory digests) internal pure {
        bytes32 actual = keccak256(abi.encodePacked(groups, digests));
        if (actual != rosterHash) revert IMarket.MarketWrongDigests(actual, rosterHash);
    }

    /// @notice Roster positions of the accepted among `judged`. At most f' groups go unpaid: not eligible, or dropped.
    /// @param seats Seats of each group of the roster.
    function select(
        Terms memory terms,
        uint256[] memory distances,
        uint256[] memory seats,
        uint256 judged
    ) internal pure returns (uint256) {
        uint256 groups = judged.count();
        uint256[] memory sizes = new uint256[](groups);
        uint256 next = 0;
        for (uint256 i = 0; i < seats.length; ++i) {
            if (judged.has(i)) sizes[next++] = seats[i].count();
        }
        uint256 most = MultiKrum.mostUnpaid(groups, terms.faultyGroups);
        uint256 scale = MultiKrum.lcm(sizes);
        uint256 bound = scale * scale * terms.normBound * (terms.projected ? TermsBounds.COPIES : 1);
        uint256 set = MultiKrum.eligible(distances, groups, bound);
        uint256 ineligible = groups - set.count();
        if (ineligible > most) revert IMarket.MarketTooManyUnpaid(ineligible, most);
        if (most == 0) return judged;
        uint256[] memory scores = MultiKrum.scores(distances, sizes, most);
        return judged.pick(MultiKrum.keep(scores, set, most - ineligible, terms.outlierPercent));
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
