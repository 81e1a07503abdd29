// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {MarketBase} from "./MarketBase.sol";
import {IMarket} from "./interfaces/IMarket.sol";
import {Terms} from "./interfaces/MarketTypes.sol";
import {Bits} from "./libraries/Bits.sol";
import {Disputes} from "./libraries/Disputes.sol";
import {Registry} from "./libraries/Registry.sol";
import {Rounds} from "./libraries/Rounds.sol";
import {TermsBounds} from "./libraries/TermsBounds.sol";
import {TermsCode} from "./libraries/TermsCode.sol";
import {Treasury} from "./libraries/Treasury.sol";
import {Live} from "./types/Live.sol";

/// @title MarketDisputes
/// @notice What the model owner does about members that do not deliver, what they do about it, and what becomes of both.
/// @dev No money goes out here: it is freed, credited or owed.
// slither-disable-next-line locked-ether
abstract contract MarketDisputes is MarketBase, ReentrancyGuardTransient {
    using Bits for uint256;
    using Disputes for Disputes.Book;
    using Registry for Registry.Owners;
    using Treasury for Treasury.Books;

    /// @inheritdoc IMarket
    function accuse(uint32 round, uint256 seats, bytes32[] calldata digests) external payable nonReentrant {
        Live memory live = _at(_OPEN);
        _onlyModelOwner();
        _onlyRound(round, live);
        Terms memory numbers = TermsCode.numbers();
        uint256 accuseBy = uint256(live.settleBy) - numbers.answerSeconds - numbers.proveSeconds;
        if (block.timestamp > accuseBy) revert MarketTooLate(block.timestamp, accuseBy);
        // Copied once: hashed as a whole, then read here and there.
        bytes32[] memory copied = digests;
        uint256[] memory roster = _checkAccused(live, numbers, seats, copied);

        uint256 costWei = Disputes.answerCostWei(TermsBounds.polynomialsFor(numbers.weights));
        _disputes.accuse(live, roster, seats, copied, numbers.accuseFeeWei, costWei, msg.sender);
        live.answerBy = uint40(block.timestamp + numbers.answerSeconds);
        _live = live;
        emit Accused(live.epoch, round, seats, live.answerBy);
    }

    /// @inheritdoc IMarket
    function answer(uint32 round, uint8 seat, bytes calldata points, uint16 first, uint16 count) external nonReentrant {
        Live memory live = _at(_OPEN);
        _onlyRound(round, live);
        if (!(_disputes.accusedIn(live) & ~_disputes.answeredIn(live)).has(seat)) revert MarketNotAccused(seat);
        if (block.timestamp > live.answerBy) revert MarketTooLate(block.timestamp, live.answerBy);
        Terms memory numbers = TermsCode.numbers();
        uint256 polynomials = TermsBounds.polynomialsFor(numbers.weights);
        Disputes.Accusation memory accused = _disputes.accusations[seat];
        Disputes.checkAnswer(accused, points, first, count, polynomials);

        _disputes.answer(seat, accused, count, polynomials, _owners.ownerOf[seat], numbers.accuseFeeWei);
        emit Answered(live.epoch, round, seat, first, count);
    }

    /// @inheritdoc IMarket
    function answerCostWei() external view returns (uint256) {
        return Disputes.answerCostWei(TermsBounds.polynomialsFor(TermsCode.numbers().weights));
    }

    /// @inheritdoc IMarket
    function accusation(uint8 seat) external view returns (bytes32 digest, uint128 depositWei, uint16 answeredPolynomials) {
        Live memory live = _live;
        if (!_isOpen(live) || !_disputes.accusedIn(live).has(seat)) return (0, 0, 0);
        Disputes.Accusation memory accused = _disputes.accusations[seat];
        return (accused.digest, accused.depositWei, accused.polynomials);
    }

    /// @dev Positions of the void groups: those with a lapsed member, unless waived.
    /// @param seats Seats of each group of the roster.
    /// @param waived Positions.
    function _voided(Live memory live, uint256[] memory seats, uint256 waived) internal view returns (uint256 positions) {
        uint256 lapsed = _disputes.lapsedIn(live);
        return lapsed == 0 ? 0 : Rounds.having(seats, lapsed) & ~waived;
    }

    /// @dev End the disputes of a round that is settled: slash the lapsed of void groups, and owe the others of these groups.
    /// @param seats Seats of each group of the roster.
    /// @param waived Positions.
    /// @return compensated Seats that are owed a reward from the lost stakes.
    function _resolve(
        Live memory live,
        Terms memory numbers,
        uint256[] memory seats,
        uint256 waived
    ) internal returns (uint256 compensated) {
        uint256 voided = _voided(live, seats, waived);
        uint256 affected = Rounds.union(seats, voided);
        uint256 lost = affected & _disputes.lapsedIn(live);
        compensated = affected & ~lost;
        if (lost != 0) {
            _owners.slash(lost);
            // A stake is worth more rewards than a group has other members.
            uint256 burnedWei = _books.forfeit(lost.count() * numbers.stakeWei, compensated.count() * numbers.rewardWei);
            emit Voided(live.epoch, live.round, _rounds.groups.pick(voided), lost, burnedWei);
        }
        _disputes.resolve(lost, _owners.ownerOf, numbers.accuseFeeWei, modelOwner());
    }

    /// @dev The roster, if the digests are its own and the seats are on it, none of them accused.
    function _checkAccused(
        Live memory live,
        Terms memory numbers,
        uint256 seats,
        bytes32[] memory digests
    ) private view returns (uint256[] memory roster) {
        if (seats == 0) revert MarketNoSeats();
        (bytes32 actual, bytes32 expected) = (keccak256(abi.encodePacked(digests)), _rounds.rosterHash);
        if (actual != expected) revert MarketWrongDigests(actual, expected);
        roster = _roster(live, numbers, _rounds.groups);
        uint256 known = Rounds.union(roster);
        if (seats & ~known != 0) revert MarketUnknownSeats(seats, known);
        uint256 again = seats & _disputes.accusedIn(live);
        if (again != 0) revert MarketAlreadyAccused(again);
    }
}
