// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {MarketState, Stage, Terms} from "../../src/interfaces/MarketTypes.sol";
import {Builders} from "../utils/Builders.sol";
import {MarketFixture} from "../utils/MarketFixture.sol";
import {vm} from "../utils/Vm.sol";

contract EpochTest is MarketFixture {
    bytes32 private constant _RANDAO = keccak256("prevrandao");

    function test_freeze_enoughOwners_fixesThem() external {
        joinAll(OWNERS);
        vm.expectEmit();
        emit IMarket.Frozen(1, (1 << OWNERS) - 1, 100_004);
        freeze();

        MarketState memory state = market.state();
        assertStage(Stage.Frozen);
        assertEq(state.enrolled, 0, "nobody is in the next epoch yet");
        assertEq(state.drawBlock, 100_004, "block of the draw");
    }

    function test_freeze_wrongly_reverts() external {
        joinAll(19);
        expectRevert(IMarket.MarketNotModelOwner.selector, address(this));
        market.freeze();
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketTooFewOwners.selector, 19, 20);
        market.freeze();
    }

    function test_freeze_unevenGroups_reverts() external {
        Terms memory terms = baseTerms();
        (terms.groupSize, terms.mostOwners, terms.stakeWei) = (8, 80, 1e17);
        (terms.accuseSeconds, terms.answerSeconds, terms.proveSeconds) = (2000, 2000, 2000);
        market = create(terms);
        joinAll(46);
        // 5 groups of 8 cannot take 6 more.
        vm.prank(MODEL_OWNER);
        expectRevert(IMarket.MarketUnevenGroups.selector, 46, 8);
        market.freeze();
        // 6 groups of 8 can take none.
        joinAll(48);
        freeze();
    }

    function test_draw_rightOrder_makesGroups() external {
        joinAll(22);
        freeze();
        bytes memory header = mineDraw(_RANDAO);
        bytes memory order = rightOrder(_RANDAO);
        market.draw(header, order);

        assertStage(Stage.Idle);
        assertEq(market.state().epochSeed, keccak256(abi.encodePacked(_RANDAO, uint256(1), address(market))), "seed");
        uint256 all = 0;
        uint256 place = 0;
        for (uint256 group = 0; group < 5; ++group) {
            uint256 expected = 0;
            for (uint256 i = 0; i < (group < 2 ? 5 : 4); ++i) expected |= 1 << uint8(order[place++]);
            assertEq(market.groupSeats(group), expected, "group");
            all |= expected;
        }
        assertEq(all, (1 << 22) - 1, "everybody");
    }

    function test_draw_fromHistory_works() external {
        joinAll(OWNERS);
        freeze();
        bytes memory header = historyHeader(8191);
        market.draw(header, rightOrder(_RANDAO));
        assertStage(Stage.Idle);
    }

    function test_draw_afterHistory_lapsesForGood() external {
        joinAll(OWNERS);
        freeze();
        bytes memory header = historyHeader(8192);
        bytes memory order = rightOrder(_RANDAO);
        expectRevert(IMarket.MarketDrawLapsed.selector, 100_004 + 8192, 100_004);
        market.draw(header, order);

        // Only closing is left, for anybody.
        vm.prank(STRANGER);
        market.close();
        assertStage(Stage.Closed);
    }

    function test_close_frozen_waitsUntilTheDrawHasLapsed() external {
        joinAll(OWNERS);
        freeze();
        vm.roll(100_004 + 8191);
        expectRevert(IMarket.MarketTooEarly.selector, 100_004 + 8191, 100_004 + 8192);
        vm.prank(MODEL_OWNER);
        market.close();
    }

    /// @dev Everything is wrong at first, and put right from the first check on.
    function test_draw_wrongly_revertsWithTheFirstCheck() external {
        joinAll(OWNERS);
        freeze();
        vm.roll(100_004);
        bytes memory wished = Builders.header(100_004, keccak256("wished for"));
        expectRevert(IMarket.MarketDrawTooEarly.selector, 100_004, 100_004);
        market.draw(wished, "");
        bytes memory right = mineDraw(_RANDAO);
        expectRevert(IMarket.MarketWrongHeader.selector, keccak256(wished), keccak256(right));
        market.draw(wished, "");
        expectRevert(IMarket.MarketWrongHeader.selector, keccak256(""), keccak256(right));
        market.draw("", "");
        bytes memory order = rightOrder(_RANDAO);
        expectRevert(IMarket.MarketWrongLength.selector, 21, 20);
        market.draw(right, bytes.concat(order, order[19]));
        assembly ("memory-safe") {
            mstore(order, 19)
        }
        expectRevert(IMarket.MarketWrongLength.selector, 19, 20);
        market.draw(right, order);
    }

    /// @dev Nobody twice, nobody in another's place, no stranger: one order is right.
    function test_fuzz_draw_anotherOrder_reverts(uint256 place, uint256 other, uint256 stranger) external {
        (place, other, stranger) = (bound(place, 0, 18), bound(other, 0, 19), bound(stranger, OWNERS, 255));
        joinAll(OWNERS);
        freeze();
        bytes memory header = mineDraw(_RANDAO);
        bytes memory order = rightOrder(_RANDAO);
        (bytes1 first, bytes1 second) = (order[place], order[place + 1]);
        (order[place], order[place + 1]) = (second, first);
        expectRevert(IMarket.MarketWrongOrder.selector, place + 1);
        market.draw(header, order);
        order[place + 1] = second;
        expectRevert(IMarket.MarketWrongOrder.selector, place + 1);
        market.draw(header, order);
        order[place] = first;
        order[other] = bytes1(uint8(stranger));
        expectRevert(IMarket.MarketWrongOrder.selector, other);
        market.draw(header, order);
    }

    function test_draw_memberDepartedInBetween_stillHasItsPlace() external {
        joinAll(OWNERS);
        freeze();
        depart(0);
        join(30);
        assertEq(market.ownerRecord(ownerAt(30)).seat, 20, "its seat is not given away");
        draw();
        assertEq(members(31), (1 << OWNERS) - 1, "everybody who was frozen");
    }

    function test_draw_noHistory_refusesEveryHeader() external {
        joinAll(OWNERS);
        freeze();
        vm.roll(100_004 + 300);
        bytes memory header = Builders.header(100_004, _RANDAO);
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketWrongHeader.selector, keccak256(header), bytes32(0)));
        market.draw(header, "");
    }

    function test_freeze_whileAnchored_endsTheRound() external {
        reachAnchored();
        joinAll(OWNERS);
        freeze();

        MarketState memory state = market.state();
        assertStage(Stage.Frozen);
        assertEq(state.taskHash, 0, "no task");
        assertEq(state.epochSeed, 0, "no seed");
        assertEq(state.epoch, 2, "epoch");
        // The round that lapsed pays nobody.
        assertEq(market.paidSeats(1), 0, "paid");
        market.claim(ownerAt(0), 1);
        assertEq(ownerAt(0).balance, 0, "nothing");
    }

    /// @dev Header that only the history contract still knows, `age` blocks later.
    function historyHeader(uint256 age) private returns (bytes memory header) {
        header = Builders.header(100_004, _RANDAO);
        vm.store(HISTORY, bytes32(uint256(100_004) % 8191), keccak256(header));
        vm.roll(100_004 + age);
    }
}
