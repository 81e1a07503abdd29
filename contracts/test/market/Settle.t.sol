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
        uint256 paid = members(15);
        vm.expectEmit();
        emit IMarket.Settled(1, 1, 15, 0, paid);
        vm.expectEmit();
        emit IMarket.Anchored(1, 2, NEXT_TASK, uint64(START + 600));
        settle(0, NEXT_TASK);

        Statement memory asked = verification.asked();
        bytes32 tag = keccak256("OmniLytics/v2/settlement");
        bytes32 context =
            keccak256(abi.encode(tag, block.chainid, address(market), market.state().epochSeed, uint256(1), uint256(1), TASK));
        assertEq(asked.context, context, "context");
        assertEq(asked.rosterHash, rosterHashOf(31), "roster");
        assertEq(asked.sizes.length, 5, "groups");
        assertEq(asked.polynomials, 3, "polynomials");
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
        verification.setDistances(distances);
        settle(0, 0);
        assertEq(market.paidSeats(1), members(31 - 4), "all but the third group");
    }

    function test_settle_notEligible_isUnpaid() external {
        reachOpen();
        uint256[] memory distances = Builders.noDistances(5);
        // Scale 4, bound a million.
        distances[0] = 16_000_001;
        verification.setDistances(distances);
        settle(0, 0);
        assertEq(market.paidSeats(1), members(30), "all but the first");
    }

    function test_settle_moreThanFPrimeUnpaid_reverts() external {
        reachOpen();
        uint256[] memory distances = Builders.noDistances(5);
        (distances[0], distances[4]) = (16_000_001, 16_000_001);
        verification.setDistances(distances);
        refuseToSettle(0, abi.encodeWithSelector(IMarket.MarketTooManyUnpaid.selector, 2, 1));
        // Four groups let none go unpaid: a waiver lowers f', and the second bad group has to be waived too.
        distances = Builders.noDistances(4);
        distances[3] = 16_000_001;
        verification.setDistances(distances);
        refuseToSettle(1, abi.encodeWithSelector(IMarket.MarketTooManyUnpaid.selector, 1, 0));
        verification.setDistances(Builders.noDistances(3));
        settle(17, 0);
        assertEq(market.paidSeats(1), members(31), "all");
    }

    function test_settle_fewGroups_paysThemAll() external {
        reachAnchored();
        for (uint256 groups = 1; groups <= 15; groups = 2 * groups + 1) {
            open(groups);
            settle(0, TASK);
            assertEq(market.paidSeats(market.state().round - 1), members(groups), "none may go unpaid");
        }
    }

    function test_settle_outliersOnly_dropsNobodyWithoutOne() external {
        Terms memory terms = baseTerms();
        terms.outlierPercent = 125;
        market = create(terms);
        reachOpen();
        uint256[] memory distances = Builders.noDistances(5);
        for (uint256 i = 5; i < 15; ++i) distances[i] = 100 + i;
        verification.setDistances(distances);
        settle(0, TASK);
        assertEq(market.paidSeats(1), members(31), "nobody is far from the others");

        open(31);
        // The last group: pairs (1, 5), (2, 5), (3, 5), (4, 5).
        (distances[8], distances[11], distances[13], distances[14]) = (200, 200, 200, 200);
        verification.setDistances(distances);
        settle(0, TASK);
        assertEq(market.paidSeats(2), members(15), "an outlier");
    }

    // --------------------------------------------------------------------------------------------------- what was signed

    function test_settle_digestNotSignedByItsOwner_revertsUnlessWaived() external {
        reachAnchored();
        bytes32[] memory digests = digestsOf(31);
        digests[3] = "made up";
        vm.prank(MODEL_OWNER);
        market.open(1, 31, keccak256(abi.encodePacked(uint256(31), digests)));
        uint256 seat = seatsInOrder(31)[3];
        bytes memory signatures = signaturesOf(31);
        vm.startPrank(MODEL_OWNER);
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketBadSignature.selector, seat, ownerAt(seat)));
        market.settle(1, abi.encode(digests), signatures, 0, 0);
        vm.stopPrank();
        signatures = signaturesOf(30);
        vm.prank(MODEL_OWNER);
        market.settle(1, abi.encode(digests), signatures, 1, 0);
        assertEq(market.paidSeats(1), members(31), "waived and paid");
    }

    function test_settle_otherDigestsThanTheRosters_reverts() external {
        reachOpen();
        bytes32[] memory digests = digestsOf(31);
        digests[0] = "another update";
        (bytes32 actual, bytes32 expected) = (keccak256(abi.encodePacked(uint256(31), digests)), rosterHashOf(31));
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketWrongDigests.selector, actual, expected);
        market.settle(1, abi.encode(digests), "", 1, 0);
    }

    function test_settle_wrongSignatures_reverts() external {
        reachOpen();
        bytes memory settlement = abi.encode(digestsOf(31));
        bytes memory signatures = signaturesOf(31);
        uint256 seat = seatsInOrder(31)[1];
        bytes32 hash = market.commitmentHash(digestOf(seat));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(seat + 1, hash);
        // The other signature of the same message: n - s, and the other parity. EIP-2098 has no place for a high s.
        uint256 high = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141 - uint256(s);
        bytes[3] memory bad =
            [signature(0xbad, hash), abi.encodePacked(r, high | (uint256(28 - v) << 255)), signature(seat + 1, market.deliveryHash(digestOf(seat)))];
        vm.startPrank(MODEL_OWNER);
        expectRevert(IMarket.MarketWrongLength.selector, 1279, 1280);
        market.settle(1, settlement, new bytes(1279), 0, 0);
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 place = 0; place < 64; ++place) signatures[64 + place] = bad[i][place];
            vm.expectRevert(abi.encodeWithSelector(IMarket.MarketBadSignature.selector, seat, ownerAt(seat)));
            market.settle(1, settlement, signatures, 0, 0);
        }
    }

    function test_settle_projected_takesDeliveriesOfThisRosterOnly() external {
        Terms memory terms = baseTerms();
        terms.projected = true;
        market = create(terms);
        reachAnchored();
        open(30);
        uint256 seat = seatsInOrder(30)[0];
        bytes memory stale = signaturesOf(30);
        vm.warp(START + 3001);
        market.timeout(1);
        anchor();
        open(31);
        bytes memory settlement = abi.encode(digestsOf(31));
        vm.prank(MODEL_OWNER);
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketBadSignature.selector, seat, ownerAt(seat)));
        market.settle(2, settlement, stale, 1, 0);
        // The digests of the roster are not looked at, and lengths count four times.
        uint256[] memory distances = Builders.noDistances(5);
        distances[0] = 64_000_000;
        verification.setDistances(distances);
        settle(0, 0);
        assertEq(verification.asked().polynomials, 1, "one polynomial");
        assertEq(market.paidSeats(2), members(15), "all within the bound, the last is dropped");
    }

    function test_settle_waived_isPaidAndDoesNotTakePart() external {
        reachOpen();
        settle(2, 0);

        assertEq(verification.asked().outside, 2, "outside");
        assertEq(market.paidSeats(1), members(31), "the waived too; of four groups none may go unpaid");
    }

    function test_settle_allWaived_paysAll() external {
        reachOpen();
        settle(31, 0);
        assertEq(market.paidSeats(1), members(31), "all");
    }

    function test_settle_partialRoster_translatesPositions() external {
        reachSixGroups();
        open(62); // groups 1 .. 5 at positions 0 .. 4
        vm.expectEmit();
        emit IMarket.Settled(1, 1, 54, 8, members(62));
        settle(8, 0);
        assertEq(verification.asked().outside, 4, "group 3 is at position 2");
    }

    function test_settle_wrongly_reverts() external {
        reachOpen();
        expectRevert(IMarket.MarketNotModelOwner.selector, address(this));
        market.settle(1, "", "", 0, 0);
        vm.startPrank(MODEL_OWNER);
        expectRevert(IMarket.MarketWrongRound.selector, 0, 1);
        market.settle(0, "", "", 0, 0);
        expectRevert(IMarket.MarketUnknownGroup.selector, 32, 31);
        market.settle(1, "", "", 32, 0);
        vm.stopPrank();
        vm.warp(START + 3001);
        refuseToSettle(0, abi.encodeWithSelector(IMarket.MarketTooLate.selector, START + 3001, START + 3000));
        vm.warp(START + 3000);
        verification.setDistances(new uint256[](14));
        refuseToSettle(0, abi.encodeWithSelector(IMarket.MarketWrongLength.selector, 14, 15));
        verification.setDistances(new uint256[](15));
        settle(0, 0);
    }

    function test_timeout_paysAllAndSharesTheBond() external {
        reachOpen();
        vm.warp(START + 3001);
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
        vm.warp(START + 3001);
        market.timeout(1);

        assertEq(market.bondShareWei(1), 2, "rounded down");
        assertEq(market.state().escrowWei, escrowWei - 20e15 + 7, "rest");
        assertBooks();
    }

    function test_timeout_wrongly_reverts() external {
        reachOpen();
        expectRevert(IMarket.MarketWrongRound.selector, 2, 1);
        market.timeout(2);
        vm.warp(START + 3000);
        expectRevert(IMarket.MarketTooEarly.selector, START + 3000, START + 3001);
        market.timeout(1);
    }
}
