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
        emit IMarket.Accused(1, 1, 5, uint64(START + 1800));
        accuse(5, leastDeposit());

        MarketState memory state = market.state();
        assertEq(state.accused, 5, "accused");
        assertEq(state.answered, 0, "answered");
        assertEq(state.answerBy, START + 1800, "answer by");
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
        assertEq(market.state().answerBy, START + 2300, "later");
        vm.warp(START + 2300);
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
        answer(1, 0, 3);
        answer(2, 0, 3);
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
        market.accuse(9, 0, wrong, "");
        open(31);
        accuse(6, leastDeposit());
        vm.warp(ACCUSE_BY + 1);
        expectRevert(IMarket.MarketNotModelOwner.selector, address(this));
        market.accuse(9, 0, wrong, "");
        vm.startPrank(MODEL_OWNER);
        expectRevert(IMarket.MarketWrongRound.selector, 9, 1);
        market.accuse(9, 0, wrong, "");
        expectRevert(IMarket.MarketTooLate.selector, ACCUSE_BY + 1, ACCUSE_BY);
        market.accuse(1, 0, wrong, "");
        vm.warp(ACCUSE_BY);
        expectRevert(IMarket.MarketNoSeats.selector);
        market.accuse(1, 0, wrong, "");
        expectRevert(IMarket.MarketUnknownSeats.selector, 1 << 25 | 7, (1 << OWNERS) - 1);
        market.accuse(1, 1 << 25 | 7, wrong, "");
        expectRevert(IMarket.MarketAlreadyAccused.selector, 6);
        market.accuse(1, 7, wrong, "");
        expectRevert(IMarket.MarketWrongLength.selector, 0, 20);
        market.accuse(1, 9, new bytes32[](0), "");
        expectRevert(IMarket.MarketWrongDigests.selector, keccak256(abi.encodePacked(uint256(31), wrong)), rosterHashOf(31));
        market.accuse(1, 9, wrong, "");
        expectRevert(IMarket.MarketWrongLength.selector, 64, 128);
        market.accuse(1, 9, digests, new bytes(64));
        bytes memory signatures = commitmentsOf(9);
        uint256 leastWei = 2 * (FEE + leastDeposit());
        vm.deal(MODEL_OWNER, leastWei);
        expectRevert(IMarket.MarketUnderpaid.selector, leastWei - 1, leastWei);
        market.accuse{value: leastWei - 1}(1, 9, digests, signatures);
        market.accuse{value: leastWei}(1, 9, digests, signatures);
        assertEq(market.state().accused, 15, "accused");
    }

    /// @dev A digest that is on the roster at another place, one that is nowhere, and one that nobody signed.
    function test_accuse_forADigestThatIsNotTheAccuseds_reverts() external {
        reachAnchored();
        bytes32[] memory digests = digestsOf(31);
        digests[0] = "nobody signed this";
        vm.startPrank(MODEL_OWNER);
        market.open(1, 31, keccak256(abi.encodePacked(uint256(31), digests)));
        uint256[] memory seats = seatsInOrder(31);
        bytes memory own = signature(seats[0] + 1, market.commitmentHash(digestOf(seats[0])));
        vm.deal(MODEL_OWNER, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketBadSignature.selector, seats[0], ownerAt(seats[0])));
        market.accuse{value: 1 ether}(1, 1 << seats[0], digests, own);
        bytes memory others = signature(seats[1] + 1, market.commitmentHash(digests[1]));
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketBadSignature.selector, seats[2], ownerAt(seats[2])));
        market.accuse{value: 1 ether}(1, 1 << seats[2], digests, others);
        market.accuse{value: 1 ether}(1, 1 << seats[1], digests, others);
    }

    function test_accuse_marketWithoutAccusations_reverts() external {
        Terms memory terms = baseTerms();
        terms.answerSeconds = 0;
        market = create(terms);
        reachOpen();
        assertEq(market.answerCostWei(), 0, "no cost");
        bytes32[] memory digests = digestsOf(31);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketNoAccusations.selector);
        market.accuse(1, 1, digests, "");
        settle(1, 0);
        assertEq(market.paidSeats(1), members(31), "silence is waived and paid");
    }

    function test_answerCost_isTwiceBlobsAndGas() external {
        // One transaction of three blobs.
        uint256 gas = 100_000 + 3 * 16_000;
        assertEq(market.answerCostWei(), 2 * (3 * 131_072 * block.blobbasefee + gas * 1 gwei), "three polynomials");
        uint256 before = block.blobbasefee;
        vm.fee(3 gwei);
        vm.blobBaseFee(8e7);
        assertTrue(block.blobbasefee > 10 * before, "another fee");
        assertEq(market.answerCostWei(), 2 * (3 * 131_072 * block.blobbasefee + gas * 3 gwei), "at other fees");
    }

    function test_answerCost_moreThanSixBlobs_takesMoreTransactions() external {
        Terms memory terms = baseTerms();
        (terms.weights, terms.answerSeconds) = (13 * 8192, 1800);
        market = create(terms);
        assertEq(market.answerCostWei(), 2 * (13 * 131_072 * block.blobbasefee + (3 * 100_000 + 13 * 16_000) * 1 gwei), "13 polynomials");
    }

    function test_accuse_noFee_needsTheDepositOnly() external {
        Terms memory terms = baseTerms();
        terms.accuseFeeWei = 0;
        market = create(terms);
        reachOpen();
        accuseFor(1, leastDeposit());
        answer(0, 0, 3);
        assertEq(freedFor(RELAY), answerCost(3), "cost");
        expectRevert(IMarket.MarketNoCredit.selector, ownerAt(0));
        market.withdraw(ownerAt(0));
    }
}
