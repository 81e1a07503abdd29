// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Terms} from "../../src/interfaces/MarketTypes.sol";
import {DisputeFixture} from "../utils/DisputeFixture.sol";
import {vm} from "../utils/Vm.sol";

/// @notice Everybody of the largest market is accused: no step of a dispute comes near the
/// 16,777,216 gas of a transaction (EIP-7825).
contract WorstCaseTest is DisputeFixture {
    uint256 private constant _EVERYBODY = 254;
    /// @dev 21,000 and what 254 digests and signatures cost as calldata.
    uint256 private constant _INTRINSIC_GAS = 21_000 + 16 * 96 * 260;
    uint256 private constant _GROUPS = (1 << 63) - 1;

    function setUp() public override {
        super.setUp();
        Terms memory terms = baseTerms();
        (terms.mostOwners, terms.weights, terms.answerSeconds) = (uint16(_EVERYBODY), 8192, 4000);
        (terms.accuseSeconds, terms.proveSeconds) = (600, 600);
        market = create(terms);
        joinAll(_EVERYBODY);
        freeze();
        draw();
        fund(10 * _EVERYBODY * terms.rewardWei + terms.bondWei);
        anchor();
        open(_GROUPS);
    }

    function test_timeout_everybodyLapsed_fitsATransaction() external {
        accuseEverybody();
        vm.warp(uint256(market.state().settleBy) + 1);
        start();
        market.timeout(1);
        within(1_000_000);
        assertEq(market.paidSeats(1), 0, "nobody is paid");
        assertBooks();
    }

    function test_settle_everybodyLapsed_fitsATransaction() external {
        accuseEverybody();
        passAnswerWindow();
        bytes memory data = settleCall(0, 0);
        start();
        vm.prank(MODEL_OWNER);
        (bool success, ) = address(market).call(data);
        within(3_000_000);
        assertTrue(success, "settled");
        assertEq(size(market.state().slashed), _EVERYBODY, "all slashed");
        assertBooks();
    }

    uint256 private _before;

    /// @dev As in a transaction of its own: account and slots are cold.
    function start() private {
        vm.cool(address(market));
        vm.cool(factory.implementation());
        _before = gasleft();
    }

    function within(uint256 mostGas) private view {
        assertTrue(_before - gasleft() + _INTRINSIC_GAS <= mostGas, "gas");
    }

    function accuseEverybody() private {
        uint256 seats = members(_GROUPS);
        uint256 valueWei = _EVERYBODY * (FEE + leastDeposit());
        (bytes32[] memory digests, bytes memory signatures) = (digestsOf(_GROUPS), commitmentsOf(seats));
        vm.deal(MODEL_OWNER, valueWei);
        start();
        vm.prank(MODEL_OWNER);
        market.accuse{value: valueWei}(1, seats, digests, signatures);
        within(14_500_000);
    }
}
