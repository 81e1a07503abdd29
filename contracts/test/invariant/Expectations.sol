// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MarketState, OwnerRecord, Stage} from "../../src/interfaces/MarketTypes.sol";
import {DisputeFixture} from "../utils/DisputeFixture.sol";

/// @title Expectations
/// @notice Books of its own, kept from what calls should do, and their comparison with the market's.
/// @dev The first thing that is found wrong is kept in `fault`.
abstract contract Expectations is DisputeFixture {
    uint256 private constant _MOST_SEATS = 254;

    string public fault;

    uint256 private _fundedWei;
    uint256 private _closedWei;
    uint256 private _stakesInWei;
    uint256 private _stakesOutWei;
    uint256 private _promisedWei;
    uint256 private _compensatedWei;
    uint256 private _burnedWei;
    uint256 private _claimedWei;
    uint256 private _creditsOutWei;
    uint256 private _disputesInWei;
    uint256 private _refundsOutWei;

    mapping(address account => uint256) private _freedWei;
    mapping(uint256 seat => uint256) private _leftWei;
    mapping(uint256 seat => uint256) private _depositWei;
    mapping(uint32 round => uint256) private _finished;
    mapping(uint32 round => uint256) private _paid;
    mapping(uint32 round => mapping(address owner => bool)) private _hasClaimed;
    mapping(uint32 epoch => mapping(address owner => uint32)) private _examples;
    MarketState private _last;

    /// @notice Everything that must hold between any two calls.
    function check() external view {
        MarketState memory state = market.state();
        assertEq(bytes(fault).length, 0, fault);
        assertEq(held(), booked(), "balance is what the books say");
        assertEq(state.owedWei, _promisedWei - _claimedWei, "owed is what was promised and not paid");
        assertTrue(_promisedWei - _compensatedWei <= _fundedWei, "the escrow never promises more than was funded");
        uint256 modelOwnersWei = state.escrowWei + state.bondWei + _closedWei;
        assertEq(modelOwnersWei + _promisedWei - _compensatedWei, _fundedWei, "what was funded");
        assertEq(state.stakesWei + _stakesOutWei + _compensatedWei + _burnedWei, _stakesInWei, "what was staked");
        assertEq(state.creditsWei + _creditsOutWei, _closedWei + _burnedWei, "what was credited");
        assertEq(state.disputesWei + _refundsOutWei, _disputesInWei, "what came with accusations");
        assertEq(state.staked & state.slashed, 0, "staked or slashed");
        assertEq(state.enrolled & ~state.staked, 0, "only the staked are enrolled");
        (address[] memory owners, , , uint32[] memory examples) = market.members();
        for (uint256 i = 0; i < owners.length; ++i) assertEq(examples[i], _examples[state.epoch][owners[i]], "examples");
    }

    /// @dev The state moves forward only; called after each call.
    function _checkForward() internal {
        MarketState memory state = market.state();
        if (state.round < _last.round || state.epoch < _last.epoch) _wrong("a number went back");
        if (_last.stage == Stage.Closed && state.stage != Stage.Closed) _wrong("reopened");
        bool sameOpenRound = state.stage == Stage.Open && _last.stage == Stage.Open && state.round == _last.round;
        if (sameOpenRound) {
            if (state.answerBy < _last.answerBy || state.settleBy != _last.settleBy) _wrong("a deadline went back");
            if (_last.accused & ~state.accused != 0 || _last.answered & ~state.answered != 0) _wrong("a seat was forgotten");
            if (state.rosterHash != _last.rosterHash || state.groups != _last.groups) _wrong("another roster");
        } else if (state.stage == Stage.Open && _finished[state.round] != 0) {
            _wrong("a finished round opened again");
        }
        if (state.answered & ~state.accused != 0) _wrong("answered without being accused");
        _last = state;
    }

    /// @dev What finished rounds pay never changes.
    function _checkPaid() internal view {
        for (uint32 round = 1; round <= market.state().round; ++round) {
            if (_finished[round] != 0) assertEq(market.paidSeats(round), _paid[round], "paid seats");
        }
    }

    function _wrong(string memory what) internal {
        if (bytes(fault).length == 0) fault = what;
    }

    function _expectFunded(uint256 amountWei) internal {
        _fundedWei += amountWei;
    }

    function _expectStaked(uint256 amountWei) internal {
        _stakesInWei += amountWei;
    }

    function _expectExamples(address owner, uint32 epoch, uint32 examples) internal {
        _examples[epoch][owner] = examples;
    }

    function _expectClosed(MarketState memory before) internal {
        _closedWei += before.escrowWei + before.bondWei;
    }

    /// @dev A claim has moved the cursor from `from`; no round may pay an owner twice.
    function _expectClaimed(address owner, uint8 seat, uint32 from, uint32 through, uint256 amountWei) internal {
        uint256 expectedWei = 0;
        for (uint32 round = from + 1; round <= through; ++round) {
            if ((market.paidSeats(round) >> seat) & 1 == 0) continue;
            if (_hasClaimed[round][owner]) _wrong("claimed twice");
            _hasClaimed[round][owner] = true;
            expectedWei += market.terms().rewardWei + market.bondShareWei(round);
        }
        if (amountWei != expectedWei) _wrong("claim");
        _claimedWei += amountWei;
    }

    /// @dev An owner with this record has departed.
    function _expectDeparted(address owner, OwnerRecord memory record, uint256 staked, uint256 amountWei) internal {
        MarketState memory state = market.state();
        bool live = state.stage == Stage.Anchored || state.stage == Stage.Open;
        uint256 stakeWei = (staked >> record.seat) & 1 == 1 ? market.terms().stakeWei : 0;
        _stakesOutWei += stakeWei;
        if (amountWei < stakeWei) _wrong("stake");
        _expectClaimed(owner, record.seat, record.claimedThrough, live ? state.round - 1 : state.round, amountWei - stakeWei);
    }

    function _expectWithdrawn(address account, MarketState memory before) internal {
        MarketState memory state = market.state();
        uint256 refundWei = before.disputesWei - state.disputesWei;
        if (refundWei != _freedWei[account]) _wrong("refund");
        _freedWei[account] = 0;
        _refundsOutWei += refundWei;
        _creditsOutWei += before.creditsWei - state.creditsWei;
    }

    function _expectAccused(uint256 seats, uint256 valueWei) internal {
        uint256 number = size(seats);
        uint256 depositsWei = valueWei - number * FEE;
        for (uint256 seat = 0; seat < _MOST_SEATS; ++seat) {
            if ((seats >> seat) & 1 == 1) (_leftWei[seat], _depositWei[seat]) = (depositsWei / number, depositsWei / number);
        }
        _freedWei[MODEL_OWNER] += depositsWei % number;
        _disputesInWei += valueWei;
    }

    function _expectAnswered(uint256 seat, uint256 count, uint256 answered) internal {
        uint256 shareWei = (_depositWei[seat] * answered) / POLYNOMIALS - (_depositWei[seat] - _leftWei[seat]);
        uint256 refundWei = shareWei < answerCost(count) ? shareWei : answerCost(count);
        _leftWei[seat] -= refundWei;
        _freedWei[RELAY] += refundWei;
        if (answered == POLYNOMIALS) _freedWei[BURNED] += FEE;
    }

    /// @dev Seats whose time to answer is over.
    function _lapsed(MarketState memory state) internal view returns (uint256 seats) {
        return state.answerBy != 0 && block.timestamp > state.answerBy ? state.accused & ~state.answered : 0;
    }

    /// @dev Groups of the roster with a lapsed member, but for the waived.
    function _void(MarketState memory state, uint256 waived) internal view returns (uint256 groups) {
        for (uint256 group = 0; state.groups >> group != 0; ++group) {
            bool judged = ((state.groups & ~waived) >> group) & 1 == 1;
            if (judged && market.groupSeats(group) & _lapsed(state) != 0) groups |= 1 << group;
        }
    }

    function _expectSettled(MarketState memory before, uint256 waived) internal {
        uint256 voided = members(_void(before, waived));
        uint256 lost = voided & _lapsed(before);
        uint256 compensatedWei = size(voided & ~lost) * market.terms().rewardWei;
        uint256 paid = market.paidSeats(before.round);
        if (paid & lost != 0 || (voided & ~lost) & ~paid != 0) _wrong("pay of a void group");
        if (members(waived) & ~paid != 0) _wrong("pay of a waived group");
        if (lost & ~market.state().slashed != 0) _wrong("slashed");
        _compensatedWei += compensatedWei;
        _burnedWei += size(lost) * market.terms().stakeWei - compensatedWei;
        _expectFinished(before);
    }

    function _expectTimedOut(MarketState memory before) internal {
        uint256 lapsed = _lapsed(before);
        if (market.paidSeats(before.round) != members(before.groups) & ~lapsed) _wrong("pay after a timeout");
        if (market.state().staked != before.staked) _wrong("stake lost in a timeout");
        _expectFinished(before);
    }

    /// @dev The round is over: what it pays, and that what is left of its accusations is the model owner's.
    function _expectFinished(MarketState memory before) private {
        if (_finished[before.round]++ != 0) _wrong("finished twice");
        _paid[before.round] = market.paidSeats(before.round);
        _promisedWei += size(_paid[before.round]) * (market.terms().rewardWei + market.bondShareWei(before.round));
        for (uint256 seat = 0; before.accused >> seat != 0; ++seat) {
            if ((before.accused >> seat) & 1 == 0) continue;
            _freedWei[MODEL_OWNER] += _leftWei[seat] + ((before.answered >> seat) & 1 == 1 ? 0 : FEE);
        }
    }

    /// @dev Owners of the seats of this epoch; zero for others.
    function _ownersOfSeats() internal view returns (address[] memory ownerOf) {
        (address[] memory owners, uint8[] memory seats, , ) = market.members();
        ownerOf = new address[](_MOST_SEATS);
        for (uint256 i = 0; i < seats.length; ++i) ownerOf[seats[i]] = owners[i];
    }
}
