// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {MarketState, Stage, Terms} from "../../src/interfaces/MarketTypes.sol";
import {MarketFixture} from "../utils/MarketFixture.sol";
import {vm} from "../utils/Vm.sol";

contract RoundTest is MarketFixture {
    uint256 private constant _SECP256K1_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

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

    /// @dev Everything is wrong at first, and put right from the first check on. Only five of the six groups are still whole.
    function test_open_wrongly_revertsWithTheFirstCheck() external {
        reachSixGroups();
        uint256 whole = 63 ^ (1 << groupOf(0));
        (bytes32[] memory digests, bytes memory signatures) = commitments(whole);
        bytes32[] memory fewer = new bytes32[](19);
        depart(0);
        expectRevert(IMarket.MarketNotModelOwner.selector, address(this));
        market.open(9, 64 + 15, fewer, "");
        vm.startPrank(MODEL_OWNER);
        expectRevert(IMarket.MarketWrongRound.selector, 9, 1);
        market.open(9, 64 + 15, fewer, "");
        vm.warp(START + 601);
        expectRevert(IMarket.MarketTooLate.selector, START + 601, START + 600);
        market.open(1, 64 + 15, fewer, "");
        vm.warp(START + 600);
        expectRevert(IMarket.MarketUnknownGroup.selector, 64 + 15, 63);
        market.open(1, 64 + 15, fewer, "");
        expectRevert(IMarket.MarketTooFewGroups.selector, 4, 5);
        market.open(1, 15, fewer, "");
        expectRevert(IMarket.MarketNotStaked.selector, 1);
        market.open(1, 63, fewer, "");
        expectRevert(IMarket.MarketWrongLength.selector, 19, 20);
        market.open(1, whole, fewer, "");
        expectRevert(IMarket.MarketWrongLength.selector, 0, 1280);
        market.open(1, whole, digests, "");
        expectRevert(IMarket.MarketWrongLength.selector, 1281, 1280);
        market.open(1, whole, digests, bytes.concat(signatures, hex"00"));
        market.open(1, whole, digests, signatures);
        assertEq(market.state().groups, whole, "five of six groups");
    }

    /// @dev More signatures that are not the member's own: tests/contracts/test_attacks_open.py.
    function test_open_notSignedByItsOwner_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        uint256 seat = seatsInOrder(31)[3];
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(seat + 1, market.commitmentHash(digests[3]));
        // The other signature of the same message: n - s, and the other parity. EIP-2098 has no place for a high s.
        uint256 high = _SECP256K1_ORDER - uint256(s);
        bytes[2] memory bad = [signature(0xbad, digests[3]), abi.encodePacked(r, high | (uint256(28 - v) << 255))];
        for (uint256 i = 0; i < 2; ++i) {
            replaceSignature(signatures, 3, bad[i]);
            vm.expectRevert(abi.encodeWithSelector(IMarket.MarketBadSignature.selector, seat, ownerAt(seat)));
            vm.prank(MODEL_OWNER);
            market.open(1, 31, digests, signatures);
        }
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

    function replaceSignature(bytes memory signatures, uint256 place, bytes memory by) private pure {
        for (uint256 i = 0; i < 64; ++i) signatures[64 * place + i] = by[i];
    }
}
