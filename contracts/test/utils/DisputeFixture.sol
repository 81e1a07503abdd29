// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MarketState} from "../../src/interfaces/MarketTypes.sol";
import {MarketFixture} from "./MarketFixture.sol";
import {vm} from "./Vm.sol";

/// @title DisputeFixture
/// @notice A market whose members commit to real points, so that accusations can be answered.
/// @dev The k-th point of seat s is (3 s + k + 1) times the generator, and so a commitment like any other.
abstract contract DisputeFixture is MarketFixture {
    uint256 internal constant POLYNOMIALS = 3;
    uint256 internal constant FEE = 1e14;
    uint256 internal constant SETTLE_BY = START + 3000;
    uint256 internal constant ACCUSE_BY = START + 600;
    address internal constant BURNED = 0x000000000000000000000000000000000000dEaD;
    /// @dev mostOwners, and the seats of an epoch whose members have departed, which nobody gets before the next.
    uint256 private constant _SEATS = 2 * 25;
    bytes internal constant _G =
        hex"0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0f"
        hex"c3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
        hex"0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4"
        hex"fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1";
    /// @dev Order of the base field: the upper 16 and the lower 32 bytes.
    uint256 private constant _P_UPPER = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 private constant _P_LOWER = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;

    /// @dev Whoever answers for others.
    address internal immutable RELAY = vm.addr(0x4e1a);

    mapping(uint256 seat => bytes) private _points;
    mapping(uint256 seat => bytes32) private _digests;

    function setUp() public virtual override {
        super.setUp();
        vm.fee(1 gwei);
        vm.blobBaseFee(4e7);
        for (uint256 seat = 0; seat < _SEATS; ++seat) {
            setPoints(seat, bytes.concat(multiple(3 * seat + 1), multiple(3 * seat + 2), multiple(3 * seat + 3)));
        }
    }

    function digestOf(uint256 seat) internal view virtual override returns (bytes32) {
        return seat < _SEATS ? _digests[seat] : super.digestOf(seat);
    }

    /// @dev What the owner of a seat commits to from now on.
    function setPoints(uint256 seat, bytes memory points) internal {
        _points[seat] = points;
        _digests[seat] = keccak256(abi.encode(_leaf(seat, 0), _leaf(seat, 1), _leaf(seat, 2), bytes32(0)));
    }

    /// @dev Accuse with this deposit for each.
    function accuse(uint256 seats, uint256 depositWei) internal {
        accuseFor(seats, size(seats) * (FEE + depositWei));
    }

    function accuseFor(uint256 seats, uint256 valueWei) internal {
        MarketState memory state = market.state();
        (bytes32[] memory digests, bytes memory signatures) = (digestsOf(state.groups), commitmentsOf(seats));
        vm.deal(MODEL_OWNER, MODEL_OWNER.balance + valueWei);
        vm.prank(MODEL_OWNER);
        market.accuse{value: valueWei}(state.round, seats, digests, signatures);
    }

    /// @dev Commitment signatures of some members of the roster, in its order.
    function commitmentsOf(uint256 seats) internal view returns (bytes memory signatures) {
        uint256[] memory roster = seatsInOrder(market.state().groups);
        uint256[] memory keys = keysOf(roster);
        for (uint256 i = 0; i < roster.length; ++i) {
            if ((seats >> roster[i]) & 1 == 0) continue;
            signatures = bytes.concat(signatures, signature(keys[i], market.commitmentHash(digestOf(roster[i]))));
        }
    }

    /// @dev The relay's next transaction carries the blobs of these polynomials.
    function carry(uint256 seat, uint256 first, uint256 count) internal {
        bytes32[] memory hashes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) hashes[i] = blobHash(point(seat, first + i));
        vm.blobhashes(hashes);
    }

    function answer(uint256 seat, uint16 first, uint16 count) internal {
        carry(seat, first, count);
        uint32 round = market.state().round;
        vm.prank(RELAY);
        market.answer(round, uint8(seat), first, pointsOf(seat, first, count), proofsOf(seat, first, count), "");
    }

    /// @dev A second after the last moment to answer.
    function passAnswerWindow() internal {
        vm.warp(uint256(market.state().answerBy) + 1);
    }

    /// @dev Accuse for the least deposit, and let the time to answer pass.
    function lapse(uint256 seats) internal {
        accuse(seats, leastDeposit());
        passAnswerWindow();
    }

    function point(uint256 seat, uint256 k) internal view returns (bytes memory) {
        return pointsOf(seat, k, 1);
    }

    function pointsOf(uint256 seat, uint256 first, uint256 count) internal view returns (bytes memory some) {
        bytes memory points = _points[seat];
        some = new bytes(96 * count);
        for (uint256 i = 0; i < some.length; ++i) some[i] = points[96 * first + i];
    }

    /// @dev The words of each of some points: the other two leaves, and the one that is missing.
    function proofsOf(uint256 seat, uint256 first, uint256 count) internal view returns (bytes32[] memory proofs) {
        proofs = new bytes32[](3 * count);
        for (uint256 i = 0; i < count; ++i) {
            (proofs[3 * i], proofs[3 * i + 1]) = (_leaf(seat, first + i == 0 ? 1 : 0), _leaf(seat, first + i == 2 ? 1 : 2));
        }
    }

    function _leaf(uint256 seat, uint256 k) private view returns (bytes32) {
        return keccak256(point(seat, k));
    }

    /// @dev By the chain's own multi-exponentiation; without the padding.
    function multiple(uint256 scalar) internal view returns (bytes memory) {
        (bool success, bytes memory answered) = address(0x0c).staticcall(bytes.concat(_G, bytes32(scalar)));
        assertTrue(success && answered.length == 128, "multi-exponentiation");
        (uint256 xUpper, uint256 xLower, uint256 yUpper, uint256 yLower) = abi.decode(answered, (uint256, uint256, uint256, uint256));
        return abi.encodePacked(uint128(xUpper), xLower, uint128(yUpper), yLower);
    }

    /// @dev EIP-4844: 1, then SHA-256 of the 48-byte form but for its first byte.
    function blobHash(bytes memory commitment) internal pure returns (bytes32) {
        (uint256 xUpper, uint256 xLower) = (_word(commitment, 0) >> 128, _word(commitment, 16));
        (uint256 yUpper, uint256 yLower) = (_word(commitment, 48) >> 128, _word(commitment, 64));
        // p - y, to be compared with y.
        uint256 borrow = yLower > _P_LOWER ? 1 : 0;
        uint256 upper = _P_UPPER - yUpper - borrow;
        uint256 lower;
        unchecked {
            lower = _P_LOWER - yLower;
        }
        bool larger = yUpper > upper || (yUpper == upper && yLower > lower);
        bytes memory compressed = abi.encodePacked(uint128(xUpper), xLower);
        compressed[0] |= larger ? bytes1(0xa0) : bytes1(0x80);
        return bytes32((uint256(sha256(compressed)) & (type(uint256).max >> 8)) | (1 << 248));
    }

    function _word(bytes memory data, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 0x20), offset))
        }
    }

    // ----------------------------------------------------------------------------------------------------------- queries

    function leastDeposit() internal view returns (uint256) {
        return market.answerCostWei();
    }

    /// @dev What some polynomials are refunded at most.
    function answerCost(uint256 polynomials) internal view returns (uint256) {
        return polynomials * (131_072 * block.blobbasefee + 12_000 * block.basefee);
    }

    /// @dev The n-th seat of a group of the epoch.
    function seatIn(uint256 group, uint256 n) internal view returns (uint256 seat) {
        uint256 seats = market.groupSeats(group);
        for (; n != 0; --n) seats &= seats - 1;
        while ((seats >> seat) & 1 == 0) ++seat;
    }

    /// @dev Ether that disputes have freed for an account: what a withdrawal brings it.
    function freedFor(address account) internal returns (uint256 amountWei) {
        uint256 before = account.balance;
        market.withdraw(account);
        return account.balance - before;
    }
}
