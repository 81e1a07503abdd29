// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {MarketState, Stage, Terms} from "../../src/interfaces/MarketTypes.sol";
import {MarketFixture} from "../utils/MarketFixture.sol";
import {vm} from "../utils/Vm.sol";

contract RoundTest is MarketFixture {

    function test_anchor_startsARound() external {
        reach(Stage.Idle);
        vm.expectEmit();
        emit IMarket.Anchored(1, 1, TASK, uint64(START + 600));
        anchor();

        MarketState memory state = market.state();
        assertStage(Stage.Anchored);
        assertEq(state.round, 1, "round");
        assertEq(state.openBy, START + 600, "open by");
        assertEq(state.taskHash, TASK, "task");
    }

    function test_anchor_again_replacesTheRound() external {
        reachAnchored();
        anchor();
        assertEq(market.state().round, 2, "numbers are never used again");
    }

    function test_anchor_wrongly_reverts() external {
        reach(Stage.Idle);
        expectRevert(IMarket.MarketNotModelOwner.selector, address(this));
        market.anchor(TASK);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketNoTask.selector);
        market.anchor(0);
    }

    function test_open_wholeRoster_locksTheBond() external {
        reachAnchored();
        bytes32 rosterHash = rosterHashOf(31);
        vm.expectEmit();
        emit IMarket.Opened(1, 1, 31, rosterHash, uint64(START + 3000));
        vm.prank(MODEL_OWNER);
        market.open(1, 31, rosterHash);

        MarketState memory state = market.state();
        assertStage(Stage.Open);
        assertEq(state.rosterHash, rosterHash, "roster");
        assertEq(state.settleBy, START + 3000, "settle by");
        assertEq(state.bondWei, 3e16, "bond");
        assertEq(state.escrowWei, 2e17, "escrow");
        assertBooks();
    }

    /// @dev Everything is wrong at first, and put right from the first check on. Only five of the six groups are still whole.
    function test_open_wrongly_revertsWithTheFirstCheck() external {
        reachSixGroups();
        uint256 whole = 63 ^ (1 << groupOf(0));
        depart(0);
        expectRevert(IMarket.MarketNotModelOwner.selector, address(this));
        market.open(9, 0, 0);
        vm.startPrank(MODEL_OWNER);
        expectRevert(IMarket.MarketWrongRound.selector, 9, 1);
        market.open(9, 0, 0);
        vm.warp(START + 601);
        expectRevert(IMarket.MarketTooLate.selector, START + 601, START + 600);
        market.open(1, 0, 0);
        vm.warp(START + 600);
        expectRevert(IMarket.MarketNoGroups.selector);
        market.open(1, 0, 0);
        expectRevert(IMarket.MarketUnknownGroup.selector, 64 + 15, 63);
        market.open(1, 64 + 15, 0);
        expectRevert(IMarket.MarketNotStaked.selector, 1);
        market.open(1, 63, 0);
        market.open(1, whole, 0);
        assertEq(market.state().groups, whole, "five of six groups");
    }

    function test_open_underfunded_reverts() external {
        joinAll(OWNERS);
        freeze();
        draw();
        anchor();
        fund(5e16 - 1);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketUnderfunded.selector, 5e16 - 1, 5e16);
        market.open(1, 31, 0);
        fund(1);
        open(31);
        assertEq(market.state().escrowWei, 2e16, "just the rewards");
    }

    function test_open_epochOver_reverts() external {
        Terms memory terms = baseTerms();
        terms.roundsPerEpoch = 1;
        market = create(terms);
        reachOpen();
        settle(0, TASK);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketEpochOver.selector, 1);
        market.open(2, 31, 0);
        // A new epoch has rounds again.
        joinAll(OWNERS);
        freeze();
        draw();
        anchor();
        open(31);
    }
}
