// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "../utils/Test.sol";
import {Handler} from "./Handler.sol";

/// @notice What no sequence of calls may break.
contract MarketInvariantTest is Test {
    Handler private _handler;

    function setUp() external {
        _handler = new Handler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](23);
        bytes4[17] memory once = [
            Handler.callJoin.selector,
            Handler.callJoinAll.selector,
            Handler.callLeave.selector,
            Handler.callDepart.selector,
            Handler.callDepartInTime.selector,
            Handler.callClaim.selector,
            Handler.callFund.selector,
            Handler.callFreeze.selector,
            Handler.callDraw.selector,
            Handler.callAnchor.selector,
            Handler.callOpen.selector,
            Handler.callSettle.selector,
            Handler.callTimeout.selector,
            Handler.callClose.selector,
            Handler.callWithdraw.selector,
            Handler.passTime.selector,
            Handler.callOutOfTurn.selector
        ];
        for (uint256 i = 0; i < 17; ++i) selectors[i] = once[i];
        // What leads to a settlement comes more often.
        bytes4[3] memory often = [Handler.callAnchor.selector, Handler.callOpen.selector, Handler.callSettle.selector];
        for (uint256 i = 0; i < 6; ++i) selectors[17 + i] = often[i % 3];
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_handler), selectors);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// @dev One campaign for all.
    function invariant_market_neverBreaks() external view {
        _checkBooks();
        assertEq(_handler.settledTwice(), 0, "settled twice");
        assertEq(_handler.claimedTwice(), 0, "claimed twice");
        assertEq(_handler.wentBack(), 0, "went back");
    }

    function test_handler_canMakeEverythingHappen() external {
        _handler.callJoinAll();
        _handler.callFund(1e17);
        _handler.callOpen(0);
        _handler.callSettle(1, 0, 0, true);
        _handler.callOpen(0);
        _handler.passTime(2999);
        _handler.callTimeout();
        _handler.callClaim(0, 1);
        _handler.callDepartInTime(3);
        _handler.callJoin(25, 1);
        _handler.callFreeze();
        _handler.callDraw(keccak256("any"));
        _handler.callAnchor(keccak256("task"));
        _handler.callClose(97);
        _handler.callWithdraw();
        string[12] memory events = [
            "join", "fund", "open", "settle", "timeout", "claim", "depart", "freeze", "draw", "anchor", "close", "withdraw"
        ];
        for (uint256 i = 0; i < events.length; ++i) assertTrue(_handler.happened(events[i]) != 0, events[i]);
    }

    /// @dev Runs once at the end of each sequence.
    function afterInvariant() external {
        assertEq(_handler.drain(), 0, "everything can be taken out");
    }

    /// @dev The balance is what the books say, and owed is what rounds promised and nobody claimed.
    function _checkBooks() private view {
        (uint256 held, uint256 booked) = _handler.balanceAndBooks();
        assertEq(held, booked, "balance");
        uint256 unclaimedWei = _handler.promisedWei() - _handler.claimedWei();
        assertEq(_handler.theMarket().state().owedWei, unclaimedWei, "owed");
        assertTrue(_handler.claimedWei() <= _handler.paidInWei(), "payouts never exceed payments");
    }
}
