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
import {Signatures} from "./libraries/Signatures.sol";
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
    using Signatures for Signatures.Message;
    using Disputes for Disputes.Book;
    using Registry for Registry.Owners;
    using Treasury for Treasury.Books;

    /// @dev A digest and a signature.
    uint256 private constant _DELIVERY_BYTES = 32 + Signatures.SIGNATURE_BYTES;

    /// @inheritdoc IMarket
    uint256 public immutable blobs;

    constructor(uint256 blobs_) {
        blobs = blobs_;
    }

    /// @inheritdoc IMarket
    function accuse(
        uint32 round,
        uint256 seats,
        bytes32[] calldata digests,
        bytes calldata signatures
    ) external payable nonReentrant {
        Live memory live = _at(_OPEN);
        _onlyModelOwner();
        _onlyRound(round, live);
        Terms memory numbers = TermsCode.numbers();
        if (numbers.answerSeconds == 0) revert MarketNoAccusations();
        uint256 accuseBy = uint256(live.settleBy) - numbers.answerSeconds - numbers.proveSeconds;
        if (block.timestamp > accuseBy) revert MarketTooLate(block.timestamp, accuseBy);
        _checkAccused(live, numbers, seats, digests, signatures);

        _disputes.accuse(live, seats, numbers.accuseFeeWei, _answerCostWei(numbers), msg.sender);
        live.answerBy = uint40(block.timestamp + numbers.answerSeconds);
        _live = live;
        emit Accused(live.epoch, round, seats, live.answerBy);
    }

    /// @inheritdoc IMarket
    function answer(
        uint32 round,
        uint8 seat,
        uint16 first,
        bytes calldata points,
        bytes32[] calldata proofs,
        bytes calldata delivery
    ) external nonReentrant {
        Live memory live = _at(_OPEN);
        _onlyRound(round, live);
        if (!_pending(live).has(seat)) revert MarketNotAccused(seat);
        if (block.timestamp > live.answerBy) revert MarketTooLate(block.timestamp, live.answerBy);
        Terms memory numbers = TermsCode.numbers();
        uint256 polynomials = TermsBounds.polynomialsFor(numbers.weights);
        Disputes.Accusation memory accused = _disputes.accusations[seat];
        uint256 last = Disputes.checkAnswer(accused, first, points, proofs, polynomials);
        bool delivers = numbers.projected && last == polynomials;
        if (delivery.length != (delivers ? _DELIVERY_BYTES : 0)) {
            revert MarketWrongLength(delivery.length, delivers ? _DELIVERY_BYTES : 0);
        }
        if (delivers) _checkDelivery(live, seat, delivery);

        emit Answered(live.epoch, round, seat, uint16(accused.polynomials), uint16(last - accused.polynomials), first);
        _disputes.answer(seat, accused, last, polynomials, numbers.accuseFeeWei);
    }

    /// @inheritdoc IMarket
    function answerCostWei() external view returns (uint256) {
        Terms memory numbers = TermsCode.numbers();
        return numbers.answerSeconds == 0 ? 0 : _answerCostWei(numbers);
    }

    /// @inheritdoc IMarket
    function accusation(uint8 seat) external view returns (bytes32 digest, uint128 depositWei, uint16 answeredPolynomials) {
        Live memory live = _live;
        if (!_isOpen(live) || !_disputes.accusedIn(live).has(seat)) return (0, 0, 0);
        Disputes.Accusation memory accused = _disputes.accusations[seat];
        return (accused.digest, accused.depositWei, accused.polynomials);
    }

    /// @dev Seats accused in the open round that have not answered in full.
    function _pending(Live memory live) internal view returns (uint256 seats) {
        return _disputes.accusedIn(live) & ~_disputes.answeredIn(live);
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
        _disputes.resolve(modelOwner());
    }

    /// @dev Refuse unless the digests are the roster's, and the seats are on it, none of them accused, each with its commitment signed.
    function _checkAccused(
        Live memory live,
        Terms memory numbers,
        uint256 seats,
        bytes32[] memory digests,
        bytes calldata signatures
    ) private {
        if (seats == 0) revert MarketNoSeats();
        uint256[] memory roster = _roster(live, numbers, _rounds.groups);
        uint256 known = Rounds.union(roster);
        if (seats & ~known != 0) revert MarketUnknownSeats(seats, known);
        uint256 again = seats & _disputes.accusedIn(live);
        if (again != 0) revert MarketAlreadyAccused(again);
        // The hash alone does not tell how many digests it is of: the model owner chose it.
        if (digests.length != known.count()) revert MarketWrongLength(digests.length, known.count());
        Rounds.checkRosterHash(_rounds.rosterHash, _rounds.groups, digests);
        _commitment(live).check(roster, seats, _owners.ownerOf, digests, signatures);
        _disputes.keepDigests(roster, seats, digests);
    }

    /// @dev Refuse a delivery, digest and signature, that the seat's owner has not signed.
    function _checkDelivery(Live memory live, uint8 seat, bytes calldata delivery) private {
        bytes32 projectedDigest = bytes32(delivery[:32]);
        _delivery(live).checkOne(seat, _owners.ownerOf[seat], projectedDigest, delivery, 32);
        emit Delivered(live.epoch, live.round, seat, projectedDigest, delivery[32:]);
    }

    /// @dev Least deposit for one accused: twice what an answer costs at this block.
    function _answerCostWei(Terms memory numbers) private view returns (uint256) {
        return 2 * Disputes.answerCostWei(TermsBounds.polynomialsFor(numbers.weights), blobs);
    }
}
