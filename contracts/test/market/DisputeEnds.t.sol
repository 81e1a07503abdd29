// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {MarketState} from "../../src/interfaces/MarketTypes.sol";
import {DisputeFixture} from "../utils/DisputeFixture.sol";
import {vm} from "../utils/Vm.sol";

/// @notice What a timeout makes of accusations, and that every end of a dispute leaves nothing behind.
contract DisputeEndsTest is DisputeFixture {
    uint256 private constant _STAKE = 1e16;
    uint256 private constant _REWARD = 1e15;

    function test_timeout_lapsed_isNotPaidAndKeepsItsStake() external {
        reachOpen();
        uint256 depositWei = leastDeposit();
        accuse(7, depositWei);
        answer(1, 0, 3);
        vm.warp(SETTLE_BY + 1);
        uint256 paid = ((1 << OWNERS) - 1) & ~uint256(5);
        uint256 shareWei = uint256(3e16) / 18;
        vm.expectEmit();
        emit IMarket.TimedOut(1, 1, paid, shareWei);
        market.timeout(1);

        MarketState memory state = market.state();
        assertEq(market.paidSeats(1), paid, "all but two");
        assertEq(state.owedWei, 18 * (_REWARD + shareWei), "owed");
        assertEq(state.staked, (1 << OWNERS) - 1, "stakes");
        assertEq(state.slashed, 0, "slashed");
        assertEq(freedFor(MODEL_OWNER), 2 * FEE + 3 * depositWei - answerCost(3), "fees of both who did not answer, what is left");
        assertEq(freedFor(BURNED), FEE, "of the one who did");
        assertEq(freedFor(RELAY), answerCost(3), "and who sent it");
        assertEq(state.disputesWei, 3 * (FEE + depositWei), "all was freed");
        assertBooks();
    }

    function test_timeout_allLapsed_returnsTheBond() external {
        reachOpen();
        uint256 escrowWei = market.state().escrowWei;
        accuse(members(31), leastDeposit());
        vm.warp(SETTLE_BY + 1);
        vm.expectEmit();
        emit IMarket.TimedOut(1, 1, 0, 0);
        market.timeout(1);

        MarketState memory state = market.state();
        assertEq(state.escrowWei, escrowWei + 3e16, "bond");
        assertEq(state.bondWei, 0, "no bond");
        assertEq(state.owedWei, 0, "nobody is owed");
        assertEq(market.bondShareWei(1), 0, "share");
        assertEq(market.paidSeats(1), 0, "nobody is paid");
        assertBooks();
        // The next opening locks a new one.
        anchor();
        open(31);
        assertEq(market.state().bondWei, 3e16, "bond");
    }

    // Each way that an accusation can go times each end of its round: everything can be taken out afterwards.

    function test_everyEnd_leavesNothingBehind() external {
        // From outside, so that each has memory of its own.
        for (uint256 end = 0; end < 5; ++end) {
            for (uint256 answered = 0; answered <= POLYNOMIALS; ++answered) this.play(end, answered);
        }
    }

    function play(uint256 end, uint256 answered) external {
        market = create(baseTerms());
        vm.warp(START);
        reachOpen();
        accuseFor(1 | (1 << seatIn(4, 0)), 2 * (FEE + leastDeposit()) + 1);
        if (answered != 0) answer(0, 0, uint16(answered));
        finish(end, answered == POLYNOMIALS);
        takeEverythingOut();
    }

    /// @dev Settled early, void, waived, timed out, or timed out with nobody left.
    function finish(uint256 end, bool answered) private {
        if (end == 4) accuse(members(31) & ~market.state().accused, leastDeposit());
        if (end >= 3) {
            vm.warp(SETTLE_BY + 1);
            return market.timeout(1);
        }
        if (end == 0) {
            // Early: all accused have answered.
            if (!answered) answer(0, answeredOfSeat0(), uint16(POLYNOMIALS) - answeredOfSeat0());
            answer(seatIn(4, 0), 0, 3);
            return settle(0, TASK);
        }
        passAnswerWindow();
        settle(end == 2 ? 16 | (1 << groupOf(0)) : 0, TASK);
    }

    function answeredOfSeat0() private view returns (uint16 done) {
        (, , done) = market.accusation(0);
    }

    function takeEverythingOut() private {
        address[5] memory accounts = [MODEL_OWNER, RELAY, BURNED, ownerAt(0), ownerAt(seatIn(4, 0))];
        vm.prank(MODEL_OWNER);
        market.close();
        for (uint256 i = 0; i < OWNERS; ++i) {
            vm.prank(ownerAt(i));
            market.leave();
        }
        vm.warp(block.timestamp + 3600);
        for (uint256 i = 0; i < OWNERS; ++i) market.depart(ownerAt(i));
        for (uint256 i = 0; i < 5; ++i) {
            try market.withdraw(accounts[i]) {} catch (bytes memory why) {
                assertEq(bytes32(bytes4(why)), bytes32(IMarket.MarketNoCredit.selector), "nothing to withdraw");
            }
        }
        assertEq(address(market).balance, 0, "nothing stays");
        assertBooks();
    }
}
