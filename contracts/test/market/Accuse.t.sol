// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {MarketState, Stage, Terms} from "../../src/interfaces/MarketTypes.sol";
import {DisputeFixture} from "../utils/DisputeFixture.sol";
import {vm} from "../utils/Vm.sol";

contract AccuseTest is DisputeFixture {
    function test_accuse_members_opensTheirAnswerWindow() external {
        reachOpen();
        vm.expectEmit();
        emit IMarket.Accused(1, 1, 5, uint64(START + 600));
        accuse(5, leastDeposit());

        MarketState memory state = market.state();
        assertEq(state.accused, 5, "accused");
        assertEq(state.answered, 0, "answered");
        assertEq(state.answerBy, START + 600, "answer by");
        assertEq(state.disputesWei, 2 * (FEE + leastDeposit()), "ether");
        assertBooks();
        (bytes32 digest, uint128 depositWei, uint16 done) = market.accusation(2);
        assertEq(digest, digestOf(2), "digest");
        assertEq(depositWei, leastDeposit(), "deposit");
        assertEq(done, 0, "polynomials");
        (digest, depositWei, done) = market.accusation(1);
        assertTrue(digest == 0 && depositWei == 0 && done == 0, "not accused");
    }

    function test_accuse_again_movesTheDeadlineForAll() external {
        reachOpen();
        accuse(1, leastDeposit());
        vm.warp(START + 500);
        accuse(2, 5 * leastDeposit());

        assertEq(market.state().accused, 3, "both");
        assertEq(market.state().answerBy, START + 1100, "later");
        vm.warp(START + 1100);
        answer(0, 0, 3);
        assertEq(market.state().answered, 1, "the first within the second's time");
        (, uint128 depositWei, ) = market.accusation(1);
        assertEq(depositWei, 5 * leastDeposit(), "deposits differ");
    }

    function test_accuse_atTheDeadline_endsBeforeProving() external {
        reachOpen();
        vm.warp(ACCUSE_BY);
        accuse(1, leastDeposit());
        assertEq(market.state().answerBy, SETTLE_BY - 600, "the window to prove is left");
    }

    function test_accuse_nextRound_startsAfresh() external {
        reachOpen();
        accuse(7, leastDeposit());
        answer(0, 0, 3);
        answer(1, 0, 2);
        settle(0, TASK);
        MarketState memory state = market.state();
        assertTrue(state.accused == 0 && state.answered == 0 && state.answerBy == 0, "the round is over");
        open(31);
        assertEq(market.state().answerBy, 0, "nobody");
        (bytes32 digest, , ) = market.accusation(1);
        assertEq(digest, 0, "nothing is left of the last round");

        accuse(3, 2 * leastDeposit());
        assertEq(market.state().accused, 3, "accused");
        assertEq(market.state().answered, 0, "answered");
        (, uint128 depositWei, uint16 done) = market.accusation(1);
        assertEq(depositWei, 2 * leastDeposit(), "deposit");
        assertEq(done, 0, "polynomials");
        answer(0, 0, 3);
        answer(1, 0, 3);
        assertBooks();
    }

    function test_fuzz_accuse_anyValue_splitsIt(uint256 seats, uint256 valueWei) external {
        reachOpen();
        seats = bound(seats, 1, (1 << OWNERS) - 1);
        uint256 number = size(seats);
        uint256 leastWei = number * (FEE + leastDeposit());
        valueWei = bound(valueWei, leastWei, leastWei + 1 ether);
        accuseFor(seats, valueWei);

        uint256 toSplit = valueWei - number * FEE;
        for (uint256 seat = 0; seat < OWNERS; ++seat) {
            (bytes32 digest, uint128 depositWei, ) = market.accusation(uint8(seat));
            bool accused = (seats >> seat) & 1 == 1;
            assertEq(depositWei, accused ? toSplit / number : 0, "deposit");
            assertEq(digest, accused ? digestOf(seat) : bytes32(0), "digest");
        }
        assertBooks();
        if (toSplit % number != 0) assertEq(freedFor(MODEL_OWNER), toSplit % number, "the rest is the model owner's again");
        assertEq(market.state().disputesWei, valueWei - toSplit % number, "held");
    }

    /// @dev Everything is wrong at first, and put right from the first check on.
    function test_accuse_wrongly_revertsWithTheFirstCheck() external {
        reachAnchored();
        bytes32[] memory digests = digestsOf(31);
        bytes32[] memory wrong = new bytes32[](20);
        expectRevert(IMarket.MarketWrongStage.selector, uint256(Stage.Anchored), 1 << uint256(Stage.Open));
        market.accuse(9, 0, wrong);
        open(31);
        accuse(6, leastDeposit());
        vm.warp(ACCUSE_BY + 1);
        expectRevert(IMarket.MarketNotModelOwner.selector, address(this));
        market.accuse(9, 0, wrong);
        vm.startPrank(MODEL_OWNER);
        expectRevert(IMarket.MarketWrongRound.selector, 9, 1);
        market.accuse(9, 0, wrong);
        expectRevert(IMarket.MarketTooLate.selector, ACCUSE_BY + 1, ACCUSE_BY);
        market.accuse(1, 0, wrong);
        vm.warp(ACCUSE_BY);
        expectRevert(IMarket.MarketNoSeats.selector);
        market.accuse(1, 0, wrong);
        expectRevert(IMarket.MarketWrongDigests.selector, keccak256(abi.encodePacked(wrong)), keccak256(abi.encodePacked(digests)));
        market.accuse(1, 1 << 25 | 7, wrong);
        expectRevert(IMarket.MarketUnknownSeats.selector, 1 << 25 | 7, (1 << OWNERS) - 1);
        market.accuse(1, 1 << 25 | 7, digests);
        expectRevert(IMarket.MarketAlreadyAccused.selector, 6);
        market.accuse(1, 7, digests);
        uint256 leastWei = 2 * (FEE + leastDeposit());
        vm.deal(MODEL_OWNER, leastWei);
        expectRevert(IMarket.MarketUnderpaid.selector, leastWei - 1, leastWei);
        market.accuse{value: leastWei - 1}(1, 9, digests);
        market.accuse{value: leastWei}(1, 9, digests);
        assertEq(market.state().accused, 15, "accused");
        vm.stopPrank();
        answer(0, 0, 3);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketAlreadyAccused.selector, 1);
        market.accuse(1, 1, digests);
    }

    function test_accuse_memberOfAGroupThatIsNotOnTheRoster_reverts() external {
        reachSixGroups();
        open(62);
        uint256 other = market.groupSeats(0);
        uint256 known = ((1 << 24) - 1) & ~other;
        bytes32[] memory digests = digestsOf(62);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketUnknownSeats.selector, other, known);
        market.accuse(1, other, digests);
    }

    function test_answerCost_isTwiceBlobsAndGas() external {
        // One transaction of three blobs.
        uint256 gas = 80_000 + 3 * 12_000;
        assertEq(market.answerCostWei(), 2 * (3 * 131_072 * block.blobbasefee + gas * 1 gwei), "three polynomials");
        uint256 before = block.blobbasefee;
        vm.fee(3 gwei);
        vm.blobBaseFee(8e7);
        assertTrue(block.blobbasefee > 10 * before, "another fee");
        assertEq(market.answerCostWei(), 2 * (3 * 131_072 * block.blobbasefee + gas * 3 gwei), "at other fees");
    }

    function test_answerCost_moreThanSixBlobs_takesMoreTransactions() external {
        Terms memory terms = baseTerms();
        (terms.weights, terms.answerSeconds) = (13 * 8192, 960);
        market = create(terms);
        assertEq(market.answerCostWei(), 2 * (13 * 131_072 * block.blobbasefee + (3 * 80_000 + 13 * 12_000) * 1 gwei), "13 polynomials");
    }

    function test_accuse_noFee_needsTheDepositOnly() external {
        Terms memory terms = baseTerms();
        terms.accuseFeeWei = 0;
        market = create(terms);
        reachOpen();
        accuseFor(1, leastDeposit());
        answer(0, 0, 3);
        assertEq(freedFor(RELAY), leastDeposit(), "deposit");
        expectRevert(IMarket.MarketNoCredit.selector, ownerAt(0));
        market.withdraw(ownerAt(0));
    }
}
