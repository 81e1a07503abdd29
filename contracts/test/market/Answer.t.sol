// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {MarketState, Stage} from "../../src/interfaces/MarketTypes.sol";
import {DisputeFixture} from "../utils/DisputeFixture.sol";
import {vm} from "../utils/Vm.sol";

contract AnswerTest is DisputeFixture {
    function test_answer_allAtOnce_earnsDepositAndFee() external {
        reachOpen();
        accuse(8, leastDeposit());
        carry(3, 0, 3);
        bytes memory points = pointsOf(3);
        vm.expectEmit();
        emit IMarket.Answered(1, 1, 3, 0, 3);
        vm.prank(RELAY);
        market.answer(1, 3, points, 0, 3);

        MarketState memory state = market.state();
        assertEq(state.answered, 8, "answered");
        assertEq(state.accused, 8, "still listed");
        assertEq(state.disputesWei, FEE + leastDeposit(), "freed, not paid");
        (, , uint16 done) = market.accusation(3);
        assertEq(done, 3, "polynomials");
        vm.expectEmit();
        emit IMarket.Withdrawn(RELAY, 0, leastDeposit());
        assertEq(freedFor(RELAY), leastDeposit(), "who sent the blobs");
        assertEq(freedFor(ownerAt(3)), FEE, "who was accused");
        assertEq(market.state().disputesWei, 0, "nothing is left");
        assertBooks();
    }

    function test_answer_inPieces_sharesTheDeposit() external {
        reachOpen();
        uint256 depositWei = leastDeposit() + 2 - (leastDeposit() % 3); // 2 beyond a multiple of 3
        accuse(1, depositWei);
        answer(0, 0, 1);
        assertEq(freedFor(RELAY), depositWei / 3, "a third");
        assertEq(market.state().answered, 0, "not yet");
        answer(0, 1, 1);
        answer(0, 2, 1);
        assertEq(freedFor(RELAY), depositWei / 3 + depositWei / 3 + 2, "the last gets the rest");
        assertEq(market.state().answered, 1, "answered");
        assertEq(freedFor(ownerAt(0)), FEE, "fee");
        assertBooks();
    }

    function test_fuzz_answer_anyPieces_earnAllOfTheDeposit(uint256 depositWei, bool twoFirst) external {
        reachOpen();
        depositWei = bound(depositWei, leastDeposit(), 1 ether);
        accuse(1, depositWei);
        answer(0, 0, twoFirst ? 2 : 1);
        assertEq(freedFor(RELAY), (depositWei * (twoFirst ? 2 : 1)) / 3, "rounded down");
        if (twoFirst) answer(0, 2, 1);
        else answer(0, 1, 2);
        assertEq(freedFor(RELAY), depositWei - (depositWei * (twoFirst ? 2 : 1)) / 3, "the rest");
        assertBooks();
    }

    function test_answer_byItsOwner_earnsBoth() external {
        reachOpen();
        accuse(1, leastDeposit());
        carry(0, 0, 3);
        bytes memory points = pointsOf(0);
        vm.prank(ownerAt(0));
        market.answer(1, 0, points, 0, 3);
        assertEq(freedFor(ownerAt(0)), FEE + leastDeposit(), "deposit and fee");
    }

    function test_answer_moreBlobsThanCounted_ignoresTheRest() external {
        reachOpen();
        accuse(1, leastDeposit());
        bytes32[] memory hashes = new bytes32[](2);
        (hashes[0], hashes[1]) = (blobHash(point(0, 0)), bytes32(uint256(1)));
        vm.blobhashes(hashes);
        market.answer(1, 0, pointsOf(0), 0, 1);
        (, , uint16 done) = market.accusation(0);
        assertEq(done, 1, "one");
    }

    function test_answer_zeroPolynomial_works() external {
        // The commitment to a zero blob is infinity; its versioned hash is the same for everybody.
        setPoints(0, new bytes(384));
        reachOpen();
        accuse(1, leastDeposit());
        bytes32[] memory hashes = new bytes32[](3);
        for (uint256 i = 0; i < 3; ++i) hashes[i] = 0x010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014;
        vm.blobhashes(hashes);
        market.answer(1, 0, pointsOf(0), 0, 3);
        assertEq(market.state().answered, 1, "answered");
    }

    /// @dev Everything is wrong at first, and put right from the first check on.
    function test_answer_wrongly_revertsWithTheFirstCheck() external {
        reachAnchored();
        expectRevert(IMarket.MarketWrongStage.selector, uint256(Stage.Anchored), 1 << uint256(Stage.Open));
        market.answer(9, 7, "", 9, 0);
        open(31);
        expectRevert(IMarket.MarketNotAccused.selector, 255);
        market.answer(1, 255, "", 9, 0);
        accuse(1, leastDeposit());
        answer(0, 0, 1);
        vm.blobhashes(new bytes32[](0));
        passAnswerWindow();
        expectRevert(IMarket.MarketWrongRound.selector, 9, 1);
        market.answer(9, 7, "", 9, 0);
        expectRevert(IMarket.MarketNotAccused.selector, 7);
        market.answer(1, 7, "", 9, 0);
        expectRevert(IMarket.MarketTooLate.selector, START + 601, START + 600);
        market.answer(1, 0, "", 9, 0);
        vm.warp(START + 600);
        bytes memory points = pointsOf(0);
        expectRevert(IMarket.MarketWrongLength.selector, 383, 384);
        market.answer(1, 0, new bytes(383), 9, 0);
        expectRevert(IMarket.MarketWrongPoints.selector, keccak256(pointsOf(1)), keccak256(points));
        market.answer(1, 0, pointsOf(1), 9, 0);
        expectRevert(IMarket.MarketWrongStart.selector, 9, 1);
        market.answer(1, 0, points, 9, 0);
        expectRevert(IMarket.MarketWrongStart.selector, 0, 1);
        market.answer(1, 0, points, 0, 0);
        expectRevert(IMarket.MarketWrongLength.selector, 0, 2);
        market.answer(1, 0, points, 1, 0);
        expectRevert(IMarket.MarketWrongLength.selector, 3, 2);
        market.answer(1, 0, points, 1, 3);
        expectRevert(IMarket.MarketWrongBlob.selector, 0, 0, blobHash(point(0, 1)));
        market.answer(1, 0, points, 1, 2);
        answer(0, 1, 2);
        expectRevert(IMarket.MarketNotAccused.selector, 0);
        market.answer(1, 0, points, 3, 1);
    }

    function test_answer_wrongBlob_reverts() external {
        reachOpen();
        accuse(1, leastDeposit());
        bytes memory points = pointsOf(0);
        // The right blobs in the wrong order, another's blob, too few blobs.
        bytes32[] memory hashes = new bytes32[](3);
        (hashes[0], hashes[1], hashes[2]) = (blobHash(point(0, 0)), blobHash(point(0, 2)), blobHash(point(0, 1)));
        vm.blobhashes(hashes);
        expectRevert(IMarket.MarketWrongBlob.selector, 1, hashes[1], hashes[2]);
        market.answer(1, 0, points, 0, 3);
        carry(1, 0, 3);
        expectRevert(IMarket.MarketWrongBlob.selector, 0, blobHash(point(1, 0)), blobHash(point(0, 0)));
        market.answer(1, 0, points, 0, 3);
        carry(0, 0, 2);
        expectRevert(IMarket.MarketWrongBlob.selector, 2, 0, blobHash(point(0, 2)));
        market.answer(1, 0, points, 0, 3);
    }

    function test_answer_garbageForY_reverts() external {
        // Only x and the sign of y are hashed: without a look at the point, a commitment that no sum can use would pass as answered.
        bytes memory points = pointsOf(0);
        points[128 + 127] ^= 0x01;
        setPoints(0, points);
        reachOpen();
        accuse(1, leastDeposit());
        bytes32[] memory hashes = new bytes32[](3);
        for (uint256 k = 0; k < 3; ++k) hashes[k] = blobHash(point(0, k));
        vm.blobhashes(hashes);
        expectRevert(IMarket.MarketBadPoint.selector, 1);
        market.answer{gas: 10_000_000}(1, 0, points, 0, 3);
        // What comes first is checked first.
        hashes[0] = 0;
        vm.blobhashes(hashes);
        bytes32 expected = blobHash(point(0, 0));
        expectRevert(IMarket.MarketWrongBlob.selector, 0, 0, expected);
        market.answer{gas: 10_000_000}(1, 0, points, 0, 3);
    }
}
