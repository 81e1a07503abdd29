// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IMarket} from "../../src/interfaces/IMarket.sol";
import {MarketState, Stage} from "../../src/interfaces/MarketTypes.sol";
import {Puppet} from "../harness/Payees.sol";
import {Builders} from "../utils/Builders.sol";
import {MarketFixture} from "../utils/MarketFixture.sol";
import {vm} from "../utils/Vm.sol";

contract MoneyTest is MarketFixture {
    function test_fund_byAnybody_raisesTheEscrow() external {
        vm.deal(STRANGER, 7);
        vm.expectEmit();
        emit IMarket.Funded(STRANGER, 7);
        vm.prank(STRANGER);
        market.fund{value: 7}(7);
        assertEq(market.state().escrowWei, 7, "escrow");
        assertBooks();
    }

    function test_fund_wrongAmount_reverts() external {
        expectRevert(IMarket.MarketWrongPayment.selector, 0, 5);
        market.fund(5);
        uint256 tooMuch = uint256(type(uint128).max) + 1;
        expectRevert(IMarket.MarketWrongPayment.selector, tooMuch, type(uint128).max);
        market.fund(tooMuch);
    }

    function test_claim_settledRounds_paysEachOnce() external {
        reachOpen();
        settle(0, TASK);
        open(31);
        settle(16, 0);
        uint256 seat = lowestSeat(members(1));
        vm.expectEmit();
        emit IMarket.Claimed(ownerAt(seat), 2, 2e15);
        market.claim(ownerAt(seat), type(uint32).max);

        assertEq(ownerAt(seat).balance, 2e15, "two rewards");
        expectRevert(IMarket.MarketNothingToClaim.selector, 2, 2);
        market.claim(ownerAt(seat), 2);
        // A round that did not pay moves the cursor only.
        market.claim(ownerAt(lowestSeat(members(16))), 2);
        assertEq(ownerAt(lowestSeat(members(16))).balance, 1e15, "one of two");
        assertBooks();
    }

    function test_claim_inPieces_paysTheSame() external {
        reachOpen();
        settle(0, TASK);
        open(31);
        settle(0, TASK);
        address owner = ownerAt(lowestSeat(members(1)));
        assertEq(market.claimableWei(owner), 2e15, "claimable");
        market.claim(owner, 1);
        assertEq(owner.balance, 1e15, "first");
        market.claim(owner, type(uint32).max);
        assertEq(owner.balance, 2e15, "second");
        assertEq(market.ownerRecord(owner).claimedThrough, 2, "no round to come is skipped");
        assertEq(market.claimableWei(STRANGER), 0, "a stranger has no seat, not seat 0");
        // The third is anchored only.
        expectRevert(IMarket.MarketNothingToClaim.selector, 3, 2);
        market.claim(owner, 3);
    }

    function test_claim_openRound_reverts() external {
        reachOpen();
        expectRevert(IMarket.MarketNothingToClaim.selector, 1, 0);
        market.claim(ownerAt(0), 1);
        expectRevert(IMarket.MarketNotRegistered.selector, STRANGER);
        market.claim(STRANGER, 1);
    }

    function test_close_thenWithdraw_paysTheModelOwner() external {
        reachOpen();
        settle(0, 0);
        MarketState memory state = market.state();
        uint256 creditWei = state.escrowWei + state.bondWei;
        expectRevert(IMarket.MarketNotModelOwner.selector, address(this));
        market.close();
        vm.expectEmit();
        emit IMarket.Closed(creditWei);
        vm.prank(MODEL_OWNER);
        market.close();
        assertBooks();
        vm.expectEmit();
        emit IMarket.Withdrawn(MODEL_OWNER, creditWei, 0);
        vm.prank(STRANGER);
        market.withdraw(MODEL_OWNER);

        assertEq(MODEL_OWNER.balance, creditWei, "model owner");
        expectRevert(IMarket.MarketNoCredit.selector, MODEL_OWNER);
        market.withdraw(MODEL_OWNER);
        assertBooks();
    }

    function test_close_thenEverybodyGetsEverything() external {
        reachOpen();
        vm.warp(START + 3001);
        market.timeout(1);
        vm.prank(MODEL_OWNER);
        market.close();
        for (uint256 i = 0; i < OWNERS; ++i) {
            market.claim(ownerAt(i), 1);
            vm.prank(ownerAt(i));
            market.leave();
        }
        vm.warp(START + 3001 + 3600);
        for (uint256 i = 0; i < OWNERS; ++i) {
            market.depart(ownerAt(i));
            assertEq(ownerAt(i).balance, 1e16 + 1e15 + 15e14, "stake, reward, share");
        }
        market.withdraw(MODEL_OWNER);
        assertEq(address(market).balance, 0, "nothing stays");
    }

    function test_forcedEther_changesNothing() external {
        reachOpen();
        vm.deal(address(market), address(market).balance + 1 ether);
        settle(0, 0);
        assertEq(held(), booked() + 1 ether, "surplus");
    }

    function test_plainTransfer_isRefused() external {
        vm.deal(address(this), 1);
        (bool success, ) = address(market).call{value: 1}("");
        assertTrue(!success, "refused");
    }

    function test_depart_refusingPayee_harmsItselfOnly() external {
        Puppet puppet = puppetThatMayDepart();
        puppet.behave(Puppet.Manner.Refuse, address(0), "");
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketPaymentFailed.selector, address(puppet), 1e16));
        puppet.perform(address(market), 0, abi.encodeCall(IMarket.depart, (address(puppet))));

        assertTrue(market.ownerRecord(address(puppet)).registered, "still there");
        puppet.behave(Puppet.Manner.Accept, address(0), "");
        puppet.perform(address(market), 0, abi.encodeCall(IMarket.depart, (address(puppet))));
        assertEq(address(puppet).balance, 1e16, "stake");
        assertBooks();
    }

    function test_claimAndWithdraw_refusingPayee_keepWhatIsOwed() external {
        reachOpen();
        vm.warp(START + 3001);
        market.timeout(1);
        vm.prank(MODEL_OWNER);
        market.close();
        uint256 creditWei = market.state().creditsWei;
        // Code that reverts whatever comes.
        vm.etch(ownerAt(0), hex"5f5ffd");
        vm.etch(MODEL_OWNER, hex"5f5ffd");
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketPaymentFailed.selector, ownerAt(0), 25e14));
        market.claim(ownerAt(0), 1);
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketPaymentFailed.selector, MODEL_OWNER, creditWei));
        market.withdraw(MODEL_OWNER);

        assertEq(market.claimableWei(ownerAt(0)), 25e14, "still owed");
        assertEq(market.state().creditsWei, creditWei, "still credited");
        vm.etch(MODEL_OWNER, "");
        market.withdraw(MODEL_OWNER);
        assertEq(MODEL_OWNER.balance, creditWei, "paid once it takes ether");
        assertBooks();
    }

    function test_depart_reenteringPayee_getsNothingTwice() external {
        bytes[6] memory calls = [
            abi.encodeCall(IMarket.depart, (ownerAt(0))),
            abi.encodeCall(IMarket.join, (_termsHash, Builders.maskKey(0), EXAMPLES, "")),
            abi.encodeCall(IMarket.claim, (ownerAt(0), 1)),
            abi.encodeCall(IMarket.withdraw, (MODEL_OWNER)),
            abi.encodeCall(IMarket.accuse, (1, 1, new bytes32[](0), "")),
            abi.encodeCall(IMarket.answer, (1, 0, 0, "", new bytes32[](0), ""))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            market = create(baseTerms());
            Puppet puppet = puppetThatMayDepart();
            puppet.behave(Puppet.Manner.Reenter, address(market), calls[i]);
            puppet.perform(address(market), 0, abi.encodeCall(IMarket.depart, (address(puppet))));

            assertEq(puppet.entries(), 1, "it tried");
            bytes4 expected = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
            assertEq(bytes32(bytes4(puppet.lastFailure())), bytes32(expected), "refused");
            assertEq(address(puppet).balance, 1e16, "one stake");
            assertBooks();
        }
    }

    function puppetThatMayDepart() private returns (Puppet puppet) {
        puppet = new Puppet();
        joinAll(OWNERS);
        vm.deal(address(puppet), 1e16);
        puppet.perform(address(market), 1e16, abi.encodeCall(IMarket.join, (_termsHash, Builders.maskKey(50), EXAMPLES, "")));
        puppet.perform(address(market), 0, abi.encodeCall(IMarket.leave, ()));
        vm.warp(market.ownerRecord(address(puppet)).leaveAt);
    }
}
