// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "./interfaces/IMarket.sol";
import {MarketState, OwnerRecord, Stage, Terms} from "./interfaces/MarketTypes.sol";
import {Bits} from "./libraries/Bits.sol";
import {Disputes} from "./libraries/Disputes.sol";
import {Domain} from "./libraries/Domain.sol";
import {Epochs} from "./libraries/Epochs.sol";
import {Registry} from "./libraries/Registry.sol";
import {Rounds} from "./libraries/Rounds.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {TermsCode} from "./libraries/TermsCode.sol";
import {Treasury} from "./libraries/Treasury.sol";
import {Live} from "./types/Live.sol";

/// @title MarketBase
/// @notice What a market keeps, the door that its entries start at, and what it tells.
abstract contract MarketBase is IMarket {
    using Bits for uint256;
    using Disputes for Disputes.Book;
    using Epochs for Epochs.Epoch;
    using Registry for Registry.Owners;
    using Rounds for Rounds.Book;
    using Signatures for Signatures.Message;

    uint256 internal constant _ENROLLING = 1 << uint8(Stage.Enrolling);
    uint256 internal constant _FROZEN = 1 << uint8(Stage.Frozen);
    uint256 internal constant _IDLE = 1 << uint8(Stage.Idle);
    uint256 internal constant _ANCHORED = 1 << uint8(Stage.Anchored);
    uint256 internal constant _OPEN = 1 << uint8(Stage.Open);
    uint256 internal constant _NOT_CLOSED = _ENROLLING | _FROZEN | _IDLE | _ANCHORED | _OPEN;

    Live internal _live;
    Treasury.Books internal _books;
    Registry.Owners internal _owners;
    Epochs.Epoch internal _epoch;
    Rounds.Book internal _rounds;
    Disputes.Book internal _disputes;

    /// @inheritdoc IMarket
    function terms() external view returns (Terms memory) {
        // The code holds the ABI encoding of the answer.
        bytes memory encoded = TermsCode.encoded();
        assembly ("memory-safe") {
            return(add(encoded, 0x20), mload(encoded))
        }
    }

    /// @inheritdoc IMarket
    function termsHash() external view returns (bytes32) {
        return keccak256(TermsCode.encoded());
    }

    /// @inheritdoc IMarket
    function state() external view returns (MarketState memory market) {
        Live memory live = _live;
        bool drawn = live.hasRound() || live.stage == Stage.Idle;
        market.stage = live.stage;
        market.epoch = live.epoch;
        market.round = live.round;
        market.openedInEpoch = live.openedInEpoch;
        if (live.stage == Stage.Frozen) market.drawBlock = live.drawBlock;
        if (drawn) market.epochSeed = _epoch.seed;
        if (live.hasRound()) (market.openBy, market.taskHash) = (live.openBy, _rounds.taskHash);
        if (_isOpen(live)) (market.settleBy, market.rosterHash, market.groups) = (live.settleBy, _rounds.rosterHash, _rounds.groups);
        (market.members, market.enrolled, market.staked) = (_epoch.members, _owners.enrolled, _owners.staked);
        (market.escrowWei, market.bondWei) = (_books.escrowWei, _books.bondWei);
        market.stakesWei = _owners.staked.count() * TermsCode.numbers().stakeWei;
        (market.owedWei, market.creditsWei) = (_books.owedWei, _books.creditsWei);
        if (_isOpen(live)) market.answerBy = live.answerBy;
        if (_isOpen(live)) (market.accused, market.answered) = (_disputes.accusedIn(live), _disputes.answeredIn(live));
        market.slashed = _owners.slashed;
        market.disputesWei = uint256(_disputes.heldWei) + _disputes.freedWei;
    }

    /// @inheritdoc IMarket
    function ownerRecord(address account) external view returns (OwnerRecord memory) {
        return _owners.records[account];
    }

    /// @inheritdoc IMarket
    function members()
        external
        view
        returns (address[] memory owners, uint8[] memory seats, bytes32[] memory maskKeys, uint32[] memory examples)
    {
        return _owners.list(_epoch.members, _live.epoch);
    }

    /// @inheritdoc IMarket
    function groupSeats(uint256 group) external view returns (uint256 seats) {
        Live memory live = _live;
        Terms memory numbers = TermsCode.numbers();
        bool drawn = live.stage == Stage.Idle || live.stage == Stage.Anchored || live.stage == Stage.Open;
        if (!drawn || group >= live.members / numbers.groupSize) return 0;
        return _roster(live, numbers, 1 << group)[0];
    }

    /// @inheritdoc IMarket
    function paidSeats(uint32 round) external view returns (uint256 seats) {
        return _rounds.paid[round] & ~Rounds.TIMED_OUT;
    }

    /// @inheritdoc IMarket
    function bondShareWei(uint32 round) external view returns (uint256 shareWei) {
        return _rounds.bondShareWei[round];
    }

    /// @inheritdoc IMarket
    function claimableWei(address owner) external view returns (uint256 amountWei) {
        OwnerRecord memory record = _owners.records[owner];
        if (!record.registered) return 0;
        return _rounds.owedTo(record.seat, record.claimedThrough, _live.lastFinished(), TermsCode.numbers().rewardWei);
    }

    /// @inheritdoc IMarket
    function commitmentHash(bytes32 digest) external view returns (bytes32) {
        return _commitment(_at(_ANCHORED | _OPEN)).hashOf(digest);
    }

    /// @inheritdoc IMarket
    function deliveryHash(bytes32 projectedDigest) external view returns (bytes32) {
        return _delivery(_at(_OPEN)).hashOf(projectedDigest);
    }

    /// @inheritdoc IMarket
    function modelOwner() public view returns (address) {
        return TermsCode.modelOwner();
    }

    /// @dev The one door: every entry that depends on the stage starts here.
    function _at(uint256 allowed) internal view returns (Live memory live) {
        live = _live;
        if (!allowed.has(uint8(live.stage))) revert MarketWrongStage(live.stage, allowed);
    }

    /// @dev Whether a round is open.
    function _isOpen(Live memory live) internal pure returns (bool) {
        return live.stage == Stage.Open;
    }

    /// @dev Refuse all callers but the model owner.
    function _onlyModelOwner() internal view {
        if (msg.sender != modelOwner()) revert MarketNotModelOwner(msg.sender);
    }

    /// @dev Refuse a call that means another round than the live one.
    function _onlyRound(uint32 round, Live memory live) internal pure {
        if (round != live.round) revert MarketWrongRound(round, live.round);
    }

    /// @dev Seats of each of a set of groups of the present epoch.
    function _roster(Live memory live, Terms memory numbers, uint256 groups) internal view returns (uint256[] memory seats) {
        return _epoch.roster(live.members, numbers.groupSize, groups);
    }

    /// @dev What data owners sign to commit in the live round.
    function _commitment(Live memory live) internal view returns (Signatures.Message memory) {
        return Signatures.commitment(Domain.separator(), live.epoch, live.round, _rounds.taskHash, live.openBy);
    }

    /// @dev What data owners sign to deliver in the open round of a projected market.
    function _delivery(Live memory live) internal view returns (Signatures.Message memory) {
        return Signatures.delivery(Domain.separator(), live.epoch, live.round, _rounds.taskHash, _rounds.rosterHash);
    }

    /// @dev Multi-Krum tolerates f faulty groups among 2f + 3: an epoch has at least so many.
    function _leastGroups(Terms memory numbers) internal pure returns (uint256) {
        return 2 * uint256(numbers.faultyGroups) + 3;
    }
}
