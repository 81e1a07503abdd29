// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {MarketState} from "../../src/interfaces/MarketTypes.sol";
import {DisputeFixture} from "../utils/DisputeFixture.sol";
import {vm} from "../utils/Vm.sol";

/// @notice What a settlement makes of accusations. Groups have 4 members, stakes are worth 10 rewards.
contract VoidTest is DisputeFixture {
    uint256 private constant _STAKE = 1e16;
    uint256 private constant _REWARD = 1e15;

    function test_settle_lapsedMember_voidsItsGroup() external {
        reachOpen();
        uint256 seat = seatIn(2, 1);
        uint256 others = market.groupSeats(2) & ~(1 << seat);
        uint256 escrowWei = market.state().escrowWei;
        uint256 depositWei = leastDeposit();
        accuse(1 << seat, depositWei);
        passAnswerWindow();
        // Of the other four groups none may go unpaid.
        uint256 paid = members(1 + 2 + 8 + 16) | others;
        vm.expectEmit();
        emit IMarket.Voided(1, 1, 4, 1 << seat, _STAKE - 3 * _REWARD);
        vm.expectEmit();
        emit IMarket.Settled(1, 1, 1 + 2 + 8 + 16, 0, paid);
        settle(0, TASK);

        MarketState memory state = market.state();
        assertEq(verification.asked().outside, 4, "does not take part");
        assertEq(market.paidSeats(1), paid, "its other members are paid");
        assertEq(escrowWei - state.escrowWei, 16 * _REWARD, "but not from the escrow");
        assertEq(state.owedWei, 19 * _REWARD, "owed");
        assertEq(state.slashed, 1 << seat, "slashed");
        assertEq(state.staked, ((1 << OWNERS) - 1) & ~(1 << seat), "staked");
        assertEq(state.stakesWei, 19 * _STAKE, "stakes");
        assertEq(state.creditsWei, _STAKE - 3 * _REWARD, "burned");
        assertEq(freedFor(MODEL_OWNER), FEE + depositWei, "fee and deposit are the model owner's again");
        assertBooks();
        market.claim(ownerAt(others & 1 == 1 ? 0 : seatIn(2, 0)), 1);
        assertBooks();
        market.withdraw(BURNED);
        assertEq(BURNED.balance, _STAKE - 3 * _REWARD, "burned");
        assertBooks();
    }

    function test_settle_lapsedMember_isOutOfTheNextEpoch() external {
        reachOpen();
        joinAll(OWNERS);
        assertEq(market.state().enrolled, (1 << OWNERS) - 1, "enrolled");
        settleVoid(1 << 6);
        assertEq(market.state().enrolled, ((1 << OWNERS) - 1) ^ (1 << 6), "taken out");
    }

    /// @dev Nobody settles in front of an answer.
    function test_settle_whileAnAccusedMayAnswer_reverts() external {
        reachOpen();
        accuse(3, leastDeposit());
        answer(1, 0, 3);
        answer(0, 0, 2);
        vm.warp(market.state().answerBy);
        refuseToSettle(0, abi.encodeWithSelector(IMarket.MarketUnresolved.selector, 1, START + 1800));
        refuseToSettle(31, abi.encodeWithSelector(IMarket.MarketUnresolved.selector, 1, START + 1800));
        answer(0, 2, 1);
        settle(0, 0);
        assertEq(verification.asked().outside, 0, "all take part");
        assertEq(market.state().slashed, 0, "nobody");
        assertEq(freedFor(BURNED), 2 * FEE, "both fees");
        assertEq(freedFor(MODEL_OWNER) + freedFor(RELAY), 2 * leastDeposit(), "both deposits");
        assertEq(market.state().disputesWei, 0, "nothing is left");
        assertBooks();
    }

    function test_settle_answered_isJudgedLikeAllOthers() external {
        reachOpen();
        accuse(3, leastDeposit());
        answer(0, 0, 3);
        answer(1, 0, 3);
        passAnswerWindow();
        settle(0, 0);
        assertEq(verification.asked().outside, 0, "all take part");
        assertEq(market.paidSeats(1), members(15), "as ever");
    }

    function test_settle_partlyAnswered_lapses() external {
        reachOpen();
        uint256 depositWei = 3 * leastDeposit();
        accuse(1, depositWei);
        answer(0, 0, 2);
        passAnswerWindow();
        settle(0, 0);
        assertEq(market.state().slashed, 1, "two of three polynomials are no answer");
        assertEq(freedFor(RELAY), answerCost(2), "what was sent was sent");
        assertEq(freedFor(MODEL_OWNER), FEE + depositWei - answerCost(2), "the rest and the fee");
    }

    function test_settle_oneWaivedOneVoid_slashesTheVoidOnly() external {
        reachOpen();
        (uint256 waived, uint256 slashed) = (seatIn(1, 0), seatIn(3, 2));
        lapse((1 << waived) | (1 << slashed));
        settle(2, 0);
        assertEq(verification.asked().outside, 2 + 8, "both outside");
        assertEq(market.state().slashed, 1 << slashed, "one is slashed");
        assertEq(market.paidSeats(1) & members(2), members(2), "all of the waived group are paid");
        assertEq(freedFor(MODEL_OWNER), 2 * (FEE + leastDeposit()), "both fees and deposits: nobody earns by silence");
        assertBooks();
    }

    function test_settle_severalLapsed_burnsSeveralStakes() external {
        reachOpen();
        uint256 lapsed = (1 << seatIn(0, 0)) | (1 << seatIn(0, 3)) | (1 << seatIn(4, 1));
        lapse(lapsed);
        vm.expectEmit();
        emit IMarket.Voided(1, 1, 17, lapsed, 3 * _STAKE - 5 * _REWARD);
        settle(0, 0);
        assertEq(market.paidSeats(1), (members(17) & ~lapsed) | members(14), "five of eight, and three groups");
        assertEq(market.state().staked, ((1 << OWNERS) - 1) & ~lapsed, "stakes");
        assertBooks();
    }

    function test_settle_wholeGroupLapsed_burnsAllItsStakes() external {
        reachOpen();
        settleVoid(market.groupSeats(3));
        assertEq(market.state().creditsWei, 4 * _STAKE, "nobody to compensate");
        assertEq(market.paidSeats(1), members(1 + 2 + 4 + 16), "the others");
        assertBooks();
    }

    function test_settle_allGroupsVoid_paysFromStakesAlone() external {
        reachOpen();
        uint256 lapsed = 0;
        for (uint256 group = 0; group < 5; ++group) lapsed |= 1 << seatIn(group, group % 4);
        uint256 escrowWei = market.state().escrowWei;
        settleVoid(lapsed);
        assertEq(market.state().escrowWei, escrowWei, "the escrow is untouched");
        assertEq(market.paidSeats(1), members(31) & ~lapsed, "all who did not lapse");
        assertEq(market.state().creditsWei, 5 * _STAKE - 15 * _REWARD, "burned");
        assertBooks();
    }

    function test_settle_booksAreFull_revertsUntilWaived() external {
        reachOpen();
        lapse(1 << seatIn(1, 0));
        MarketState memory state = market.state();
        fund(type(uint128).max - state.escrowWei - state.bondWei);
        refuseToSettle(0, abi.encodeWithSelector(IMarket.MarketWrongPayment.selector, _STAKE, 0));
        settle(2, 0);
        assertBooks();
    }

    /// @dev Accuse, let lapse, settle with the groups that are left.
    function settleVoid(uint256 seats) private {
        lapse(seats);
        settle(0, 0);
    }
}
