// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IMarket} from "../interfaces/IMarket.sol";
import {Live} from "../types/Live.sol";
import {G1_BYTES} from "../types/G1.sol";
import {Bits} from "./Bits.sol";
import {Blobs} from "./Blobs.sol";

/// @title Disputes
/// @notice Accusations of the open round, and books of their own for the ether that comes with them.
/// @dev Ether whatever the market's token: it pays for blobs. What is held belongs to the open round's accusations and is freed when they
/// are resolved, at the latest with the round; `heldWei + freedWei` is all of it.
library Disputes {
    using Bits for uint256;
    using SafeCast for uint256;

    /// @dev What the deposit is reckoned with, for the gas of an answer: each transaction, and each polynomial in it.
    uint256 private constant _TRANSACTION_GAS = 80_000;
    uint256 private constant _POLYNOMIAL_GAS = 12_000;
    uint256 private constant _BLOB_GAS = 131_072;
    uint256 private constant _BLOBS_PER_TRANSACTION = 6;

    /// @dev Two slots.
    struct Accusation {
        bytes32 digest;
        uint120 depositWei;
        uint120 leftWei; // of the deposit
        uint16 polynomials; // answered so far
    }

    /// @dev Bitmaps and accusations belong to the round that was accused in last; whether that is the open one tells `Live.answerBy`.
    struct Book {
        uint256 accused; // seats
        uint256 answered; // seats
        uint128 heldWei; // fees and deposits of accusations that are not resolved
        uint128 freedWei; // not yet withdrawn
        mapping(uint256 seat => Accusation) accusations;
        mapping(address account => uint256) freedOf;
    }

    /// @notice Twice what an answer of `polynomials` polynomials costs at the present block: blobs and gas.
    function answerCostWei(uint256 polynomials) internal view returns (uint256) {
        // Fees of a block are below 2^128 in every client.
        unchecked {
            uint256 transactions = (polynomials + _BLOBS_PER_TRANSACTION - 1) / _BLOBS_PER_TRANSACTION;
            // slither-disable-next-line divide-before-multiply
            uint256 gas = _TRANSACTION_GAS * transactions + _POLYNOMIAL_GAS * polynomials;
            return 2 * (_BLOB_GAS * polynomials * block.blobbasefee + gas * block.basefee);
        }
    }

    /// @notice Seats accused in the open round.
    function accusedIn(Book storage self, Live memory live) internal view returns (uint256 seats) {
        return live.answerBy == 0 ? 0 : self.accused;
    }

    /// @notice Seats accused in the open round that have answered in full.
    function answeredIn(Book storage self, Live memory live) internal view returns (uint256 seats) {
        return live.answerBy == 0 ? 0 : self.answered;
    }

    /// @notice Seats accused in the open round whose time to answer is over.
    function lapsedIn(Book storage self, Live memory live) internal view returns (uint256 seats) {
        if (live.answerBy == 0 || block.timestamp <= live.answerBy) return 0;
        return self.accused & ~self.answered;
    }

    /// @notice Accuse seats, none of which is accused; the ether sent becomes fees and equal deposits, refused if it is too little.
    /// @param roster Seats of each group.
    /// @param digests One for each seat of the roster, in order.
    /// @param accuser Who gets what cannot be divided.
    function accuse(
        Book storage self,
        Live memory live,
        uint256[] memory roster,
        uint256 seats,
        bytes32[] memory digests,
        uint256 feeWei,
        uint256 costWei,
        address accuser
    ) internal {
        uint256 size = seats.count();
        uint256 least = size * (feeWei + costWei);
        if (msg.value < least) revert IMarket.MarketUnderpaid(msg.value, least);
        uint256 depositsWei = msg.value - size * feeWei;
        _write(self, roster, seats, digests, (depositsWei / size).toUint120());

        // The first accusation of a round finds the bitmaps of an earlier one.
        self.accused = accusedIn(self, live) | seats;
        if (live.answerBy == 0) self.answered = 0;
        self.heldWei += msg.value.toUint128();
        _free(self, accuser, depositsWei % size);
    }

    /// @notice Refuse what is not the answer that an accusation waits for.
    function checkAnswer(
        Accusation memory accusation,
        bytes calldata points,
        uint256 first,
        uint256 count,
        uint256 polynomials
    ) internal view {
        if (points.length != G1_BYTES * polynomials) revert IMarket.MarketWrongLength(points.length, G1_BYTES * polynomials);
        bytes32 digest = keccak256(points);
        if (digest != accusation.digest) revert IMarket.MarketWrongPoints(digest, accusation.digest);
        if (first != accusation.polynomials) revert IMarket.MarketWrongStart(first, accusation.polynomials);
        uint256 most = polynomials - first;
        if (count == 0 || count > most) revert IMarket.MarketWrongLength(count, most);
        Blobs.check(points, first, count);
    }

    /// @notice Book `count` more polynomials of a seat, and free what the answer earns.
    /// @param owner The seat's, to whom the fee is freed with the last polynomial.
    function answer(
        Book storage self,
        uint256 seat,
        Accusation memory accusation,
        uint256 count,
        uint256 polynomials,
        address owner,
        uint256 feeWei
    ) internal {
        bool complete = accusation.polynomials + count == polynomials;
        uint256 earnedWei = complete ? accusation.leftWei : (accusation.depositWei * count) / polynomials;
        // Shares rounded down are no more than what is left; counts are at most 512.
        unchecked {
            accusation.leftWei -= uint120(earnedWei);
            accusation.polynomials += uint16(count);
        }
        self.accusations[seat] = accusation;
        _free(self, msg.sender, earnedWei);
        if (!complete) return;
        self.answered |= 1 << seat;
        _free(self, owner, feeWei);
    }

    /// @notice End all accusations of a round that had some: those not answered are resolved.
    /// @param lost Seats whose fee is the model owner's; that of any other seat not answered is freed for its owner.
    function resolve(
        Book storage self,
        uint256 lost,
        mapping(uint256 seat => address) storage ownerOf,
        uint256 feeWei,
        address modelOwner
    ) internal {
        uint256 acquitted = self.accused & ~self.answered & ~lost;
        for (; feeWei != 0 && acquitted != 0; acquitted = acquitted.withoutLeast()) _free(self, ownerOf[acquitted.least()], feeWei);
        // What is left of every deposit, and the fees of the lost.
        _free(self, modelOwner, self.heldWei);
    }

    /// @notice Strike the ether that is freed for an account, which is about to be paid; 0 if there is none.
    function takeFreed(Book storage self, address account) internal returns (uint256 amountWei) {
        amountWei = self.freedOf[account];
        if (amountWei == 0) return 0;
        delete self.freedOf[account];
        // freedWei is the sum over all accounts.
        unchecked {
            self.freedWei -= uint128(amountWei);
        }
    }

    /// @dev Write an accusation for each of `seats`, which are on the roster.
    function _write(Book storage self, uint256[] memory roster, uint256 seats, bytes32[] memory digests, uint120 depositWei) private {
        uint256 next = 0;
        for (uint256 i = 0; i < roster.length; ++i) {
            for (uint256 rest = roster[i]; rest != 0; rest = rest.withoutLeast()) {
                uint256 seat = rest.least();
                if (seats.has(seat)) self.accusations[seat] = Accusation(digests[next], depositWei, depositWei, 0);
                // At most 254 digests.
                unchecked {
                    ++next;
                }
            }
        }
    }

    /// @dev Move ether that is held to what is freed for an account.
    function _free(Book storage self, address account, uint256 amountWei) private {
        if (amountWei == 0) return;
        // heldWei is the sum of fees and deposits that are left, freedWei at most all ether ever sent, which fits.
        unchecked {
            self.heldWei -= uint128(amountWei);
            self.freedWei += uint128(amountWei);
            self.freedOf[account] += amountWei;
        }
    }
}
