// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {MarketState, Stage, Terms} from "../../src/interfaces/MarketTypes.sol";
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
        uint256[] memory order = seatsInOrder(31);
        digests[1] = digests[0];
        copySignature(signatures, 0, 1);
        expectBadSignature(order[1]);
        market.open(1, 31, digests, signatures);
    }

    function test_open_membersSwapped_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        (digests[4], digests[5]) = (digests[5], digests[4]);
        expectBadSignature(seatsInOrder(31)[4]);
        market.open(1, 31, digests, signatures);
    }

    function test_open_signedByAStranger_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        replaceSignature(signatures, 3, signature(0xbad, digests[3]));
        expectBadSignature(seatsInOrder(31)[3]);
        market.open(1, 31, digests, signatures);
    }

    function test_open_highS_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        uint256 seat = seatsInOrder(31)[0];
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
        expectBadSignature(seatsInOrder(31)[19]);
        market.open(1, 31, digests, signatures);
    }

    function test_open_signatureOfAnotherRound_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        anchor();
        expectBadSignature(seatsInOrder(31)[0]);
        market.open(2, 31, digests, signatures);
    }

    function test_open_signatureOfAnotherChainOrMarket_reverts() external {
        reachAnchored();
        (bytes32[] memory digests, bytes memory signatures) = commitments(31);
        uint256 seat = seatsInOrder(31)[0];
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
        vm.expectRevert();
        market.depart(ownerAt(2));
        freeze();
        draw();
        fund(1e18);
        vm.prank(ownerAt(2));
        market.leave();
        vm.warp(START + 2400);
        market.depart(ownerAt(2));
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

    // ---------------------------------------------------------------------------------------------------------- helpers

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
