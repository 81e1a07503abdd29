// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {Statement} from "../../src/interfaces/IVerification.sol";
import {MarketState, Stage, Terms} from "../../src/interfaces/MarketTypes.sol";
import {Builders} from "../utils/Builders.sol";
import {MarketFixture} from "../utils/MarketFixture.sol";
import {vm} from "../utils/Vm.sol";

contract SettleTest is MarketFixture {
    function test_settle_allAlike_dropsTheHighestAndAnchorsTheNext() external {
        reachOpen();
        bytes32 context = market.settlementContext();
        uint256 paid = members(15);
        vm.expectEmit();
        emit IMarket.Settled(1, 1, 15, 0, 0, paid);
        vm.expectEmit();
        emit IMarket.Anchored(1, 2, NEXT_TASK, uint64(START + 600));
        settle(0, NEXT_TASK);

        Statement memory asked = verification.asked();
        assertEq(asked.context, context, "context");
        assertEq(asked.sizes.length, 5, "groups");
        assertEq(asked.polynomials, 3, "polynomials");
        assertEq(asked.updateBits, 16, "bits");
        assertEq(verification.settlementHash(), keccak256("proof"), "settlement");
        assertEq(market.paidSeats(1), paid, "paid");
        assertEq(market.state().owedWei, 16e15, "owed");
        assertStage(Stage.Anchored);
        assertBooks();
    }

    function test_settle_noNextTask_isIdle() external {
        reachOpen();
        settle(0, 0);
        assertStage(Stage.Idle);
        assertEq(market.state().bondWei, 3e16, "the bond stays for the next round");
    }

    function test_settle_outlier_isDropped() external {
        reachOpen();
        // T_{0,g} are the first five; group 2 of the five is far from the others.
        uint256[] memory distances = new uint256[](15);
        uint256 pair = 0;
        for (uint256 i = 0; i <= 5; ++i) {
            for (uint256 k = i + 1; k <= 5; ++k) distances[pair++] = (i != 3 && k != 3) ? 10 + i + k : 1000;
        }
        verification.setVerdict(0, distances);
        settle(0, 0);
        assertEq(market.paidSeats(1), members(31 - 4), "all but the third group");
    }

    function test_settle_notEligible_isUnpaid() external {
        reachOpen();
        uint256[] memory distances = Builders.noDistances(5);
        // Scale 4, bound a million.
        distances[0] = 16_000_001;
        verification.setVerdict(0, distances);
        settle(0, 0);
        assertEq(market.paidSeats(1), members(30), "all but the first");
    }

    function test_settle_moreThanFUnpaid_reverts() external {
        reachOpen();
        uint256[] memory distances = Builders.noDistances(5);
        (distances[0], distances[4]) = (16_000_001, 16_000_001);
        refuseTwoUnpaid(0, distances); // two too long
        distances = Builders.noDistances(4);
        distances[3] = 16_000_001;
        refuseTwoUnpaid(1, distances); // one excluded, one too long
        refuseTwoUnpaid(3, Builders.noDistances(3)); // two excluded
    }

    function refuseTwoUnpaid(uint256 excluded, uint256[] memory distances) private {
        verification.setVerdict(excluded, distances);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketTooManyUnpaid.selector, 2, 1);
        market.settle(1, "", 0, 0);
    }

    function test_settle_excluded_isUnpaidAndNobodyElse() external {
        reachOpen();
        verification.setVerdict(8, Builders.noDistances(4));
        settle(0, 0);
        assertEq(market.paidSeats(1), members(23), "all but the excluded");
    }

    function test_settle_waived_isPaidAndDoesNotTakePart() external {
        reachOpen();
        settle(2, 0);

        assertEq(verification.asked().outside, 2, "outside");
        assertEq(market.paidSeats(1), members(15), "the waived too; the highest is dropped");
    }

    function test_settle_allWaived_paysAll() external {
        reachOpen();
        settle(31, 0);
        assertEq(market.paidSeats(1), members(31), "all");
    }

    function test_settle_partialRoster_translatesPositions() external {
        reachSixGroups();
        open(62); // groups 1 .. 5 at positions 0 .. 4
        verification.setVerdict(1, Builders.noDistances(3));
        uint256 paid = market.groupSeats(2) | market.groupSeats(3) | market.groupSeats(4) | market.groupSeats(5);
        vm.expectEmit();
        emit IMarket.Settled(1, 1, 52, 8, 2, paid);
        settle(8, 0);
        assertEq(verification.asked().outside, 4, "group 3 is at position 2");
    }

    function test_settle_wrongly_reverts() external {
        reachOpen();
        expectRevert(IMarket.MarketNotModelOwner.selector, address(this));
        market.settle(1, "", 0, 0);
        vm.startPrank(MODEL_OWNER);
        expectRevert(IMarket.MarketWrongRound.selector, 0, 1);
        market.settle(0, "", 0, 0);
        expectRevert(IMarket.MarketUnknownGroup.selector, 32, 31);
        market.settle(1, "", 32, 0);
        vm.warp(START + 1801);
        expectRevert(IMarket.MarketTooLate.selector, START + 1801, START + 1800);
        market.settle(1, "", 0, 0);
        vm.warp(START + 1800);
        market.settle(1, "", 0, 0);
    }

    function test_settle_wrongVerdict_reverts() external {
        reachOpen();
        vm.startPrank(MODEL_OWNER);
        verification.setVerdict(0, new uint256[](14));
        expectRevert(IMarket.MarketWrongLength.selector, 14, 15);
        market.settle(1, "", 0, 0);
        // A verification that excludes what is not on the roster, or what was waived.
        verification.setVerdict(32, Builders.noDistances(5));
        expectRevert(IMarket.MarketUnknownGroup.selector, 32, 31);
        market.settle(1, "", 0, 0);
        verification.setVerdict(2, Builders.noDistances(4));
        expectRevert(IMarket.MarketUnknownGroup.selector, 2, 29);
        market.settle(1, "", 2, 0);
    }

    function test_timeout_paysAllAndSharesTheBond() external {
        reachOpen();
        vm.warp(START + 1801);
        vm.expectEmit();
        emit IMarket.TimedOut(1, 1, members(31), 15e14);
        vm.prank(STRANGER);
        market.timeout(1);

        MarketState memory state = market.state();
        assertStage(Stage.Idle);
        assertEq(market.paidSeats(1), members(31), "all");
        assertEq(market.bondShareWei(1), 15e14, "share");
        assertEq(state.owedWei, 20 * (1e15 + 15e14), "owed");
        assertEq(state.bondWei, 0, "bond");
        market.claim(ownerAt(3), 1);
        assertEq(ownerAt(3).balance, 1e15 + 15e14, "reward and share");
        assertBooks();
        anchor();
        open(31);
        assertEq(market.state().bondWei, 3e16, "a new bond");
    }

    function test_timeout_restOfTheBond_goesToTheEscrow() external {
        Terms memory terms = baseTerms();
        terms.bondWei = 47;
        market = create(terms);
        reachOpen();
        uint256 escrowWei = market.state().escrowWei;
        vm.warp(START + 1801);
        market.timeout(1);

        assertEq(market.bondShareWei(1), 2, "rounded down");
        assertEq(market.state().escrowWei, escrowWei - 20e15 + 7, "rest");
        assertBooks();
    }

    function test_timeout_wrongly_reverts() external {
        reachOpen();
        expectRevert(IMarket.MarketWrongRound.selector, 2, 1);
        market.timeout(2);
        vm.warp(START + 1800);
        expectRevert(IMarket.MarketTooEarly.selector, START + 1800, START + 1801);
        market.timeout(1);
    }
}
