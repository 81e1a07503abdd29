// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {IMarketFactory} from "../../src/interfaces/IMarketFactory.sol";
import {MarketState, OwnerRecord, Stage, Terms} from "../../src/interfaces/MarketTypes.sol";
import {SettableVerification} from "../harness/SettableVerification.sol";
import {Builders} from "./Builders.sol";
import {Test} from "./Test.sol";
import {vm} from "./Vm.sol";

/// @title MarketFixture
/// @notice A market with a model owner and data owners that can be brought to any stage.
/// @dev Data owner i has the private key i + 1.
abstract contract MarketFixture is Test {
    address internal constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    bytes internal constant HISTORY_CODE =
        hex"3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff8143031160425761"
        hex"1fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";
    uint256 internal constant START = 1_800_000_000;
    uint256 internal constant OWNERS = 20;
    uint32 internal constant EXAMPLES = 600;
    bytes32 internal constant TASK = keccak256("task");
    bytes32 internal constant NEXT_TASK = keccak256("next task");

    address internal immutable MODEL_OWNER = vm.addr(0xb055);
    address internal immutable STRANGER = vm.addr(0xbad);

    IMarketFactory internal factory;
    SettableVerification internal verification;
    IMarket internal market;
    /// @dev Of the market created last.
    bytes32 internal _termsHash;

    function setUp() public virtual {
        vm.etch(HISTORY, HISTORY_CODE);
        vm.warp(START);
        vm.roll(100_000);
        factory = IMarketFactory(deploy("MarketFactory", abi.encode(131_072, 6)));
        verification = new SettableVerification();
        market = create(baseTerms());
    }

    function baseTerms() internal virtual returns (Terms memory) {
        return Builders.terms(address(0), address(verification));
    }

    function create(Terms memory terms) internal returns (IMarket) {
        _termsHash = keccak256(abi.encode(terms));
        vm.prank(MODEL_OWNER);
        return IMarket(factory.create(terms));
    }

    // ------------------------------------------------------------------------------------------------------------- steps

    function ownerAt(uint256 i) internal pure returns (address) {
        return vm.addr(i + 1);
    }

    /// @dev Pay in what the caller of `join` owes; tokens override it.
    function join(uint256 i) internal virtual {
        uint256 stakeWei = stakeDue(ownerAt(i));
        vm.deal(ownerAt(i), ownerAt(i).balance + stakeWei);
        vm.prank(ownerAt(i));
        joinWith(stakeWei, Builders.maskKey(i), "");
    }

    /// @dev By whoever is pranked.
    function joinWith(uint256 valueWei, bytes32 maskKey, bytes memory admissionData) internal {
        market.join{value: valueWei}(_termsHash, maskKey, EXAMPLES, admissionData);
    }

    /// @dev What `join` takes from an account: a stake if it is new or has lost its own.
    function stakeDue(address owner) internal view returns (uint256 stakeWei) {
        OwnerRecord memory record = market.ownerRecord(owner);
        bool staked = record.registered && (market.state().staked >> record.seat) & 1 == 1;
        return staked ? 0 : market.terms().stakeWei;
    }

    function fund(uint256 amountWei) internal virtual {
        vm.deal(MODEL_OWNER, MODEL_OWNER.balance + amountWei);
        vm.prank(MODEL_OWNER);
        market.fund{value: amountWei}(amountWei);
    }

    function joinAll(uint256 owners) internal {
        for (uint256 i = 0; i < owners; ++i) join(i);
    }

    function freeze() internal {
        vm.prank(MODEL_OWNER);
        market.freeze();
    }

    /// @dev Mine past the draw's block, whose header has this prevrandao.
    function mineDraw(bytes32 prevRandao) internal returns (bytes memory header) {
        uint256 drawBlock = market.state().drawBlock;
        header = Builders.header(drawBlock, prevRandao);
        vm.roll(drawBlock + 1);
        vm.setBlockhash(drawBlock, keccak256(header));
    }

    /// @dev The only right order: seats by the hash of seed and owner.
    function rightOrder(bytes32 prevRandao) internal view returns (bytes memory order) {
        MarketState memory state = market.state();
        bytes32 seed = keccak256(abi.encodePacked(prevRandao, uint256(state.epoch), address(market)));
        (address[] memory owners, uint8[] memory seats, , ) = market.members();
        order = new bytes(seats.length);
        bytes32[] memory ranks = new bytes32[](seats.length);
        for (uint256 i = 0; i < seats.length; ++i) {
            bytes32 rank = keccak256(abi.encodePacked(seed, owners[i]));
            uint256 j = i;
            for (; j > 0 && ranks[j - 1] > rank; --j) (ranks[j], order[j]) = (ranks[j - 1], order[j - 1]);
            (ranks[j], order[j]) = (rank, bytes1(seats[i]));
        }
    }

    function draw() internal {
        bytes memory header = mineDraw(keccak256("randomness"));
        market.draw(header, rightOrder(keccak256("randomness")));
    }

    function anchor() internal {
        vm.prank(MODEL_OWNER);
        market.anchor(TASK);
    }

    function digestOf(uint256 seat) internal view virtual returns (bytes32) {
        return keccak256(abi.encode("digest", seat));
    }

    /// @dev Private keys of the owners of seats; seat i belongs to data owner i unless a test lets others in between.
    function keysOf(uint256[] memory seats) internal view virtual returns (uint256[] memory keys) {
        keys = new uint256[](seats.length);
        for (uint256 i = 0; i < seats.length; ++i) keys[i] = seats[i] + 1;
    }

    /// @dev Seats of all members of the groups, groups ascending, seats ascending.
    function seatsInOrder(uint256 groups) internal view returns (uint256[] memory seats) {
        uint256 length = 0;
        seats = new uint256[](254);
        for (uint256 group = 0; group < 254; ++group) {
            if ((groups >> group) & 1 == 0) continue;
            uint256 inGroup = market.groupSeats(group);
            for (uint256 seat = 0; inGroup >> seat != 0; ++seat) {
                if ((inGroup >> seat) & 1 == 1) seats[length++] = seat;
            }
        }
        assembly ("memory-safe") {
            mstore(seats, length)
        }
    }

    /// @dev Digests of all members of the groups, in order.
    function digestsOf(uint256 groups) internal view returns (bytes32[] memory digests) {
        uint256[] memory seats = seatsInOrder(groups);
        digests = new bytes32[](seats.length);
        for (uint256 i = 0; i < seats.length; ++i) digests[i] = digestOf(seats[i]);
    }

    /// @dev What a round is opened with.
    function rosterHashOf(uint256 groups) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(groups, digestsOf(groups)));
    }

    /// @dev Signatures of the members of some groups over what the market looks at when it settles.
    function signaturesOf(uint256 groups) internal view returns (bytes memory signatures) {
        uint256[] memory seats = seatsInOrder(groups);
        uint256[] memory keys = keysOf(seats);
        bool projected = market.terms().projected;
        for (uint256 i = 0; i < keys.length; ++i) {
            bytes32 digest = digestOf(seats[i]);
            bytes32 hash = projected ? market.deliveryHash(digest) : market.commitmentHash(digest);
            signatures = bytes.concat(signatures, signature(keys[i], hash));
        }
    }

    /// @dev EIP-2098 form.
    function signature(uint256 key, bytes32 hash) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        return abi.encodePacked(r, uint256(s) | (uint256(v - 27) << 255));
    }

    function open(uint256 groups) internal {
        (uint32 round, bytes32 rosterHash) = (market.state().round, rosterHashOf(groups));
        vm.prank(MODEL_OWNER);
        market.open(round, groups, rosterHash);
    }

    /// @dev Groups of the open roster that neither are waived nor have a lapsed member.
    function judged(uint256 waived) internal view returns (uint256 groups) {
        MarketState memory state = market.state();
        uint256 lapsed = block.timestamp > state.answerBy ? state.accused & ~state.answered : 0;
        for (uint256 group = 0; state.groups >> group != 0; ++group) {
            if ((state.groups & ~waived) >> group & 1 == 1 && market.groupSeats(group) & lapsed == 0) groups |= 1 << group;
        }
    }

    /// @dev What `settle` calls the market with.
    function settleCall(uint256 waived, bytes32 nextTask) internal view returns (bytes memory) {
        MarketState memory state = market.state();
        bytes memory settlement = abi.encode(digestsOf(state.groups));
        return abi.encodeCall(IMarket.settle, (state.round, settlement, signaturesOf(judged(waived)), waived, nextTask));
    }

    /// @dev All groups alike: the highest is dropped.
    function settle(uint256 waived, bytes32 nextTask) internal {
        bytes memory data = settleCall(waived, nextTask);
        vm.prank(MODEL_OWNER);
        (bool success, bytes memory why) = address(market).call(data);
        if (success) return;
        assembly ("memory-safe") {
            revert(add(why, 0x20), mload(why))
        }
    }

    /// @dev The refusal of a settlement that is otherwise right.
    function refuseToSettle(uint256 waived, bytes memory why) internal {
        bytes memory data = settleCall(waived, 0);
        vm.prank(MODEL_OWNER);
        (bool success, bytes memory actual) = address(market).call(data);
        assertTrue(!success, "refused");
        assertEq(keccak256(actual), keccak256(why), "why");
    }

    /// @dev Enrolled, drawn, funded for ten rounds, anchored.
    function reachAnchored() internal {
        joinAll(OWNERS);
        freeze();
        draw();
        fund(10 * OWNERS * market.terms().rewardWei + market.terms().bondWei);
        anchor();
    }

    function reachOpen() internal {
        reachAnchored();
        open(31);
    }

    /// @dev Six groups of four, so that a roster may leave one out; funded and anchored.
    function reachSixGroups() internal {
        Terms memory terms = baseTerms();
        terms.mostOwners = 30;
        market = create(terms);
        joinAll(24);
        freeze();
        draw();
        fund(1e18);
        anchor();
    }

    function depart(uint256 i) internal {
        vm.prank(ownerAt(i));
        market.leave();
        vm.warp(market.ownerRecord(ownerAt(i)).leaveAt);
        market.depart(ownerAt(i));
    }

    function reach(Stage stage) internal {
        if (stage == Stage.Enrolling) return joinAll(OWNERS);
        if (stage == Stage.Anchored) return reachAnchored();
        if (stage == Stage.Open) return reachOpen();
        joinAll(OWNERS);
        if (stage == Stage.Closed) {
            vm.prank(MODEL_OWNER);
            return market.close();
        }
        freeze();
        if (stage == Stage.Idle) draw();
    }

    // ------------------------------------------------------------------------------------------------------------- checks

    function expectRevert(bytes4 selector) internal {
        vm.expectRevert(abi.encodeWithSelector(selector));
    }

    function expectRevert(bytes4 selector, uint256 first) internal {
        vm.expectRevert(abi.encodeWithSelector(selector, first));
    }

    function expectRevert(bytes4 selector, uint256 first, uint256 second) internal {
        vm.expectRevert(abi.encodeWithSelector(selector, first, second));
    }

    function expectRevert(bytes4 selector, uint256 first, bytes32 second, bytes32 third) internal {
        vm.expectRevert(abi.encodeWithSelector(selector, first, second, third));
    }

    function expectRevert(bytes4 selector, bytes32 first, bytes32 second) internal {
        vm.expectRevert(abi.encodeWithSelector(selector, first, second));
    }

    function expectRevert(bytes4 selector, address account) internal {
        vm.expectRevert(abi.encodeWithSelector(selector, account));
    }

    /// @dev What the market must hold by its own books.
    function booked() internal view returns (uint256) {
        MarketState memory state = market.state();
        uint256 ownWei = state.escrowWei + state.bondWei + state.stakesWei + state.owedWei + state.creditsWei;
        return address(market.terms().token) == address(0) ? ownWei + state.disputesWei : ownWei;
    }

    /// @dev What the market holds; tokens override it.
    function held() internal view virtual returns (uint256) {
        return address(market).balance;
    }

    function assertBooks() internal view {
        assertEq(held(), booked(), "balance is what the books say");
        if (market.terms().token != address(0)) assertEq(address(market).balance, market.state().disputesWei, "ether");
    }

    function assertStage(Stage expected) internal view {
        assertEq(uint256(market.state().stage), uint256(expected), "stage");
    }

    function members(uint256 groups) internal view returns (uint256 seats) {
        for (uint256 group = 0; groups >> group != 0; ++group) {
            if ((groups >> group) & 1 == 1) seats |= market.groupSeats(group);
        }
    }

    function groupOf(uint256 seat) internal view returns (uint256 group) {
        while ((market.groupSeats(group) >> seat) & 1 == 0) ++group;
    }

    function lowestSeat(uint256 seats) internal pure returns (uint256 seat) {
        while ((seats >> seat) & 1 == 0) ++seat;
    }

    function size(uint256 set) internal pure returns (uint256 elements) {
        for (; set != 0; set &= set - 1) ++elements;
    }
}
