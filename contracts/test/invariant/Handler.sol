// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket, MarketState, OwnerRecord, Stage, Terms} from "../../src/interfaces/IMarket.sol";
import {Builders} from "../utils/Builders.sol";
import {MarketFixture} from "../utils/MarketFixture.sol";
import {vm} from "../utils/Vm.sol";

/// @title Handler
/// @notice Drives one market with right and wrong calls of everybody, and keeps books of its own from what calls should do.
/// @dev Never reverts: a call that the market refuses is counted and undone. Each party's money is followed in `received` and `paid`.
contract Handler is MarketFixture {
    uint256 private constant _PARTIES = 30;

    uint256 public paidInWei;
    uint256 public promisedWei;
    uint256 public claimedWei;
    uint256 public settledTwice;
    uint256 public claimedTwice;
    uint256 public wentBack;
    uint256 public refusals;
    uint256 public successes;
    mapping(string event_ => uint256) public happened;

    mapping(uint32 round => uint256) private _finished;
    mapping(uint32 round => mapping(address owner => bool)) private _hasClaimed;
    uint32 private _lastRound;
    uint32 private _lastEpoch;
    uint256 private _lastStage;

    constructor() {
        setUp();
        reachAnchored();
        paidInWei = address(market).balance;
    }

    function baseTerms() internal override returns (Terms memory terms) {
        terms = super.baseTerms();
        terms.bondWei = 31_415_926;
        terms.roundsPerEpoch = 3;
    }

    modifier watched(string memory what) {
        uint256 before = successes;
        _;
        if (successes != before) ++happened[what];
        _checkForward();
    }

    // -------------------------------------------------------------------------------------------------------- data owners

    function callJoin(uint256 who, uint256 key) external watched("join") {
        address owner = ownerAt(who % _PARTIES);
        uint256 dueWei = market.ownerRecord(owner).registered ? 0 : market.terms().stakeWei;
        _call(owner, dueWei, abi.encodeCall(IMarket.join, (Builders.maskKey(key), "")));
    }

    function callJoinAll() external watched("join") {
        for (uint256 i = 0; i < OWNERS + 2; ++i) {
            uint256 dueWei = market.ownerRecord(ownerAt(i)).registered ? 0 : market.terms().stakeWei;
            _call(ownerAt(i), dueWei, abi.encodeCall(IMarket.join, (Builders.maskKey(i), "")));
        }
    }

    function callLeave(uint256 who) external watched("leave") {
        _call(ownerAt(who % _PARTIES), 0, abi.encodeCall(IMarket.leave, ()));
    }

    function callDepart(uint256 who) external watched("depart") {
        _call(ownerAt(who % _PARTIES), 0, abi.encodeCall(IMarket.depart, ()));
    }

    /// @dev The whole way out, which random calls rarely find.
    function callDepartInTime(uint256 who) external watched("depart") {
        address owner = ownerAt(who % _PARTIES);
        if (market.ownerRecord(owner).leaveAt == 0) _call(owner, 0, abi.encodeCall(IMarket.leave, ()));
        uint256 leaveAt = market.ownerRecord(owner).leaveAt;
        if (leaveAt > block.timestamp) vm.warp(leaveAt);
        callClaim(who, type(uint32).max);
        _call(owner, 0, abi.encodeCall(IMarket.depart, ()));
    }

    function callClaim(uint256 who, uint32 through) public watched("claim") {
        address owner = ownerAt(who % _PARTIES);
        uint32 from = market.ownerRecord(owner).claimedThrough;
        uint256 seat = market.ownerRecord(owner).seat;
        uint256 before = owner.balance;
        if (!_call(STRANGER, 0, abi.encodeCall(IMarket.claim, (owner, through)))) return;
        claimedWei += owner.balance - before;
        for (uint32 round = from + 1; round <= market.ownerRecord(owner).claimedThrough; ++round) {
            if ((market.paidSeats(round) >> seat) & 1 == 0) continue;
            if (_hasClaimed[round][owner]) ++claimedTwice;
            _hasClaimed[round][owner] = true;
        }
    }

    // -------------------------------------------------------------------------------------------------------- model owner

    function callFund(uint256 amountWei) external watched("fund") {
        amountWei = bound(amountWei, 0, 1e17);
        _call(MODEL_OWNER, amountWei, abi.encodeCall(IMarket.fund, (amountWei)));
    }

    function callFreeze() external watched("freeze") {
        _call(MODEL_OWNER, 0, abi.encodeCall(IMarket.freeze, ()));
    }

    function callDraw(bytes32 prevRandao) external watched("draw") {
        if (market.state().stage != Stage.Frozen) return;
        bytes memory header = mineDraw(prevRandao);
        _call(STRANGER, 0, abi.encodeCall(IMarket.draw, (header, rightOrder(prevRandao))));
    }

    function callAnchor(bytes32 taskHash) external watched("anchor") {
        _call(MODEL_OWNER, 0, abi.encodeCall(IMarket.anchor, (taskHash)));
    }

    function callOpen(uint256 groups) external watched("open") {
        MarketState memory state = market.state();
        if (state.stage != Stage.Anchored) return;
        groups = size(state.members) >= 24 ? [uint256(63), 31, 62][groups % 3] : 31;
        (bytes32[] memory digests, bytes memory signatures) = _commitments(groups);
        _call(MODEL_OWNER, 0, abi.encodeCall(IMarket.open, (state.round, groups, digests, signatures)));
    }

    function callSettle(uint256 seed, uint256 waived, uint256 excluded, bool next) external watched("settle") {
        MarketState memory state = market.state();
        if (state.stage != Stage.Open) return;
        waived = seed % 3 == 0 ? waived & state.groups : 0;
        uint256 outside = _places(state.groups, waived);
        uint256 roster = size(state.groups);
        excluded = seed % 5 == 0 ? (1 << (excluded % roster)) & ~outside : 0;
        _setVerdict(seed, roster - size(outside) - size(excluded), excluded);
        bytes memory data = abi.encodeCall(IMarket.settle, (state.round, "", waived, next ? TASK : bytes32(0)));
        if (_call(MODEL_OWNER, 0, data)) _finish(state.round);
    }

    function callTimeout() external watched("timeout") {
        uint32 round = market.state().round;
        if (_call(STRANGER, 0, abi.encodeCall(IMarket.timeout, (round)))) _finish(round);
    }

    function callClose(uint256 seed) external watched("close") {
        // Rarely: nothing much happens afterwards.
        if (seed % 97 == 0) _call(MODEL_OWNER, 0, abi.encodeCall(IMarket.close, ()));
    }

    function callWithdraw() external watched("withdraw") {
        _call(STRANGER, 0, abi.encodeCall(IMarket.withdraw, (MODEL_OWNER)));
    }

    // --------------------------------------------------------------------------------------------------------- the world

    function passTime(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 1, 3000));
    }

    function callOutOfTurn(uint256 which, uint32 round) external watched("nothing") {
        bytes[5] memory calls = [
            abi.encodeCall(IMarket.anchor, (TASK)),
            abi.encodeCall(IMarket.settle, (round, "", 0, 0)),
            abi.encodeCall(IMarket.freeze, ()),
            abi.encodeCall(IMarket.timeout, (round)),
            abi.encodeCall(IMarket.withdraw, (STRANGER))
        ];
        if (which % 5 == 3 && market.state().stage == Stage.Open) return;
        if (_call(STRANGER, 0, calls[which % 5])) ++wentBack;
    }

    // ------------------------------------------------------------------------------------------------------- at the end

    /// @notice After the last deadline everybody takes everything out; what is left in the market then.
    function drain() external returns (uint256 leftWei) {
        vm.warp(block.timestamp + 10_000);
        if (market.state().stage == Stage.Open) market.timeout(market.state().round);
        if (market.state().stage == Stage.Frozen) vm.roll(block.number + 20_000);
        if (market.state().stage != Stage.Closed) {
            vm.prank(MODEL_OWNER);
            market.close();
        }
        for (uint256 i = 0; i < _PARTIES; ++i) _takeOut(ownerAt(i));
        if (market.state().creditsWei != 0) market.withdraw(MODEL_OWNER);
        return address(market).balance;
    }

    function theMarket() external view returns (IMarket) {
        return market;
    }

    function balanceAndBooks() external view returns (uint256, uint256) {
        return (held(), booked());
    }

    function _takeOut(address owner) private {
        OwnerRecord memory record = market.ownerRecord(owner);
        if (!record.registered) return;
        if (record.claimedThrough < market.state().round) market.claim(owner, type(uint32).max);
        if (record.leaveAt == 0) {
            vm.prank(owner);
            market.leave();
        }
        vm.warp(market.ownerRecord(owner).leaveAt);
        vm.prank(owner);
        market.depart();
    }

    function _call(address sender, uint256 valueWei, bytes memory data) private returns (bool success) {
        vm.deal(sender, sender.balance + valueWei);
        vm.prank(sender);
        (success, ) = address(market).call{value: valueWei}(data);
        if (success) {
            ++successes;
            paidInWei += valueWei;
        } else {
            ++refusals;
        }
    }

    /// @dev What the round promises, from the events' own numbers: seats times reward and share.
    function _finish(uint32 round) private {
        if (_finished[round]++ != 0) ++settledTwice;
        promisedWei += size(market.paidSeats(round)) * (market.terms().rewardWei + market.bondShareWei(round));
    }

    function _checkForward() private {
        MarketState memory state = market.state();
        bool back = state.round < _lastRound || state.epoch < _lastEpoch;
        bool reopened = _lastStage == uint256(Stage.Closed) && state.stage != Stage.Closed;
        if (back || reopened) ++wentBack;
        (_lastRound, _lastEpoch, _lastStage) = (state.round, state.epoch, uint256(state.stage));
    }

    function _setVerdict(uint256 seed, uint256 taking, uint256 excluded) private {
        uint256[] memory distances = new uint256[]((taking * (taking + 1)) / 2);
        for (uint256 i = 0; i < distances.length; ++i) distances[i] = uint256(keccak256(abi.encode(seed, i))) % 1000;
        if (seed % 7 == 0 && taking != 0) distances[seed % taking] = 1e12;
        verification.setVerdict(excluded, distances);
    }

    /// @dev Seats need not be in the order of the data owners here.
    function _commitments(uint256 groups) private view returns (bytes32[] memory digests, bytes memory signatures) {
        (address[] memory owners, uint8[] memory seats, ) = market.members();
        uint256 length = 0;
        digests = new bytes32[](owners.length);
        for (uint256 group = 0; group < 6; ++group) {
            if ((groups >> group) & 1 == 0) continue;
            uint256 inGroup = market.groupSeats(group);
            for (uint256 i = 0; i < seats.length; ++i) {
                if ((inGroup >> seats[i]) & 1 == 0) continue;
                digests[length] = digestOf(seats[i]);
                signatures = bytes.concat(signatures, signature(_keyOf(owners[i]), digests[length++]));
            }
        }
        assembly ("memory-safe") {
            mstore(digests, length)
        }
    }

    function _keyOf(address owner) private pure returns (uint256 key) {
        for (key = 1; vm.addr(key) != owner; ) ++key;
    }

    function _places(uint256 set, uint256 subset) private pure returns (uint256 places) {
        for (uint256 bit = 1; set != 0; set &= set - 1) {
            if (subset & set & (~set + 1) != 0) places |= bit;
            bit <<= 1;
        }
    }
}
