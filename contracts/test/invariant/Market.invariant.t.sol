// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "../utils/Test.sol";
import {Handler} from "./Handler.sol";

/// @notice What no sequence of calls may break.
abstract contract MarketInvariantTest is Test {
    Handler private _handler;

    function setUp() external {
        _handler = newHandler();
    }

    function newHandler() internal virtual returns (Handler);

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[23] memory once = [
            Handler.callJoin.selector, Handler.callJoinAll.selector, Handler.callLeave.selector, Handler.callDepart.selector,
            Handler.callDepartInTime.selector, Handler.callDepartSlashed.selector, Handler.callClaim.selector, Handler.callFund.selector,
            Handler.callFreeze.selector, Handler.callDraw.selector, Handler.callAnchor.selector, Handler.callOpen.selector,
            Handler.callAccuse.selector, Handler.callAnswer.selector, Handler.callAnswerAll.selector, Handler.callSettle.selector,
            Handler.callTimeout.selector, Handler.callClose.selector, Handler.callWithdraw.selector, Handler.passTime.selector,
            Handler.passWindow.selector, Handler.moveFees.selector, Handler.callOutOfTurn.selector
        ];
        // What leads to a settlement, and into a dispute, comes more often.
        bytes4[7] memory often = [
            Handler.callAdvance.selector, Handler.callAdvance.selector, Handler.callAccuse.selector, Handler.callAccuse.selector,
            Handler.callAnswer.selector, Handler.passWindow.selector, Handler.callSettle.selector
        ];
        bytes4[] memory selectors = new bytes4[](23 + 35);
        for (uint256 i = 0; i < 23; ++i) selectors[i] = once[i];
        for (uint256 i = 0; i < 35; ++i) selectors[23 + i] = often[i % 7];
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_handler), selectors);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// @dev One campaign for all.
    function invariant_market_neverBreaks() external view {
        _handler.check();
    }

    function test_handler_canMakeEverythingHappen() external {
        _handler.callJoinAll();
        _handler.callFund(1e17);
        _handler.callOpen(0);
        _handler.callAccuse(1, type(uint256).max, 7);
        _handler.callAnswerAll();
        _handler.callSettle(1, 0, true);
        _handler.callOpen(0);
        // The seats 0 .. 9 are accused, all but the last two answer in part or in full.
        _handler.callAccuse(4, 1023, 7);
        for (uint256 i = 0; i < 8; ++i) _handler.callAnswer(0, 2);
        _handler.callAnswer(1, 1);
        _handler.passWindow();
        _handler.callSettle(1, 0, false);
        _handler.callDepartSlashed();
        _handler.callJoinAll();
        _handler.callWithdraw(0);
        _handler.callWithdraw(2);
        _handler.callWithdraw(4);
        _handler.callFreeze();
        _handler.callDraw(keccak256("any"));
        _handler.callAnchor(keccak256("task"));
        _handler.callOpen(0);
        _handler.callAccuse(4, 1023, 7);
        _handler.callTimeout(true);
        _handler.callClaim(12, 3);
        _handler.callDepartInTime(13);
        _handler.callClose(13);
        _handler.callWithdraw(0);
        string[15] memory events = [
            "join", "fund", "open", "accuse", "answer", "settle", "void", "timeout", "claim", "depart", "freeze", "draw", "anchor",
            "close", "withdraw"
        ];
        for (uint256 i = 0; i < events.length; ++i) assertTrue(_handler.happened(events[i]) != 0, events[i]);
        _handler.check();
        assertEq(_handler.drain(), 0, "everything can be taken out");
    }

    /// @dev Runs once at the end of each sequence.
    function afterInvariant() external {
        assertEq(_handler.drain(), 0, "everything can be taken out");
        _handler.check();
    }
}

/// @notice By the terms' defaults: exact distances, and only outliers are dropped.
contract ExactMarketInvariantTest is MarketInvariantTest {
    function newHandler() internal override returns (Handler) {
        return new Handler(false, 200);
    }
}

/// @notice With projected distances, and by the paper's rule.
contract ProjectedMarketInvariantTest is MarketInvariantTest {
    function newHandler() internal override returns (Handler) {
        return new Handler(true, 0);
    }
}
