// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {MarketState} from "../../src/interfaces/MarketTypes.sol";
import {Builders} from "../utils/Builders.sol";
import {DisputeFixture} from "../utils/DisputeFixture.sol";
import {vm} from "../utils/Vm.sol";

/// @notice Life after a lost stake: a data owner keeps its seat and its claims, and pays again or departs.
contract SlashedTest is DisputeFixture {
    uint256 private constant _STAKE = 1e16;
    uint256 private constant _REWARD = 1e15;

    /// @dev Round 1 pays seat 0, round 2 takes its stake; round 3 is anchored.
    function slash() private {
        reachOpen();
        settle(1 << groupOf(0), TASK);
        open(31);
        lapse(1);
        settle(0, TASK);
        assertEq(market.state().slashed, 1, "slashed");
    }

    function test_join_slashed_paysTheStakeAgain() external {
        slash();
        vm.deal(ownerAt(0), _STAKE);
        vm.prank(ownerAt(0));
        expectRevert(IMarket.MarketWrongPayment.selector, 0, _STAKE);
        joinWith(0, Builders.maskKey(7), "");
        vm.expectEmit();
        emit IMarket.Joined(ownerAt(0), 0, 2, Builders.maskKey(7), EXAMPLES);
        vm.prank(ownerAt(0));
        joinWith(_STAKE, Builders.maskKey(7), "");

        MarketState memory state = market.state();
        assertEq(state.slashed, 0, "no longer");
        assertEq(state.staked, (1 << OWNERS) - 1, "staked");
        assertEq(state.enrolled, 1, "in the next epoch");
        assertEq(market.ownerRecord(ownerAt(0)).claimedThrough, 0, "its claims are as they were");
        assertBooks();
        // Once is enough.
        vm.prank(ownerAt(0));
        joinWith(0, Builders.maskKey(8), "");
    }

    function test_open_withSlashedMember_revertsUntilItHasPaid() external {
        slash();
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketNotStaked.selector, 1);
        market.open(3, 31, 0);
        join(0);
        open(31);
        // It can be accused and slashed again.
        lapse(1);
        settle(0, TASK);
        assertEq(market.state().slashed, 1, "slashed");
        assertEq(market.state().creditsWei, 2 * (_STAKE - 3 * _REWARD), "burned twice");
        assertBooks();
    }

    function test_depart_slashed_takesItsRewardsAtOnce() external {
        slash();
        vm.expectEmit();
        emit IMarket.Departed(ownerAt(0), 0, _REWARD);
        vm.prank(STRANGER);
        market.depart(ownerAt(0));

        assertEq(ownerAt(0).balance, _REWARD, "round 1, and no stake");
        assertTrue(!market.ownerRecord(ownerAt(0)).registered, "forgotten");
        assertEq(market.state().slashed, 0, "not remembered");
        assertBooks();
        expectRevert(IMarket.MarketNotRegistered.selector, ownerAt(0));
        market.depart(ownerAt(0));
    }

    function test_leave_slashed_isForGood() external {
        slash();
        vm.prank(ownerAt(0));
        market.leave();
        uint256 leaveAt = market.ownerRecord(ownerAt(0)).leaveAt;
        vm.deal(ownerAt(0), _STAKE);
        vm.prank(ownerAt(0));
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketLeaving.selector, ownerAt(0), leaveAt));
        joinWith(_STAKE, Builders.maskKey(0), "");
        // It need not wait.
        market.depart(ownerAt(0));
        assertEq(ownerAt(0).balance, _STAKE + _REWARD, "what it had, and its reward");
    }

    function test_settle_lapsedWhileLeaving_losesItsStake() external {
        reachOpen();
        vm.prank(ownerAt(0));
        market.leave();
        lapse(1);
        expectRevert(IMarket.MarketTooEarly.selector, block.timestamp, START + 3600);
        market.depart(ownerAt(0));
        settle(0, 0);
        market.depart(ownerAt(0));
        assertEq(ownerAt(0).balance, 0, "nothing");
        assertBooks();
    }

    function test_depart_neitherLeftNorSlashed_reverts() external {
        slash();
        join(0);
        expectRevert(IMarket.MarketNotLeaving.selector, ownerAt(0));
        market.depart(ownerAt(0));
        expectRevert(IMarket.MarketNotLeaving.selector, ownerAt(1));
        market.depart(ownerAt(1));
    }

    function test_join_slashedSeats_areNobodyElses() external {
        slash();
        for (uint256 i = 20; i < 25; ++i) join(i);
        // 24 are staked and one is slashed: as many data owners as the terms allow.
        vm.deal(ownerAt(25), _STAKE);
        vm.prank(ownerAt(25));
        expectRevert(IMarket.MarketFull.selector, 25);
        joinWith(_STAKE, Builders.maskKey(25), "");
        join(0);
        assertEq(size(market.state().staked), 25, "full");
        assertBooks();
    }

    function test_depart_slashed_givesItsSeatAwayAfterTheNextFreeze() external {
        slash();
        market.depart(ownerAt(0));
        join(20);
        assertEq(market.ownerRecord(ownerAt(20)).seat, 20, "still of this epoch");
        for (uint256 i = 1; i < OWNERS; ++i) join(i);
        freeze();
        join(21);
        assertEq(market.ownerRecord(ownerAt(21)).seat, 0, "free again");
        assertEq(market.claimableWei(ownerAt(21)), 0, "with nothing on it");
        assertBooks();
    }
}
