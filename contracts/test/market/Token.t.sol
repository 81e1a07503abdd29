// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {MarketState, Terms} from "../../src/interfaces/MarketTypes.sol";
import {FeeToken, PlainToken} from "../harness/Tokens.sol";
import {Builders} from "../utils/Builders.sol";
import {DisputeFixture} from "../utils/DisputeFixture.sol";
import {vm} from "../utils/Vm.sol";

contract TokenTest is DisputeFixture {
    PlainToken private _token;

    function baseTerms() internal override returns (Terms memory) {
        if (address(_token) == address(0)) _token = new PlainToken();
        return Builders.terms(address(_token), address(verification));
    }

    function join(uint256 i) internal override {
        uint256 stakeWei = stakeDue(ownerAt(i));
        allow(ownerAt(i), stakeWei);
        vm.prank(ownerAt(i));
        joinWith(0, Builders.maskKey(i), "");
    }

    function fund(uint256 amountWei) internal override {
        allow(MODEL_OWNER, amountWei);
        vm.prank(MODEL_OWNER);
        market.fund(amountWei);
    }

    function held() internal view override returns (uint256) {
        return _token.balanceOf(address(market));
    }

    function allow(address account, uint256 amountWei) private {
        _token.mint(account, amountWei);
        vm.prank(account);
        _token.approve(address(market), amountWei);
    }

    function test_wholeLife_inTokens_paysEverybody() external {
        reachOpen();
        assertBooks();
        vm.warp(START + 3001);
        market.timeout(1);
        vm.prank(MODEL_OWNER);
        market.close();
        market.withdraw(MODEL_OWNER);
        for (uint256 i = 0; i < OWNERS; ++i) {
            market.claim(ownerAt(i), 1);
            vm.prank(ownerAt(i));
            market.leave();
        }
        vm.warp(START + 10_000);
        for (uint256 i = 0; i < OWNERS; ++i) {
            market.depart(ownerAt(i));
            assertEq(_token.balanceOf(ownerAt(i)), 1e16 + 1e15 + 15e14, "stake, reward, share");
        }
        assertEq(_token.balanceOf(address(market)), 0, "nothing stays");
        assertEq(address(market).balance, 0, "no ether");
    }

    function test_disputes_inATokenMarket_takeEther() external {
        reachOpen();
        uint256 tokens = held();
        uint256 depositWei = leastDeposit();
        uint256 lapsing = seatIn(4, 0);
        uint256 answering = seatIn(0, 0);
        accuse((1 << lapsing) | (1 << answering), depositWei);
        answer(answering, 0, 3);
        assertEq(held(), tokens, "no tokens moved");
        assertEq(address(market).balance, 2 * (FEE + depositWei), "ether");
        passAnswerWindow();
        settle(0, 0);
        assertBooks();

        vm.prank(MODEL_OWNER);
        market.close();
        MarketState memory state = market.state();
        uint256 burnedWei = 1e16 - 3e15;
        uint256 creditWei = state.creditsWei - burnedWei;
        vm.expectEmit();
        emit IMarket.Withdrawn(MODEL_OWNER, creditWei, FEE + 2 * depositWei - answerCost(3));
        market.withdraw(MODEL_OWNER);
        assertEq(_token.balanceOf(MODEL_OWNER), creditWei, "its tokens");
        assertEq(MODEL_OWNER.balance, FEE + 2 * depositWei - answerCost(3), "its ether");
        expectRevert(IMarket.MarketNoCredit.selector, ownerAt(answering));
        market.withdraw(ownerAt(answering));
        assertEq(freedFor(RELAY), answerCost(3), "the cost in ether");
        vm.expectEmit();
        emit IMarket.Withdrawn(BURNED, burnedWei, FEE);
        market.withdraw(BURNED);
        assertEq(_token.balanceOf(BURNED), burnedWei, "burned tokens");
        assertBooks();
        assertEq(address(market).balance, 0, "no ether is left");
    }

    function test_join_slashedInTokens_paysAgain() external {
        reachOpen();
        lapse(1);
        settle(0, 0);
        vm.prank(ownerAt(0));
        vm.expectRevert();
        joinWith(0, Builders.maskKey(0), "");
        join(0);
        assertEq(market.state().stakesWei, OWNERS * 1e16, "all stakes");
        assertBooks();
    }

    function test_etherInATokenMarket_reverts() external {
        vm.deal(ownerAt(0), 1);
        allow(ownerAt(0), 1e16);
        vm.startPrank(ownerAt(0));
        expectRevert(IMarket.MarketWrongPayment.selector, 1, 0);
        joinWith(1, Builders.maskKey(0), "");
        expectRevert(IMarket.MarketWrongPayment.selector, 1, 0);
        market.fund{value: 1}(1);
    }

    function test_noAllowance_reverts() external {
        vm.prank(ownerAt(0));
        vm.expectRevert();
        joinWith(0, Builders.maskKey(0), "");
    }

    function test_feeOnTransfer_isRefused() external {
        FeeToken token = new FeeToken();
        Terms memory terms = baseTerms();
        terms.token = address(token);
        market = create(terms);
        token.mint(ownerAt(0), 1e18);
        vm.startPrank(ownerAt(0));
        token.approve(address(market), 1e18);
        expectRevert(IMarket.MarketWrongPayment.selector, 99e14, 1e16);
        joinWith(0, Builders.maskKey(0), "");
        expectRevert(IMarket.MarketWrongPayment.selector, 99, 100);
        market.fund(100);
    }

    function test_tokenWithoutCode_isRefused() external {
        Terms memory terms = baseTerms();
        terms.token = address(0xdead);
        market = create(terms);
        vm.prank(ownerAt(0));
        vm.expectRevert();
        joinWith(0, Builders.maskKey(0), "");
    }

    function test_fund_beyondTheBooks_reverts() external {
        fund(1e18);
        uint256 room = type(uint128).max - 1e18;
        expectRevert(IMarket.MarketWrongPayment.selector, room + 1, room);
        market.fund(room + 1);
        fund(room);
        assertEq(market.state().escrowWei, type(uint128).max, "full");
        assertBooks();
    }
}
