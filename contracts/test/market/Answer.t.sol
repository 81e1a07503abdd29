// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {MarketState, Stage, Terms} from "../../src/interfaces/MarketTypes.sol";
import {DisputeFixture} from "../utils/DisputeFixture.sol";
import {vm} from "../utils/Vm.sol";

contract AnswerTest is DisputeFixture {
    function test_answer_allAtOnce_isRefundedItsCost() external {
        reachOpen();
        accuse(8, leastDeposit());
        vm.expectEmit();
        emit IMarket.Answered(1, 1, 3, 0, 3, 0);
        answer(3, 0, 3);

        MarketState memory state = market.state();
        assertEq(state.answered, 8, "answered");
        assertEq(state.accused, 8, "still listed");
        assertEq(state.disputesWei, FEE + leastDeposit(), "freed, not paid");
        (, , uint16 done) = market.accusation(3);
        assertEq(done, 3, "polynomials");
        assertEq(freedFor(RELAY), answerCost(3), "who sent the blobs");
        assertEq(freedFor(BURNED), FEE, "nobody earns the fee of an accusation that was answered");
        settle(0, 0);
        assertEq(freedFor(MODEL_OWNER), leastDeposit() - answerCost(3), "the rest");
        assertEq(market.state().disputesWei, 0, "nothing is left");
        assertBooks();
    }

    /// @dev What a part does not need is there for the next; what fees have risen to is refunded up to the part's deposit.
    function test_fuzz_answer_anyPieces_isRefundedWithinTheDeposit(uint256 depositWei, uint256 baseFee, bool twoFirst) external {
        reachOpen();
        depositWei = bound(depositWei, leastDeposit(), 1 ether);
        accuse(1, depositWei);
        uint256 first = twoFirst ? 2 : 1;
        vm.fee(bound(baseFee, 0, 1e14));
        answer(0, 0, uint16(first));
        uint256 expected = min(answerCost(first), (depositWei * first) / 3);
        assertEq(freedFor(RELAY), expected, "first");
        answer(0, uint16(first), uint16(3 - first));
        assertEq(freedFor(RELAY), min(answerCost(3 - first), depositWei - expected), "second");
        assertBooks();
    }

    function min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }

    /// @dev Whoever copies the first blob of an answer and comes before it stops nothing.
    function test_answer_afterACopiedFirstBlob_skipsIt() external {
        reachOpen();
        accuse(1, leastDeposit());
        answer(0, 0, 1);
        freedFor(RELAY);
        vm.expectEmit();
        emit IMarket.Answered(1, 1, 0, 1, 2, 0);
        answer(0, 0, 3);
        assertEq(market.state().answered, 1, "answered");
        assertEq(freedFor(RELAY), min(answerCost(2), leastDeposit() - answerCost(1)), "for what was new");
    }

    function test_answer_projected_bringsTheDeliveryWithItsLastPart() external {
        Terms memory terms = baseTerms();
        terms.projected = true;
        market = create(terms);
        reachOpen();
        accuse(1, leastDeposit());
        answer(0, 0, 2);
        bytes memory points = pointsOf(0, 2, 1);
        bytes32[] memory proofs = proofsOf(0, 2, 1);
        bytes32 projected = keccak256("of the projected point");
        bytes memory own = signature(1, market.deliveryHash(projected));
        bytes memory wrong = signature(2, market.deliveryHash(projected));
        carry(0, 2, 1);
        expectRevert(IMarket.MarketWrongLength.selector, 0, 96);
        market.answer(1, 0, 2, points, proofs, "");
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketBadSignature.selector, 0, ownerAt(0)));
        market.answer(1, 0, 2, points, proofs, bytes.concat(projected, wrong));
        vm.expectEmit();
        emit IMarket.Delivered(1, 1, 0, projected, own);
        market.answer(1, 0, 2, points, proofs, bytes.concat(projected, own));
        assertEq(market.state().answered, 1, "answered");
    }

    function test_answer_zeroPolynomial_works() external {
        // The commitment to a zero blob is infinity; its versioned hash is the same for everybody.
        setPoints(0, new bytes(288));
        reachOpen();
        accuse(1, leastDeposit());
        bytes32[] memory hashes = new bytes32[](3);
        for (uint256 i = 0; i < 3; ++i) hashes[i] = 0x010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014;
        vm.blobhashes(hashes);
        market.answer(1, 0, 0, new bytes(288), proofsOf(0, 0, 3), "");
        assertEq(market.state().answered, 1, "answered");
    }

    /// @dev Everything is wrong at first, and put right from the first check on.
    function test_answer_wrongly_revertsWithTheFirstCheck() external {
        bytes32[] memory none = new bytes32[](0);
        reachAnchored();
        expectRevert(IMarket.MarketWrongStage.selector, uint256(Stage.Anchored), 1 << uint256(Stage.Open));
        market.answer(9, 7, 9, "", none, "");
        open(31);
        expectRevert(IMarket.MarketNotAccused.selector, 7);
        market.answer(1, 7, 9, "", none, "");
        accuse(1, leastDeposit());
        answer(0, 0, 1);
        vm.blobhashes(new bytes32[](0));
        passAnswerWindow();
        expectRevert(IMarket.MarketWrongRound.selector, 9, 1);
        market.answer(9, 7, 9, "", none, "");
        expectRevert(IMarket.MarketNotAccused.selector, 7);
        market.answer(1, 7, 9, "", none, "");
        expectRevert(IMarket.MarketNotAccused.selector, 255);
        market.answer(1, 255, 9, "", none, "");
        expectRevert(IMarket.MarketTooLate.selector, START + 1801, START + 1800);
        market.answer(1, 0, 9, "", none, "");
        vm.warp(START + 1800);
        expectRevert(IMarket.MarketWrongStart.selector, 2, 1);
        market.answer(1, 0, 2, new bytes(96), none, "");
        expectRevert(IMarket.MarketWrongStart.selector, 0, 1);
        market.answer(1, 0, 0, new bytes(96), none, "");
        expectRevert(IMarket.MarketWrongLength.selector, 3, 2);
        market.answer(1, 0, 1, new bytes(288), none, "");
        expectRevert(IMarket.MarketWrongLength.selector, 97, 96);
        market.answer(1, 0, 1, new bytes(97), none, "");
        expectRevert(IMarket.MarketWrongLength.selector, 0, 3);
        market.answer(1, 0, 1, new bytes(96), none, "");
        refusePoint(1, 1, pointsOf(1, 1, 1), proofsOf(0, 1, 1));
        bytes memory points = pointsOf(0, 1, 1);
        bytes32[] memory proofs = proofsOf(0, 1, 1);
        bytes32 expected = blobHash(points);
        expectRevert(IMarket.MarketWrongBlob.selector, 0, 0, expected);
        market.answer(1, 0, 1, points, proofs, "");
        carry(0, 1, 1);
        expectRevert(IMarket.MarketWrongLength.selector, 1, 0);
        market.answer(1, 0, 1, points, proofs, hex"00");
        answer(0, 1, 2);
        expectRevert(IMarket.MarketNotAccused.selector, 0);
        market.answer(1, 0, 1, points, proofs, "");
    }

    /// @dev One blob answers for its own index alone, even if all else is right.
    function test_answer_pointOfAnotherIndex_reverts() external {
        reachOpen();
        accuse(1, leastDeposit());
        refusePoint(0, 0, pointsOf(0, 1, 1), proofsOf(0, 1, 1));
        refusePoint(0, 0, pointsOf(0, 2, 1), proofsOf(0, 2, 1));
        answer(0, 0, 1);
        refusePoint(1, 1, pointsOf(0, 0, 1), proofsOf(0, 0, 1));
    }

    /// @dev The same call as one that is right, but for the point or its proof.
    function refusePoint(uint256 first, uint256 index, bytes memory point_, bytes32[] memory proofs) private {
        bytes memory call = abi.encodeCall(IMarket.answer, (1, 0, uint16(first), point_, proofs, ""));
        (bool success, bytes memory why) = address(market).call(call);
        assertTrue(!success && bytes4(why) == IMarket.MarketWrongPoint.selector, "refused");
        assembly ("memory-safe") {
            mstore(add(why, 4), sub(mload(why), 4))
            why := add(why, 4)
        }
        (uint256 polynomial, , bytes32 expected) = abi.decode(why, (uint256, bytes32, bytes32));
        assertTrue(polynomial == index && expected == digestOf(0), "facts");
    }

    function test_answer_wrongBlob_reverts() external {
        reachOpen();
        accuse(1, leastDeposit());
        // The right blobs in the wrong order, another's blob, too few blobs.
        bytes32[] memory hashes = new bytes32[](3);
        (hashes[0], hashes[1], hashes[2]) = (blobHash(point(0, 0)), blobHash(point(0, 2)), blobHash(point(0, 1)));
        vm.blobhashes(hashes);
        refuseAll(abi.encodeWithSelector(IMarket.MarketWrongBlob.selector, 1, hashes[1], hashes[2]));
        carry(1, 0, 3);
        refuseAll(abi.encodeWithSelector(IMarket.MarketWrongBlob.selector, 0, blobHash(point(1, 0)), blobHash(point(0, 0))));
        carry(0, 0, 2);
        refuseAll(abi.encodeWithSelector(IMarket.MarketWrongBlob.selector, 2, 0, blobHash(point(0, 2))));
    }

    function test_answer_badPoint_reverts() external {
        // Only x and the sign of y are hashed: without a look at the point, a commitment that no sum can use would pass as answered.
        bytes memory points = pointsOf(0, 0, 3);
        points[96 + 95] ^= 0x01;
        setPoints(0, points);
        // x + p, the same point to a careless reader, cannot be told from other bytes that are no point.
        points = pointsOf(1, 0, 3);
        points[0] = 0xff;
        setPoints(1, points);
        reachOpen();
        accuse(3, leastDeposit());
        bytes32[] memory hashes = new bytes32[](3);
        for (uint256 k = 0; k < 3; ++k) hashes[k] = blobHash(point(0, k));
        vm.blobhashes(hashes);
        refuseAll(abi.encodeWithSelector(IMarket.MarketBadPoint.selector, 1));
        (points, hashes) = (pointsOf(1, 0, 1), proofsOf(1, 0, 1));
        expectRevert(IMarket.MarketBadPoint.selector, 0);
        market.answer{gas: 10_000_000}(1, 1, 0, points, hashes, "");
    }

    /// @dev An answer of all polynomials of seat 0 with the blobs that are there.
    function refuseAll(bytes memory why) private {
        (bytes memory points, bytes32[] memory proofs) = (pointsOf(0, 0, 3), proofsOf(0, 0, 3));
        vm.expectRevert(why);
        market.answer{gas: 10_000_000}(1, 0, 0, points, proofs, "");
    }
}
