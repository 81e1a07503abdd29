// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket, MarketState, Stage, Terms} from "../../src/interfaces/IMarket.sol";
import {Statement} from "../../src/interfaces/IVerification.sol";
import {Builders} from "../utils/Builders.sol";
import {MarketFixture} from "../utils/MarketFixture.sol";
import {vm} from "../utils/Vm.sol";

contract RoundTest is MarketFixture {
    uint256 private constant _SECP256K1_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    // ----------------------------------------------------------------------------------------------------------- anchor

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

    // ------------------------------------------------------------------------------------------------------------- open

    function test_open_wholeRoster_locksTheBond() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        bytes32 rosterHash = keccak256(abi.encodePacked(digests));
        vm.expectEmit();
        emit IMarket.Opened(1, 1, 31, rosterHash, uint64(START + 1800));
        vm.prank(MODEL_OWNER);
        market.open(1, 31, digests, signatures);

        MarketState memory state = market.state();
        assertStage(Stage.Open);
        assertEq(state.rosterHash, rosterHash, "roster");
        assertEq(state.settleBy, START + 1800, "settle by");
        assertEq(state.bondWei, 3e16, "bond");
        assertEq(state.escrowWei, 2e17, "escrow");
        assertBooks();
    }

    function test_open_atTheDeadline_works() external {
        reachAnchored();
        vm.warp(START + 600);
        open(31);
        assertStage(Stage.Open);
    }

    function test_open_tooLate_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        vm.warp(START + 601);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketTooLate.selector, START + 601, START + 600);
        market.open(1, 31, digests, signatures);
    }

    function test_open_wrongCallerOrRound_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        expectRevert(IMarket.MarketNotModelOwner.selector, address(this));
        market.open(1, 31, digests, signatures);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketWrongRound.selector, 2, 1);
        market.open(2, 31, digests, signatures);
    }

    function test_open_wrongGroups_reverts() external {
        Terms memory terms = baseTerms();
        terms.mostOwners = 30;
        market = create(terms);
        joinAll(24);
        freeze();
        draw();
        fund(1e18);
        anchor();
        (bytes32[] memory digests, bytes memory signatures) = commitments(15);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketTooFewGroups.selector, 4, 5);
        market.open(1, 15, digests, signatures);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketUnknownGroup.selector, 64 + 31, 63);
        market.open(1, 64 + 31, digests, signatures);
        open(62);
        assertEq(market.state().groups, 62, "five of six groups");
    }

    function test_open_wrongLengths_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        bytes32[] memory fewer = new bytes32[](19);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketWrongLength.selector, 19, 20);
        market.open(1, 31, fewer, signatures);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketWrongLength.selector, 1281, 1280);
        market.open(1, 31, digests, bytes.concat(signatures, hex"00"));
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketWrongLength.selector, 0, 1280);
        market.open(1, 31, digests, "");
    }

    function test_open_memberTwice_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        uint256[] memory order = seatsInOrder();
        digests[1] = digests[0];
        copySignature(signatures, 0, 1);
        expectBadSignature(order[1]);
        market.open(1, 31, digests, signatures);
    }

    function test_open_membersSwapped_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        (digests[4], digests[5]) = (digests[5], digests[4]);
        expectBadSignature(seatsInOrder()[4]);
        market.open(1, 31, digests, signatures);
    }

    function test_open_signedByAStranger_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        replaceSignature(signatures, 3, signature(0xbad, digests[3]));
        expectBadSignature(seatsInOrder()[3]);
        market.open(1, 31, digests, signatures);
    }

    function test_open_highS_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        uint256 seat = seatsInOrder()[0];
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(seat + 1, market.commitmentHash(digests[0]));
        // The other signature of the same message: n - s, and the other parity. EIP-2098 has no place for a high s.
        uint256 high = _SECP256K1_ORDER - uint256(s);
        replaceSignature(signatures, 0, abi.encodePacked(r, high | (uint256(28 - v) << 255)));
        expectBadSignature(seat);
        market.open(1, 31, digests, signatures);
    }

    function test_open_malformedSignature_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        replaceSignature(signatures, 19, new bytes(64));
        expectBadSignature(seatsInOrder()[19]);
        market.open(1, 31, digests, signatures);
    }

    function test_open_signatureOfAnotherRound_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        anchor();
        expectBadSignature(seatsInOrder()[0]);
        market.open(2, 31, digests, signatures);
    }

    function test_open_signatureOfAnotherChainOrMarket_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        uint256 seat = seatsInOrder()[0];
        vm.chainId(99);
        expectBadSignature(seat);
        market.open(1, 31, digests, signatures);
        vm.chainId(31337);

        IMarket first = market;
        market = create(baseTerms());
        reachAnchored();
        assertTrue(address(first) != address(market), "two markets");
        vm.prank(MODEL_OWNER);
        vm.expectRevert();
        market.open(1, 31, digests, signatures);
    }

    function test_open_departedMember_reverts() external {
        joinAll(OWNERS);
        vm.prank(ownerAt(2));
        vm.expectRevert();
        market.depart();
        freeze();
        draw();
        fund(1e18);
        vm.prank(ownerAt(2));
        market.leave();
        vm.warp(START + 2400);
        vm.prank(ownerAt(2));
        market.depart();
        anchor();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketNotStaked.selector, 1 << 2);
        market.open(1, 31, digests, signatures);
    }

    function test_open_underfunded_reverts() external {
        joinAll(OWNERS);
        freeze();
        draw();
        anchor();
        fund(5e16 - 1);
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketUnderfunded.selector, 5e16 - 1, 5e16);
        market.open(1, 31, digests, signatures);
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
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketEpochOver.selector, 1);
        market.open(2, 31, digests, signatures);
        // A new epoch has rounds again.
        joinAll(OWNERS);
        freeze();
        draw();
        anchor();
        open(31);
    }

    // ----------------------------------------------------------------------------------------------------------- settle

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

    function test_settle_moreThanFNotEligible_reverts() external {
        reachOpen();
        uint256[] memory distances = Builders.noDistances(5);
        (distances[0], distances[4]) = (16_000_001, 16_000_001);
        verification.setVerdict(0, distances);
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

    function test_settle_excludedAndNotEligible_reverts() external {
        reachOpen();
        uint256[] memory distances = Builders.noDistances(4);
        distances[3] = 16_000_001;
        verification.setVerdict(1, distances);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketTooManyUnpaid.selector, 2, 1);
        market.settle(1, "", 0, 0);
    }

    function test_settle_moreThanFExcluded_reverts() external {
        reachOpen();
        verification.setVerdict(3, Builders.noDistances(3));
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketTooManyUnpaid.selector, 2, 1);
        market.settle(1, "", 0, 0);
    }

    function test_settle_waived_isPaidAndDoesNotTakePart() external {
        reachOpen();
        verification.setVerdict(0, Builders.noDistances(4));
        settle(2, 0);

        assertEq(verification.asked().outside, 2, "outside");
        assertEq(market.paidSeats(1), members(15), "the waived too; the highest is dropped");
    }

    function test_settle_allWaived_paysAll() external {
        reachOpen();
        verification.setVerdict(0, new uint256[](0));
        settle(31, 0);
        assertEq(market.paidSeats(1), members(31), "all");
    }

    function test_settle_partialRoster_translatesPositions() external {
        Terms memory terms = baseTerms();
        terms.mostOwners = 30;
        market = create(terms);
        joinAll(24);
        freeze();
        draw();
        fund(1e18);
        anchor();
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

    function test_settle_twice_reverts() external {
        reachOpen();
        settle(0, 0);
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketWrongStage.selector, uint256(Stage.Idle), 1 << uint256(Stage.Open));
        market.settle(1, "", 0, 0);
    }

    // ---------------------------------------------------------------------------------------------------------- timeout

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

    function test_timeout_thenOpen_locksANewBond() external {
        reachOpen();
        vm.warp(START + 1801);
        market.timeout(1);
        anchor();
        open(31);
        assertEq(market.state().bondWei, 3e16, "bond");
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

    // ---------------------------------------------------------------------------------------------------------- helpers

    /// @dev Seats as `open` goes through them.
    function seatsInOrder() private view returns (uint256[] memory seats) {
        seats = new uint256[](OWNERS);
        uint256 length = 0;
        for (uint256 group = 0; group < 5; ++group) {
            uint256 set = market.groupSeats(group);
            for (uint256 seat = 0; seat < OWNERS; ++seat) {
                if ((set >> seat) & 1 == 1) seats[length++] = seat;
            }
        }
    }

    /// @dev The next call, by the model owner, fails at this seat.
    function expectBadSignature(uint256 seat) private {
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketBadSignature.selector, seat, ownerAt(seat)));
        vm.prank(MODEL_OWNER);
    }

    function copySignature(bytes memory signatures, uint256 from, uint256 to) private pure {
        for (uint256 i = 0; i < 64; ++i) signatures[64 * to + i] = signatures[64 * from + i];
    }

    function replaceSignature(bytes memory signatures, uint256 place, bytes memory by) private pure {
        for (uint256 i = 0; i < 64; ++i) signatures[64 * place + i] = by[i];
    }
}
