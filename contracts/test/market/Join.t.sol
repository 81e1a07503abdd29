// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {OwnerRecord, Terms} from "../../src/interfaces/MarketTypes.sol";
import {WordAdmission} from "../harness/Payees.sol";
import {Builders} from "../utils/Builders.sol";
import {MarketFixture} from "../utils/MarketFixture.sol";
import {vm} from "../utils/Vm.sol";

contract JoinTest is MarketFixture {
    function test_join_new_takesSeatAndStake() external {
        vm.deal(ownerAt(7), 1 ether);
        vm.expectEmit();
        emit IMarket.Joined(ownerAt(7), 0, 1, Builders.maskKey(7), EXAMPLES);
        vm.prank(ownerAt(7));
        joinWith(1e16, Builders.maskKey(7), "");

        OwnerRecord memory record = market.ownerRecord(ownerAt(7));
        assertTrue(record.registered && record.seat == 0 && record.leaveAt == 0, "record");
        assertEq(market.state().stakesWei, 1e16, "stake");
        assertEq(market.state().enrolled, 1, "enrolled");
        assertBooks();
    }

    function test_join_otherTermsThanTheMarkets_reverts() external {
        // After a reorganisation another market may stand here.
        bytes32 agreed = keccak256("what I read");
        vm.deal(ownerAt(7), 1 ether);
        vm.prank(ownerAt(7));
        expectRevert(IMarket.MarketWrongTerms.selector, agreed, market.termsHash());
        market.join{value: 1e16}(agreed, Builders.maskKey(7), EXAMPLES, "");
    }

    function test_join_again_replacesKeyAndCostsNothing() external {
        join(0);
        vm.prank(ownerAt(0));
        joinWith(0, Builders.maskKey(99), "");
        joinFrom(1, OWNERS);
        freeze();

        (, , bytes32[] memory keys, ) = market.members();
        assertEq(keys[0], Builders.maskKey(99), "key");
        assertEq(market.state().stakesWei, OWNERS * 1e16, "stakes");
    }

    function test_join_wrongPayment_reverts() external {
        expectRevert(IMarket.MarketWrongPayment.selector, 1e16 - 1, 1e16);
        joinFor(0, 1e16 - 1);
        expectRevert(IMarket.MarketWrongPayment.selector, 1e16 + 1, 1e16);
        joinFor(0, 1e16 + 1);
        joinFor(0, 1e16);
        expectRevert(IMarket.MarketWrongPayment.selector, 1, 0);
        joinFor(0, 1);
    }

    function test_join_badMaskKey_reverts() external {
        vm.deal(ownerAt(0), 1 ether);
        vm.prank(ownerAt(0));
        expectRevert(IMarket.MarketBadMaskKey.selector, 0);
        joinWith(1e16, bytes32(0), "");
    }

    function test_join_allSeatsTaken_reverts() external {
        joinAll(25);
        expectRevert(IMarket.MarketFull.selector, 25);
        joinFor(25, 1e16);
    }

    function test_join_blockedSeats_doNotKeepEverybodyOut() external {
        joinAll(25);
        freeze();
        depart(0);

        // Seat 0 is blocked until the next freeze, but there is room for one more data owner.
        join(30);
        assertEq(market.ownerRecord(ownerAt(30)).seat, 25, "a seat beyond the number of data owners");
        expectRevert(IMarket.MarketFull.selector, 25);
        joinFor(31, 1e16);
    }

    function test_join_gate_decides() external {
        WordAdmission gate = new WordAdmission("open sesame");
        Terms memory terms = baseTerms();
        terms.admission = address(gate);
        market = create(terms);
        vm.deal(ownerAt(0), 1 ether);
        vm.startPrank(ownerAt(0));
        expectRevert(IMarket.MarketNotAdmitted.selector, ownerAt(0));
        joinWith(1e16, Builders.maskKey(0), "please");
        joinWith(1e16, Builders.maskKey(0), "open sesame");
        // The gate is asked for every epoch.
        expectRevert(IMarket.MarketNotAdmitted.selector, ownerAt(0));
        joinWith(0, Builders.maskKey(0), "");
        assertEq(gate.calls(), 1, "calls that were not undone");
    }

    function test_join_duringEpoch_leavesItsKeysAlone() external {
        joinAll(OWNERS);
        freeze();
        vm.prank(ownerAt(3));
        joinWith(0, Builders.maskKey(333), "");

        (, , bytes32[] memory keys, ) = market.members();
        assertEq(keys[3], Builders.maskKey(3), "key of this epoch");
        assertEq(market.state().enrolled, 1 << 3, "enrolled for the next");
    }

    function test_fuzz_join_examples_areThoseOfTheEpoch(uint32[OWNERS][3] memory said) external {
        // The third epoch has the bank of the first: what is not said again may not show.
        for (uint256 i = 0; i < OWNERS; i += 3) said[2][i] = 0;
        for (uint256 i = 0; i < OWNERS; ++i) joinSaying(i, said[0][i]);
        for (uint256 epoch = 1; epoch < 4; ++epoch) {
            freeze();
            draw();
            for (uint256 i = 0; i < OWNERS && epoch < 3; ++i) joinSaying(i, said[epoch][i]);
            (, uint8[] memory seats, , uint32[] memory examples) = market.members();
            assertEq(examples.length, OWNERS, "a number for each member");
            for (uint256 i = 0; i < OWNERS; ++i) assertEq(examples[i], said[epoch - 1][seats[i]], "examples");
        }
    }

    function test_fuzz_join_againForTheSameEpoch_replacesExamples(uint32 first, uint32 second, bool silent) external {
        if (silent) second = 0;
        joinAll(OWNERS);
        joinSaying(3, first);
        joinSaying(3, second);
        freeze();

        (, , , uint32[] memory examples) = market.members();
        for (uint256 i = 0; i < OWNERS; ++i) assertEq(examples[i], i == 3 ? second : EXAMPLES, "examples");
    }

    function test_fuzz_depart_inEpoch_leavesItsExamples(uint32 said, uint32 next) external {
        joinAll(OWNERS);
        joinSaying(3, said);
        freeze();
        joinSaying(3, next);
        depart(3);

        (address[] memory owners, , , uint32[] memory examples) = market.members();
        assertEq(owners[3], ownerAt(3), "member of this epoch");
        assertEq(examples[3], said, "examples");
    }

    function test_leave_thenDepart_paysTheStakeBack() external {
        joinAll(OWNERS);
        vm.expectEmit();
        emit IMarket.Left(ownerAt(4), uint64(START + 3600));
        vm.prank(ownerAt(4));
        market.leave();
        assertEq(market.state().enrolled, ((1 << 20) - 1) ^ (1 << 4), "out of the next epoch");

        vm.warp(START + 3599);
        expectRevert(IMarket.MarketTooEarly.selector, START + 3599, START + 3600);
        market.depart(ownerAt(4));
        vm.warp(START + 3600);
        market.depart(ownerAt(4));

        assertEq(ownerAt(4).balance, 1e16, "stake");
        assertTrue(!market.ownerRecord(ownerAt(4)).registered, "forgotten");
        assertBooks();
    }

    function test_leave_wrongly_reverts() external {
        join(0);
        vm.prank(STRANGER);
        expectRevert(IMarket.MarketNotRegistered.selector, STRANGER);
        market.leave();
        vm.startPrank(ownerAt(0));
        market.leave();
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketLeaving.selector, ownerAt(0), START + 3600));
        market.leave();
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketLeaving.selector, ownerAt(0), START + 3600));
        joinWith(0, Builders.maskKey(0), "");
    }

    function test_depart_wrongly_reverts() external {
        expectRevert(IMarket.MarketNotRegistered.selector, STRANGER);
        market.depart(STRANGER);
        join(0);
        expectRevert(IMarket.MarketNotLeaving.selector, ownerAt(0));
        market.depart(ownerAt(0));
    }

    function test_depart_onOpenRoster_reverts() external {
        reachAnchored();
        uint256 group = groupOf(0);
        vm.prank(ownerAt(0));
        market.leave();
        vm.warp(START + 3500);
        anchor();
        open(31);
        vm.warp(START + 3600);
        expectRevert(IMarket.MarketOnRoster.selector, ownerAt(0));
        market.depart(ownerAt(0));

        // Once it has settled, what the round owes comes along.
        settle(1 << group, 0);
        vm.expectEmit();
        emit IMarket.Departed(ownerAt(0), 0, 1e16 + 1e15);
        market.depart(ownerAt(0));
        assertEq(market.state().owedWei, 19e15, "the others' rewards");
        assertEq(ownerAt(0).balance, 1e16 + 1e15, "stake and reward");
        assertBooks();
    }

    function test_depart_memberOfTheRoundButNotOfItsRoster_works() external {
        reachSixGroups();
        open(63 ^ (1 << groupOf(0)));
        depart(0);
        assertEq(ownerAt(0).balance, 1e16, "stake");
        assertBooks();
    }

    function test_depart_inEpoch_blocksSeatUntilNextFreeze() external {
        joinAll(OWNERS);
        freeze();
        draw();
        depart(0);

        // Seat 0 still names the departed in this epoch; the newcomer gets another.
        join(30);
        assertEq(market.ownerRecord(ownerAt(30)).seat, 20, "next seat");
        (address[] memory owners, , , ) = market.members();
        assertEq(owners[0], ownerAt(0), "member of this epoch");
        joinFrom(1, OWNERS);
        freeze();
        join(31);
        assertEq(market.ownerRecord(ownerAt(31)).seat, 0, "free again");
    }

    function test_register_onReusedSeat_claimsNothingOfItsFormerOwner() external {
        reachOpen();
        settle(0, 0);
        uint256 seat = lowestSeat(market.paidSeats(1));
        market.claim(ownerAt(seat), 1);
        depart(seat);
        for (uint256 i = 0; i < OWNERS; ++i) {
            if (i != seat) join(i);
        }
        join(40);
        freeze();
        join(41);

        assertEq(market.ownerRecord(ownerAt(41)).seat, seat, "same seat");
        assertEq(market.ownerRecord(ownerAt(41)).claimedThrough, 1, "cursor at the present round");
        assertEq(market.claimableWei(ownerAt(41)), 0, "nothing");
        expectRevert(IMarket.MarketNothingToClaim.selector, 1, 1);
        market.claim(ownerAt(41), 1);
    }

    function joinFor(uint256 i, uint256 valueWei) private {
        vm.deal(ownerAt(i), 1 ether);
        vm.prank(ownerAt(i));
        joinWith(valueWei, Builders.maskKey(i), "");
    }

    /// @dev Its seat is its number.
    function joinSaying(uint256 i, uint32 examples) private {
        (address owner, uint256 stakeWei, uint32 epoch) = (ownerAt(i), stakeDue(ownerAt(i)), market.state().epoch + 1);
        vm.deal(owner, stakeWei);
        vm.expectEmit();
        emit IMarket.Joined(owner, uint8(i), epoch, Builders.maskKey(i), examples);
        vm.prank(owner);
        market.join{value: stakeWei}(_termsHash, Builders.maskKey(i), examples, "");
    }

    function joinFrom(uint256 first, uint256 end) private {
        for (uint256 i = first; i < end; ++i) join(i);
    }
}
