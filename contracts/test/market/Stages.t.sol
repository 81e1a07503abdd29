// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {Stage} from "../../src/interfaces/MarketTypes.sol";
import {MarketFixture} from "../utils/MarketFixture.sol";
import {vm} from "../utils/Vm.sol";

/// @notice Every pair of stage and event: the table of docs/specification/protocol.md section 2.
contract StagesTest is MarketFixture {
    uint256 private constant _ENROLLING = 1;
    uint256 private constant _FROZEN = 2;
    uint256 private constant _IDLE = 4;
    uint256 private constant _ANCHORED = 8;
    uint256 private constant _OPEN = 16;
    uint256 private constant _ALL = 63;

    struct Event {
        string name;
        bytes call;
        uint256 allowed;
    }

    function test_everyStage_allowsItsEventsOnly() external {
        for (uint8 stage = 0; stage <= uint8(Stage.Closed); ++stage) {
            market = create(baseTerms());
            reach(Stage(stage));
            Event[] memory events = table();
            for (uint256 i = 0; i < events.length; ++i) check(Stage(stage), events[i]);
        }
    }

    /// @dev An event that is not allowed fails at the door; one that is allowed gets past it, wherever it may fail then.
    function check(Stage stage, Event memory tried) private {
        // All calls are wrong in some way, so that none changes the state for the next; the model owner's come from a stranger where
        // the right caller would succeed.
        bool mayDo = bytes4(tried.call) != IMarket.close.selector && bytes4(tried.call) != IMarket.freeze.selector;
        vm.prank(mayDo ? MODEL_OWNER : STRANGER);
        (bool success, bytes memory answer) = address(market).call(tried.call);
        assertTrue(!success, tried.name);
        bytes memory atTheDoor = abi.encodeWithSelector(IMarket.MarketWrongStage.selector, stage, tried.allowed);
        bool refused = keccak256(answer) == keccak256(atTheDoor);
        assertTrue(refused == ((tried.allowed >> uint256(stage)) & 1 == 0), tried.name);
        if (!refused) assertTrue(bytes4(answer) != IMarket.MarketWrongStage.selector, tried.name);
    }

    function table() private view returns (Event[] memory events) {
        uint256 notClosed = _ALL - 32;
        bytes32[] memory none = new bytes32[](0);
        events = new Event[](15);
        events[0] = Event("join", abi.encodeCall(IMarket.join, (bytes32(0), bytes32(0), 0, "")), notClosed);
        events[1] = Event("leave", abi.encodeCall(IMarket.leave, ()), _ALL);
        events[2] = Event("depart", abi.encodeCall(IMarket.depart, (STRANGER)), _ALL);
        events[3] = Event("fund", abi.encodeCall(IMarket.fund, (1)), notClosed);
        events[4] = Event("claim", abi.encodeCall(IMarket.claim, (STRANGER, 1)), _ALL);
        events[5] = Event("freeze", abi.encodeCall(IMarket.freeze, ()), _ENROLLING | _IDLE | _ANCHORED);
        events[6] = Event("draw", abi.encodeCall(IMarket.draw, ("", "")), _FROZEN);
        events[7] = Event("anchor", abi.encodeCall(IMarket.anchor, (0)), _IDLE | _ANCHORED);
        events[8] = Event("open", abi.encodeCall(IMarket.open, (0, 0, 0)), _ANCHORED);
        events[9] = Event("settle", abi.encodeCall(IMarket.settle, (0, "", "", 0, 0)), _OPEN);
        events[10] = Event("timeout", abi.encodeCall(IMarket.timeout, (0)), _OPEN);
        events[11] = Event("withdraw", abi.encodeCall(IMarket.withdraw, (STRANGER)), _ALL);
        events[12] = Event("close", abi.encodeCall(IMarket.close, ()), _ENROLLING | _FROZEN | _IDLE | _ANCHORED);
        events[13] = Event("accuse", abi.encodeCall(IMarket.accuse, (0, 1, none, "")), _OPEN);
        events[14] = Event("answer", abi.encodeCall(IMarket.answer, (0, 0, 0, "", none, "")), _OPEN);
    }
}
