// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {IAdmission} from "./interfaces/IAdmission.sol";
import {MarketDisputes} from "./MarketDisputes.sol";
import {IMarket} from "./interfaces/IMarket.sol";
import {Verdict} from "./interfaces/IVerification.sol";
import {OwnerRecord, Stage, Terms} from "./interfaces/MarketTypes.sol";
import {Bits} from "./libraries/Bits.sol";
import {Disputes} from "./libraries/Disputes.sol";
import {Draw} from "./libraries/Draw.sol";
import {Epochs} from "./libraries/Epochs.sol";
import {MaskKeys} from "./libraries/MaskKeys.sol";
import {Registry} from "./libraries/Registry.sol";
import {Rounds} from "./libraries/Rounds.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {TermsCode} from "./libraries/TermsCode.sol";
import {Treasury} from "./libraries/Treasury.sol";
import {Live} from "./types/Live.sol";

/// @title Market
/// @notice The code of every market: proxies with their terms behind them run it. It is not a market itself, and closed from birth.
/// @dev Each entry names its stages at the one door `_at`, then checks in the order that README.md lists, then changes the books, then
/// moves money. Every entry that changes anything holds the reentrancy guard.
contract Market is MarketDisputes {
    using Bits for uint256;
    using Disputes for Disputes.Book;
    using Epochs for Epochs.Epoch;
    using Registry for Registry.Owners;
    using Rounds for Rounds.Book;
    using Signatures for Signatures.Message;
    using Treasury for Treasury.Books;

    /// @param blobs_ Blobs that a transaction of this chain may carry; 0 if it has none.
    constructor(uint256 blobs_) MarketDisputes(blobs_) {
        address history = Blockhash.HISTORY_STORAGE_ADDRESS;
        if (history.code.length == 0) revert MarketUnsupportedChain(history);
        _live.stage = Stage.Closed;
    }

    // ------------------------------------------------------------------------------------------------------------ data owners

    /// @inheritdoc IMarket
    function join(
        bytes32 expectedTerms,
        bytes32 maskKey,
        uint32 examples,
        bytes calldata admissionData
    ) external payable nonReentrant {
        Live memory live = _at(_NOT_CLOSED);
        bytes32 hash = keccak256(TermsCode.encoded());
        if (expectedTerms != hash) revert MarketWrongTerms(expectedTerms, hash);
        if (!MaskKeys.isUsable(maskKey)) revert MarketBadMaskKey(maskKey);
        OwnerRecord memory record = _owners.records[msg.sender];
        if (record.leaveAt != 0) revert MarketLeaving(msg.sender, record.leaveAt);
        Terms memory numbers = TermsCode.numbers();
        _admit(numbers.admission, live.epoch + 1, admissionData);

        uint256 dueWei = 0;
        if (!record.registered) {
            record.seat = _owners.register(msg.sender, _epoch.members, numbers.mostOwners, live.round);
            dueWei = numbers.stakeWei;
        } else if (_owners.restake(record.seat)) {
            dueWei = numbers.stakeWei;
        }
        _owners.enrol(record.seat, live.epoch + 1, maskKey, examples);
        emit Joined(msg.sender, record.seat, live.epoch + 1, maskKey, examples);
        Treasury.collect(numbers.token, dueWei);
    }

    /// @inheritdoc IMarket
    function leave() external nonReentrant {
        Terms memory numbers = TermsCode.numbers();
        uint256 delaySeconds =
            uint256(numbers.commitSeconds) + numbers.accuseSeconds + numbers.answerSeconds + numbers.proveSeconds;
        uint64 leaveAt = uint64(block.timestamp + delaySeconds);
        _owners.leave(msg.sender, leaveAt);
        emit Left(msg.sender, leaveAt);
    }

    /// @inheritdoc IMarket
    function depart(address owner) external nonReentrant {
        Live memory live = _live;
        Terms memory numbers = TermsCode.numbers();
        uint256 onRoster = _isOpen(live) ? Rounds.union(_roster(live, numbers, _rounds.groups)) : 0;
        (OwnerRecord memory record, bool staked) = _owners.depart(owner, onRoster);
        uint256 amountWei = _rounds.owedTo(record.seat, record.claimedThrough, live.lastFinished(), numbers.rewardWei);
        _books.settleDebt(amountWei);
        if (staked) amountWei += numbers.stakeWei;
        emit Departed(owner, record.seat, amountWei);
        Treasury.pay(numbers.token, owner, amountWei);
    }

    /// @inheritdoc IMarket
    function claim(address owner, uint32 throughRound) external nonReentrant {
        OwnerRecord memory record = _owners.records[owner];
        if (!record.registered) revert MarketNotRegistered(owner);
        uint32 finished = _live.lastFinished();
        uint32 through = throughRound < finished ? throughRound : finished;
        if (through <= record.claimedThrough) revert MarketNothingToClaim(throughRound, record.claimedThrough);
        Terms memory numbers = TermsCode.numbers();
        uint256 amountWei = _rounds.owedTo(record.seat, record.claimedThrough, through, numbers.rewardWei);

        _owners.records[owner].claimedThrough = through;
        _books.settleDebt(amountWei);
        emit Claimed(owner, through, amountWei);
        Treasury.pay(numbers.token, owner, amountWei);
    }

    // ------------------------------------------------------------------------------------------------------------------ epochs

    /// @inheritdoc IMarket
    function freeze() external nonReentrant {
        Live memory live = _at(_ENROLLING | _IDLE | _ANCHORED);
        _onlyModelOwner();
        Terms memory numbers = TermsCode.numbers();
        uint256 enrolled = _owners.enrolled;
        uint256 size = enrolled.count();
        Epochs.checkSize(size, numbers.groupSize, _leastGroups(numbers));

        (_epoch.members, _owners.enrolled) = (enrolled, 0);
        live.stage = Stage.Frozen;
        ++live.epoch;
        live.openedInEpoch = 0;
        live.members = uint8(size);
        live.drawBlock = uint40(block.number + numbers.drawDelayBlocks);
        _live = live;
        emit Frozen(live.epoch, enrolled, live.drawBlock);
    }

    /// @inheritdoc IMarket
    function draw(bytes calldata header, bytes calldata order) external nonReentrant {
        Live memory live = _at(_FROZEN);
        bytes32 epochSeed = Draw.seed(header, live.drawBlock, live.epoch);
        Draw.check(order, epochSeed, _epoch.members, live.members, _owners.ownerOf);

        _epoch.seed = epochSeed;
        _epoch.storeOrder(order);
        _live.stage = Stage.Idle;
        emit Drawn(live.epoch, epochSeed, order);
    }

    // ------------------------------------------------------------------------------------------------------------------ rounds

    /// @inheritdoc IMarket
    function anchor(bytes32 taskHash) external nonReentrant {
        Live memory live = _at(_IDLE | _ANCHORED);
        _onlyModelOwner();
        if (taskHash == 0) revert MarketNoTask();
        _anchor(live, taskHash, TermsCode.numbers().commitSeconds);
        _live = live;
    }

    /// @inheritdoc IMarket
    function open(uint32 round, uint256 groups, bytes32 rosterHash) external nonReentrant {
        Live memory live = _at(_ANCHORED);
        _onlyModelOwner();
        _onlyRound(round, live);
        if (block.timestamp > live.openBy) revert MarketTooLate(block.timestamp, live.openBy);
        if (groups == 0) revert MarketNoGroups();
        Terms memory numbers = TermsCode.numbers();
        if (live.openedInEpoch >= numbers.roundsPerEpoch) revert MarketEpochOver(numbers.roundsPerEpoch);
        uint256 seats = Rounds.union(_roster(live, numbers, groups));
        uint256 unstaked = seats & ~_owners.staked;
        if (unstaked != 0) revert MarketNotStaked(unstaked);
        _books.lockBond(seats.count() * numbers.rewardWei, numbers.bondWei);

        (_rounds.rosterHash, _rounds.groups) = (rosterHash, groups);
        live.stage = Stage.Open;
        live.answerBy = 0;
        ++live.openedInEpoch;
        live.settleBy =
            uint40(block.timestamp + numbers.accuseSeconds + numbers.answerSeconds + numbers.proveSeconds);
        _live = live;
        emit Opened(live.epoch, round, groups, rosterHash, live.settleBy);
    }

    /// @inheritdoc IMarket
    function settle(
        uint32 round,
        bytes calldata settlement,
        bytes calldata signatures,
        uint256 waived,
        bytes32 nextTaskHash
    ) external nonReentrant {
        Live memory live = _at(_OPEN);
        _onlyModelOwner();
        _onlyRound(round, live);
        if (block.timestamp > live.settleBy) revert MarketTooLate(block.timestamp, live.settleBy);
        uint256 pending = _pending(live);
        // An accused has its whole window: nobody settles in front of an answer.
        if (pending != 0 && block.timestamp <= live.answerBy) revert MarketUnresolved(pending, live.answerBy);
        uint256 groups = _rounds.groups;
        if (waived & ~groups != 0) revert MarketUnknownGroup(waived, groups);
        Terms memory numbers = TermsCode.numbers();
        uint256[] memory seats = _roster(live, numbers, groups);
        waived = groups.placesOf(waived);
        uint256 outside = waived | _voided(live, seats, waived);
        // slither-disable-next-line reentrancy-no-eth
        uint256 accepted = _judge(live, numbers, seats, outside, settlement, signatures);

        uint256 paid = Rounds.union(seats, accepted | waived);
        _books.owe(paid.count() * numbers.rewardWei);
        if (live.answerBy != 0) paid |= _resolve(live, numbers, seats, waived);
        _rounds.paid[round] = paid;
        emit Settled(live.epoch, round, groups.pick(accepted), groups.pick(waived), paid);
        if (nextTaskHash == 0) live.stage = Stage.Idle;
        else _anchor(live, nextTaskHash, numbers.commitSeconds);
        _live = live;
    }

    /// @inheritdoc IMarket
    function timeout(uint32 round) external nonReentrant {
        Live memory live = _at(_OPEN);
        _onlyRound(round, live);
        if (block.timestamp <= live.settleBy) revert MarketTooEarly(block.timestamp, uint256(live.settleBy) + 1);
        Terms memory numbers = TermsCode.numbers();
        // Every answer window is over by now.
        uint256 lapsed = _disputes.lapsedIn(live);
        uint256 paid = Rounds.union(_roster(live, numbers, _rounds.groups)) & ~lapsed;

        _rounds.paid[round] = paid | Rounds.TIMED_OUT;
        _books.owe(paid.count() * numbers.rewardWei);
        uint256 shareWei = _books.shareBond(paid.count());
        _rounds.bondShareWei[round] = shareWei;
        if (live.answerBy != 0) _disputes.resolve(modelOwner());
        _live.stage = Stage.Idle;
        emit TimedOut(live.epoch, round, paid, shareWei);
    }

    // ------------------------------------------------------------------------------------------------------------------- money

    /// @inheritdoc IMarket
    function fund(uint256 amountWei) external payable nonReentrant {
        _at(_NOT_CLOSED);
        _books.fund(amountWei);
        emit Funded(msg.sender, amountWei);
        Treasury.collect(TermsCode.numbers().token, amountWei);
    }

    /// @inheritdoc IMarket
    function close() external nonReentrant {
        Live memory live = _at(_ENROLLING | _FROZEN | _IDLE | _ANCHORED);
        if (live.stage == Stage.Frozen) {
            uint256 last = Draw.lastBlock(live.drawBlock);
            if (block.number <= last) revert MarketTooEarly(block.number, last + 1);
        } else {
            _onlyModelOwner();
        }
        uint256 creditWei = _books.creditAll(modelOwner());
        _live.stage = Stage.Closed;
        emit Closed(creditWei);
    }

    /// @inheritdoc IMarket
    function withdraw(address account) external nonReentrant {
        (uint256 amountWei, uint256 refundWei) = (_books.takeCredit(account), _disputes.takeFreed(account));
        if (amountWei == 0 && refundWei == 0) revert MarketNoCredit(account);
        emit Withdrawn(account, amountWei, refundWei);
        Treasury.payWithEther(TermsCode.numbers().token, account, amountWei, refundWei);
    }

    // ---------------------------------------------------------------------------------------------------------------- private

    /// @dev Start the next round in `live`, which the caller stores.
    function _anchor(Live memory live, bytes32 taskHash, uint256 commitSeconds) private {
        live.stage = Stage.Anchored;
        ++live.round;
        live.openBy = uint40(block.timestamp + commitSeconds);
        _rounds.taskHash = taskHash;
        emit Anchored(live.epoch, live.round, taskHash, live.openBy);
    }

    /// @dev Ask the gate, if the market has one.
    function _admit(address admission, uint32 epoch, bytes calldata data) private {
        if (admission != address(0) && !IAdmission(admission).mayJoin(msg.sender, epoch, data)) revert MarketNotAdmitted(msg.sender);
    }

    /// @dev Roster positions of the accepted groups, if what the settlement proves is about what members signed: in an exact market their
    /// commitments, which the roster's hash is of; in a projected one their deliveries, which name that hash.
    function _judge(
        Live memory live,
        Terms memory numbers,
        uint256[] memory seats,
        uint256 outside,
        bytes calldata settlement,
        bytes calldata signatures
    ) private returns (uint256 accepted) {
        (bytes32 rosterHash, uint256 judged) = (_rounds.rosterHash, Bits.below(seats.length) & ~outside);
        bytes32 context = Rounds.contextOf(_epoch.seed, live.epoch, live.round, _rounds.taskHash);
        Verdict memory verdict = Rounds.verify(numbers, context, rosterHash, seats, outside, settlement);
        if (!numbers.projected) Rounds.checkRosterHash(rosterHash, _rounds.groups, verdict.digests);
        Signatures.Message memory message = numbers.projected ? _delivery(live) : _commitment(live);
        message.check(seats, Rounds.union(seats, judged), _owners.ownerOf, verdict.digests, signatures);
        return Rounds.select(numbers, verdict.distances, seats, judged);
    }
}
