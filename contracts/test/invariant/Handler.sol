// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {MarketState, OwnerRecord, Stage, Terms} from "../../src/interfaces/MarketTypes.sol";
import {Builders} from "../utils/Builders.sol";
import {Expectations} from "./Expectations.sol";
import {vm} from "../utils/Vm.sol";

/// @title Handler
/// @notice Drives one market with right and wrong calls of everybody.
/// @dev Never reverts: a call that the market refuses is counted and undone.
contract Handler is Expectations {
    uint256 private constant _PARTIES = 30;

    bool private immutable _PROJECTED;
    uint8 private immutable _OUTLIER_PERCENT;
    uint256 public refusals;
    uint256 private _successes;
    mapping(string event_ => uint256) public happened;
    mapping(address owner => uint256) private _keyOf;

    constructor(bool projected, uint8 outlierPercent) {
        (_PROJECTED, _OUTLIER_PERCENT) = (projected, outlierPercent);
        setUp();
        reachAnchored();
        for (uint256 i = 0; i < _PARTIES; ++i) _keyOf[ownerAt(i)] = i + 1;
        for (uint256 i = 0; i < OWNERS; ++i) _expectExamples(ownerAt(i), 1, EXAMPLES);
        _expectStaked(market.state().stakesWei);
        _expectFunded(market.state().escrowWei);
    }

    function baseTerms() internal override returns (Terms memory terms) {
        terms = super.baseTerms();
        terms.bondWei = 31_415_926;
        terms.roundsPerEpoch = 3;
        terms.projected = _PROJECTED;
        terms.outlierPercent = _OUTLIER_PERCENT;
    }

    /// @dev Seats need not be in the order of the data owners here.
    function keysOf(uint256[] memory seats) internal view override returns (uint256[] memory keys) {
        address[] memory ownerOf = _ownersOfSeats();
        keys = new uint256[](seats.length);
        for (uint256 i = 0; i < seats.length; ++i) keys[i] = _keyOf[ownerOf[seats[i]]];
    }

    modifier watched(string memory what) {
        uint256 before = _successes;
        _;
        if (_successes != before) ++happened[what];
        _checkForward();
    }

    /// @dev As many examples as the last bits of the key say.
    function callJoin(uint256 who, uint256 key) public watched("join") {
        address owner = ownerAt(who % _PARTIES);
        uint256 dueWei = stakeDue(owner);
        bytes memory data = abi.encodeCall(IMarket.join, (_termsHash, Builders.maskKey(key), uint32(key), ""));
        if (!_call(owner, dueWei, data)) return;
        _expectStaked(dueWei);
        _expectExamples(owner, market.state().epoch + 1, uint32(key));
    }

    function callJoinAll() public {
        for (uint256 i = 0; i < _PARTIES; ++i) callJoin(i, i);
    }

    function callLeave(uint256 who) external watched("leave") {
        _call(ownerAt(who % _PARTIES), 0, abi.encodeCall(IMarket.leave, ()));
    }

    function callDepart(uint256 who) public watched("depart") {
        address owner = ownerAt(who % _PARTIES);
        OwnerRecord memory record = market.ownerRecord(owner);
        (uint256 staked, uint256 before) = (market.state().staked, owner.balance);
        if (!_call(STRANGER, 0, abi.encodeCall(IMarket.depart, (owner)))) return;
        _expectDeparted(owner, record, staked, owner.balance - before);
    }

    /// @dev The whole way out, which random calls rarely find.
    function callDepartInTime(uint256 who) external {
        address owner = ownerAt(who % _PARTIES);
        if (market.ownerRecord(owner).leaveAt == 0) _call(owner, 0, abi.encodeCall(IMarket.leave, ()));
        uint256 leaveAt = market.ownerRecord(owner).leaveAt;
        if (leaveAt > block.timestamp) vm.warp(leaveAt);
        callDepart(who);
    }

    /// @dev One whose stake is lost may depart at once.
    function callDepartSlashed() external {
        uint256 slashed = market.state().slashed;
        for (uint256 i = 0; i < _PARTIES && slashed != 0; ++i) {
            OwnerRecord memory record = market.ownerRecord(ownerAt(i));
            if (record.registered && (slashed >> record.seat) & 1 == 1) return callDepart(i);
        }
    }

    function callClaim(uint256 who, uint32 through) external watched("claim") {
        address owner = ownerAt(who % _PARTIES);
        OwnerRecord memory record = market.ownerRecord(owner);
        uint256 before = owner.balance;
        if (!_call(STRANGER, 0, abi.encodeCall(IMarket.claim, (owner, through)))) return;
        uint32 claimedThrough = market.ownerRecord(owner).claimedThrough;
        _expectClaimed(owner, record.seat, record.claimedThrough, claimedThrough, owner.balance - before);
    }

    /// @dev The next step on the way to an open round, which random calls rarely find.
    function callAdvance(uint256 seed) external {
        MarketState memory state = market.state();
        if (state.stage == Stage.Open || state.stage == Stage.Closed) return;
        if (state.stage == Stage.Frozen) return callDraw(bytes32(seed));
        if (state.stage == Stage.Enrolling || state.openedInEpoch == market.terms().roundsPerEpoch) {
            callJoinAll();
            return callFreeze();
        }
        if (state.members & ~state.staked != 0) callJoinAll();
        // Who has departed is missed until the next freeze.
        if (state.members & ~market.state().staked != 0) return callFreeze();
        if (state.stage == Stage.Idle || block.timestamp > state.openBy) callAnchor(TASK);
        if (state.escrowWei < 1e17) callFund(1e17);
        callOpen(seed);
    }

    function callFund(uint256 amountWei) public watched("fund") {
        amountWei = bound(amountWei, 0, 1e17);
        if (_call(MODEL_OWNER, amountWei, abi.encodeCall(IMarket.fund, (amountWei)))) _expectFunded(amountWei);
    }

    function callFreeze() public watched("freeze") {
        _call(MODEL_OWNER, 0, abi.encodeCall(IMarket.freeze, ()));
    }

    function callDraw(bytes32 prevRandao) public watched("draw") {
        if (market.state().stage != Stage.Frozen) return;
        bytes memory header = mineDraw(prevRandao);
        _call(STRANGER, 0, abi.encodeCall(IMarket.draw, (header, rightOrder(prevRandao))));
    }

    function callAnchor(bytes32 taskHash) public watched("anchor") {
        _call(MODEL_OWNER, 0, abi.encodeCall(IMarket.anchor, (taskHash)));
    }

    function callOpen(uint256 groups) public watched("open") {
        MarketState memory state = market.state();
        if (state.stage != Stage.Anchored) return;
        groups = size(state.members) >= 24 ? [uint256(63), 31, 62, 6][groups % 4] : [uint256(31), 12][groups % 2];
        _call(MODEL_OWNER, 0, abi.encodeCall(IMarket.open, (state.round, groups, rosterHashOf(groups))));
    }

    function callAccuse(uint256 seed, uint256 seats, uint256 extraWei) external watched("accuse") {
        MarketState memory state = market.state();
        if (state.stage != Stage.Open) return;
        // Mostly few, sometimes many, sometimes somebody who is not there.
        if (seed % 4 != 0) seats = uint256(keccak256(abi.encode(seats))) & uint256(keccak256(abi.encode(seats, seed)));
        if (seed % 11 != 1) seats &= members(state.groups) & ~(seed % 7 == 1 ? 0 : state.accused);
        uint256 valueWei = size(seats) * (FEE + market.answerCostWei()) + bound(extraWei, 0, 1e10);
        bytes memory data = abi.encodeCall(IMarket.accuse, (state.round, seats, digestsOf(state.groups), commitmentsOf(seats)));
        if (_call(MODEL_OWNER, valueWei, data)) _expectAccused(seats, valueWei);
    }

    function callAnswer(uint256 which, uint256 count) public watched("answer") {
        MarketState memory state = market.state();
        uint256 waiting = state.accused & ~state.answered;
        if (waiting == 0) return;
        for (which %= size(waiting); which != 0; --which) waiting &= waiting - 1;
        uint8 seat = 0;
        while ((waiting >> seat) & 1 == 0) ++seat;
        (, , uint16 first) = market.accusation(seat);
        count = bound(count, 1, POLYNOMIALS - first);
        carry(seat, first, count);
        bytes memory delivery = _PROJECTED && first + count == POLYNOMIALS ? _deliveryOf(seat) : bytes("");
        bytes memory data = abi.encodeCall(
            IMarket.answer,
            (state.round, seat, first, pointsOf(seat, first, count), proofsOf(seat, first, count), delivery)
        );
        if (_call(RELAY, 0, data)) _expectAnswered(seat, count, first + count);
    }

    /// @dev What comes with the last part of an answer in a projected market: the digest of a projection, signed.
    function _deliveryOf(uint8 seat) private view returns (bytes memory) {
        uint256[] memory seats = new uint256[](1);
        seats[0] = seat;
        bytes32 projected = keccak256("of the projected point");
        return bytes.concat(projected, signature(keysOf(seats)[0], market.deliveryHash(projected)));
    }

    function callAnswerAll() external {
        for (uint256 i = 0; i < 3 * OWNERS; ++i) callAnswer(i, POLYNOMIALS - 1);
    }

    function callSettle(uint256 seed, uint256 waived, bool next) external watched("settle") {
        MarketState memory state = market.state();
        if (state.stage != Stage.Open) return;
        waived = seed % 3 == 0 ? waived & state.groups : 0;
        _setVerdict(seed, size(judged(waived)));
        if (!_call(MODEL_OWNER, 0, settleCall(waived, next ? TASK : bytes32(0)))) return;
        _expectSettled(state, waived);
        if (_void(state, waived) != 0) ++happened["void"];
    }

    function callTimeout(bool late) external watched("timeout") {
        MarketState memory state = market.state();
        if (late && state.settleBy >= block.timestamp) vm.warp(state.settleBy + 1);
        if (_call(STRANGER, 0, abi.encodeCall(IMarket.timeout, (state.round)))) _expectTimedOut(state);
    }

    function callClose(uint256 seed) external watched("close") {
        // Rarely: nothing much happens afterwards.
        if (seed % 97 != 13) return;
        MarketState memory state = market.state();
        if (_call(MODEL_OWNER, 0, abi.encodeCall(IMarket.close, ()))) _expectClosed(state);
    }

    function callWithdraw(uint256 who) external watched("withdraw") {
        address[3] memory others = [MODEL_OWNER, RELAY, BURNED];
        _withdraw(who % 2 == 0 ? others[(who / 2) % 3] : ownerAt((who / 2) % _PARTIES));
    }

    function passTime(uint256 seconds_) external {
        // Mostly within a window, sometimes past all of them.
        vm.warp(block.timestamp + bound(seconds_, 1, seconds_ % 5 == 0 ? 3000 : 120));
    }

    /// @dev Fees of gas and of blobs move; what an accusation needs moves with them.
    function moveFees(uint256 baseFeeWei, uint256 excess) external {
        vm.fee(bound(baseFeeWei, 0, 1e9));
        vm.blobBaseFee(bound(excess, 1, 1e8));
    }

    /// @dev To the time when the accused have lapsed and the round can still settle.
    function passWindow() external {
        MarketState memory state = market.state();
        if (state.answerBy >= block.timestamp) vm.warp(state.answerBy + 1);
    }

    function callOutOfTurn(uint256 which, uint32 round) external watched("nothing") {
        bytes[7] memory calls = [
            abi.encodeCall(IMarket.anchor, (TASK)),
            abi.encodeCall(IMarket.settle, (round, "", "", 0, 0)),
            abi.encodeCall(IMarket.freeze, ()),
            abi.encodeCall(IMarket.timeout, (round)),
            abi.encodeCall(IMarket.withdraw, (STRANGER)),
            abi.encodeCall(IMarket.accuse, (round, 1, new bytes32[](0), "")),
            abi.encodeCall(IMarket.answer, (round, 0, 0, pointsOf(0, 0, 3), proofsOf(0, 0, 3), ""))
        ];
        if (which % 7 == 3 && market.state().stage == Stage.Open) return;
        vm.blobhashes(new bytes32[](0));
        if (_call(STRANGER, 0, calls[which % 7])) _wrong("a stranger did what is not its to do");
    }

    /// @notice After the last deadline everybody takes everything out; what is left in the market then.
    function drain() external returns (uint256 leftWei) {
        vm.warp(block.timestamp + 10_000);
        MarketState memory state = market.state();
        if (state.stage == Stage.Open) {
            market.timeout(state.round);
            _expectTimedOut(state);
        }
        if (state.stage == Stage.Frozen) vm.roll(block.number + 20_000);
        state = market.state();
        if (state.stage != Stage.Closed && _call(MODEL_OWNER, 0, abi.encodeCall(IMarket.close, ()))) _expectClosed(state);
        _checkPaid();
        for (uint256 i = 0; i < _PARTIES; ++i) _takeOut(i);
        address[3] memory others = [MODEL_OWNER, RELAY, BURNED];
        for (uint256 i = 0; i < 3; ++i) _withdraw(others[i]);
        return address(market).balance;
    }

    function _takeOut(uint256 i) private {
        address owner = ownerAt(i);
        _withdraw(owner);
        if (!market.ownerRecord(owner).registered) return;
        _call(owner, 0, abi.encodeCall(IMarket.leave, ()));
        vm.warp(market.ownerRecord(owner).leaveAt);
        callDepart(i);
        assertTrue(!market.ownerRecord(owner).registered, "everybody can depart");
    }

    function _withdraw(address account) private {
        MarketState memory state = market.state();
        if (_call(STRANGER, 0, abi.encodeCall(IMarket.withdraw, (account)))) _expectWithdrawn(account, state);
    }

    function _call(address sender, uint256 valueWei, bytes memory data) private returns (bool success) {
        vm.deal(sender, sender.balance + valueWei);
        vm.prank(sender);
        (success, ) = address(market).call{value: valueWei}(data);
        if (success) ++_successes;
        else ++refusals;
    }

    function _setVerdict(uint256 seed, uint256 taking) private {
        uint256[] memory distances = new uint256[]((taking * (taking + 1)) / 2);
        for (uint256 i = 0; i < distances.length; ++i) distances[i] = uint256(keccak256(abi.encode(seed, i))) % 1000;
        if (seed % 7 == 0 && taking != 0) distances[seed % taking] = 1e12;
        verification.setDistances(distances);
    }
}
