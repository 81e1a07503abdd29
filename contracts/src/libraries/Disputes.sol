// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IMarket} from "../interfaces/IMarket.sol";
import {Live} from "../types/Live.sol";
import {POINT_BYTES} from "../types/G1.sol";
import {Bits} from "./Bits.sol";
import {Blobs} from "./Blobs.sol";
import {PointTree} from "./PointTree.sol";
import {Treasury} from "./Treasury.sol";

/// @title Disputes
/// @notice Accusations of the open round, and books of their own for the ether that comes with them.
/// @dev Ether whatever the market's token: it pays for blobs. What is held belongs to the open round's accusations and is freed when they
/// are resolved, at the latest with the round; `heldWei + freedWei` is all of it.
library Disputes {
    using Bits for uint256;
    using SafeCast for uint256;

    /// @dev The stated gas of an answer: each transaction, and each polynomial in it.
    uint256 private constant _TRANSACTION_GAS = 100_000;
    uint256 private constant _POLYNOMIAL_GAS = 16_000;
    uint256 private constant _BLOB_GAS = 131_072;
    /// @dev The gas of a polynomial that is refunded: less than it takes in any transaction, and nothing for the transaction itself, so that
    /// nobody earns by answering in pieces, not even in many calls of one transaction.
    uint256 private constant _REFUNDED_GAS = 12_000;

    /// @dev Two slots.
    struct Accusation {
        bytes32 digest;
        uint120 depositWei;
        uint120 refundedWei; // of the deposit
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

    /// @notice What an answer costs at the present block, by its stated gas: blobs and gas.
    /// @param blobs Blobs that a transaction may carry.
    function answerCostWei(uint256 polynomials, uint256 blobs) internal view returns (uint256) {
        uint256 gas = _TRANSACTION_GAS * Math.ceilDiv(polynomials, blobs) + _POLYNOMIAL_GAS * polynomials;
        // Fees of a block are below 2^128 in every client.
        unchecked {
            return _BLOB_GAS * polynomials * block.blobbasefee + gas * block.basefee;
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
    /// @param seats Seats of the accused.
    /// @param costWei Least deposit of each.
    function accuse(Book storage self, Live memory live, uint256 seats, uint256 feeWei, uint256 costWei, address accuser) internal {
        uint256 size = seats.count();
        uint256 least = size * (feeWei + costWei);
        if (msg.value < least) revert IMarket.MarketUnderpaid(msg.value, least);
        uint256 depositsWei = msg.value - size * feeWei;
        uint120 depositWei = (depositsWei / size).toUint120();
        for (uint256 rest = seats; rest != 0; rest = rest.withoutLeast()) {
            Accusation storage accusation = self.accusations[rest.least()];
            (accusation.depositWei, accusation.refundedWei, accusation.polynomials) = (depositWei, 0, 0);
        }

        // The first accusation of a round finds the bitmaps of an earlier one.
        self.accused = accusedIn(self, live) | seats;
        if (live.answerBy == 0) self.answered = 0;
        self.heldWei += msg.value.toUint128();
        _free(self, accuser, depositsWei % size);
    }

    /// @notice Keep the digest of each accused.
    /// @param roster Seats of each group.
    /// @param digests One for each seat of the roster, in order.
    function keepDigests(Book storage self, uint256[] memory roster, uint256 seats, bytes32[] memory digests) internal {
        uint256 place = 0;
        for (uint256 i = 0; i < roster.length; ++i) {
            for (uint256 rest = roster[i]; rest != 0; rest = rest.withoutLeast()) {
                uint256 seat = rest.least();
                if (seats.has(seat)) self.accusations[seat].digest = digests[place];
                ++place;
            }
        }
    }

    /// @notice Refuse what is not the answer that an accusation waits for. What is answered already is skipped, so that whoever copies the
    /// first blobs of an answer and comes before it stops nothing.
    /// @param first First polynomial shown; the blobs of the transaction and `points` are it and those after it.
    /// @param proofs For each point the words that lead from it to the digest.
    /// @return last Polynomials answered from now on.
    function checkAnswer(
        Accusation memory accusation,
        uint256 first,
        bytes calldata points,
        bytes32[] calldata proofs,
        uint256 polynomials
    ) internal view returns (uint256 last) {
        uint256 count = points.length / POINT_BYTES;
        last = first + count;
        uint256 answered = accusation.polynomials;
        if (first > answered || last <= answered) revert IMarket.MarketWrongStart(first, answered);
        if (last > polynomials) revert IMarket.MarketWrongLength(count, polynomials - first);
        uint256 words = PointTree.proofWords(polynomials);
        if (points.length != POINT_BYTES * count) revert IMarket.MarketWrongLength(points.length, POINT_BYTES * count);
        if (proofs.length != words * count) revert IMarket.MarketWrongLength(proofs.length, words * count);
        for (uint256 i = answered - first; i < count; ++i) {
            bytes32 root = PointTree.rootFrom(points, i * POINT_BYTES, first + i, proofs, i * words, words);
            if (root != accusation.digest) revert IMarket.MarketWrongPoint(first + i, root, accusation.digest);
        }
        Blobs.check(points, answered - first);
    }

    /// @notice Book that `last` polynomials of a seat are answered, and free to the caller what is refunded of the new ones in this block, at
    /// most their share of the deposit and what earlier answers left of theirs. The fee of a complete answer is burned: an accusation that
    /// was answered cost the model owner something, and nobody earns by provoking one.
    function answer(
        Book storage self,
        uint256 seat,
        Accusation memory accusation,
        uint256 last,
        uint256 polynomials,
        uint256 feeWei
    ) internal {
        uint256 shareWei = (accusation.depositWei * last) / polynomials - accusation.refundedWei;
        uint256 eachWei = _BLOB_GAS * block.blobbasefee + _REFUNDED_GAS * block.basefee;
        uint256 refundWei = Math.min(shareWei, (last - accusation.polynomials) * eachWei);
        // Refunds are at most the deposit; counts at most 512.
        unchecked {
            accusation.refundedWei += uint120(refundWei);
            accusation.polynomials = uint16(last);
        }
        self.accusations[seat] = accusation;
        _free(self, msg.sender, refundWei);
        if (last != polynomials) return;
        self.answered |= 1 << seat;
        _free(self, Treasury.BURNED, feeWei);
    }

    /// @notice End all accusations of a round: what is left of deposits, and the fees of the lapsed, is the model owner's again.
    function resolve(Book storage self, address modelOwner) internal {
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
