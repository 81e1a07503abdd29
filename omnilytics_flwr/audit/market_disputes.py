"""Accusations and their answers, as calls of a market."""

from __future__ import annotations

from ..crypto.curve import POINT_BYTES, decode_on_curve, split_points
from ..crypto.digest import proof_words, root_from
from ..market.dispute import BURN_ADDRESS, accuse_by, answer_cost_wei, blob_hash_of, lapsed, refund_wei
from ..market.market_view import Accusation
from ..market.messages import SIGNATURE_BYTES
from ..market.roster import roster_hash, roster_seats
from ..market.stage import Event
from .market_base import Block, Call, MarketBase, refused
from .storage import NO_HASH, Charge


class MarketDisputes(MarketBase):
    """The calls of the contract of this name; each takes the `Call` and the contract's arguments."""

    def accuse(self, call: Call, round_number: int, seats: int, digests: tuple[bytes, ...], signatures: bytes) -> None:
        """Accuse members of the open roster of not having delivered; the ether sent pays for their answers.

        Checks: stage; the sender is the model owner; the round is the live one; the terms know accusations; it is not too late; somebody is
        accused; the accused are on the roster; none was accused before; the digests are the roster's; each accused has signed its own; the
        ether covers a fee and an answer for each.
        """
        held, terms = self._at(Event.ACCUSE), self.terms
        self._only_model_owner(call)
        self._only_round(round_number)
        if terms.answer_seconds == 0:
            raise refused("NoAccusations")
        deadline = accuse_by(held.settle_by, terms)
        if call.timestamp > deadline:
            raise refused("TooLate", call.timestamp, deadline)
        if seats == 0:
            raise refused("NoSeats")
        known = sum(held.roster_seats())
        if seats & ~known:
            raise refused("UnknownSeats", seats, known)
        if seats & held.accused:
            raise refused("AlreadyAccused", seats & held.accused)
        if len(digests) != known.bit_count():
            raise refused("WrongLength", len(digests), known.bit_count())
        actual = roster_hash(held.roster, digests)
        if actual != held.roster_hash:
            raise refused("WrongDigests", actual, held.roster_hash)
        self._only_signed(seats, [self.commitment_hash(digest) for digest in digests], signatures)
        accused = seats.bit_count()
        least_wei = accused * (terms.accuse_fee_wei + self.answer_cost_wei(call.block))
        if call.value_wei < least_wei:
            raise refused("Underpaid", call.value_wei, least_wei)

        deposit_wei, rest_wei = divmod(call.value_wei - accused * terms.accuse_fee_wei, accused)
        for seat, digest in zip(roster_seats(held.roster_seats()), digests, strict=True):
            if seats >> seat & 1:
                held.charges[seat] = Charge(digest, deposit_wei)
        held.answer_by = call.timestamp + terms.answer_seconds
        held.refund(self.model_owner, rest_wei)
        call.log("Accused", epoch=held.epoch, round=round_number, seats=seats, answerBy=held.answer_by)

    def answer(self, call: Call, round_number: int, seat: int, first: int, points: bytes, proofs: list[bytes], delivery: bytes) -> None:
        """Answer for an accused, whoever sends: the call's blobs are its polynomials from `first` on; what is answered already is skipped.

        Checks: stage; the round is the live one; the seat is accused and has not answered; it is not too late; the next polynomial is among
        those shown, and no more than there are; points and proofs are as long as they must be; point by point, it is the digest's; blob by
        blob, the point is on the curve and the blob is its polynomial; in a projected market, the last part brings a signed delivery.
        """
        held, polynomials = self._at(Event.ANSWER), self.terms.polynomials
        self._only_round(round_number)
        charge = held.charges.get(seat)
        if charge is None or charge.answered_polynomials == polynomials:
            raise refused("NotAccused", seat)
        if call.timestamp > held.answer_by:
            raise refused("TooLate", call.timestamp, held.answer_by)
        answered, last = charge.answered_polynomials, first + len(points) // POINT_BYTES
        _check_shown(charge, first, last, points, proofs, polynomials)
        _check_blobs(call, split_points(points), answered - first)
        is_last = last == polynomials
        delivery_bytes = 32 + SIGNATURE_BYTES if is_last and self.terms.projected else 0
        if len(delivery) != delivery_bytes:
            raise refused("WrongLength", len(delivery), delivery_bytes)
        if delivery:
            self._only_signed_by(seat, self.delivery_hash(delivery[:32]), delivery[32:])
            where = {"epoch": held.epoch, "round": round_number, "seat": seat}
            call.log("Delivered", **where, projectedDigest=delivery[:32], signature=delivery[32:])

        most_wei = charge.deposit_wei * last // polynomials - charge.refunded_wei
        freed_wei = min(self._refund_wei(call.block, last - answered), most_wei)
        held.charges[seat] = charge._replace(refunded_wei=charge.refunded_wei + freed_wei, answered_polynomials=last)
        held.refund(call.sender, freed_wei)
        if is_last:
            held.refund(BURN_ADDRESS, self.terms.accuse_fee_wei)
        facts = {"from": answered, "count": last - answered, "first": first}
        call.log("Answered", epoch=held.epoch, round=round_number, seat=seat, **facts)

    def _lapsed(self, call: Call) -> int:
        """Bitmap of the seats whose accusation has lapsed."""
        held = self.storage
        return lapsed(accused=held.accused, answered=self.answered, answer_by=held.answer_by, now=call.timestamp)

    def _resolve(self) -> None:
        """End the round's accusations: what is left of deposits, and the fees of those not answered, is the model owner's again."""
        held = self.storage
        for charge in held.charges.values():
            fee_wei = 0 if charge.answered_polynomials == self.terms.polynomials else self.terms.accuse_fee_wei
            held.refund(self.model_owner, fee_wei + charge.deposit_wei - charge.refunded_wei)
        held.charges.clear()

    def answer_cost_wei(self, block: Block) -> int:
        """Least deposit for one accused at a block's fees."""
        if not self.terms.answer_seconds:
            return 0
        fees = {"base_fee_wei": block.base_fee_wei, "blob_base_fee_wei": block.blob_base_fee_wei}
        return 2 * answer_cost_wei(self.terms.polynomials, blobs=self.blobs, **fees)

    def _refund_wei(self, block: Block, polynomials: int) -> int:
        """Most that an answer of some polynomials is refunded at a block's fees."""
        return refund_wei(polynomials, base_fee_wei=block.base_fee_wei, blob_base_fee_wei=block.blob_base_fee_wei)

    def accusation(self, seat: int) -> Accusation:
        """The accusation of a seat in the open round; all zeros if there is none."""
        charge = self.storage.charges.get(seat)
        return Accusation(charge.digest, charge.deposit_wei, charge.answered_polynomials) if charge else Accusation(NO_HASH, 0, 0)


def _check_shown(charge: Charge, first: int, last: int, points: bytes, proofs: list[bytes], polynomials: int) -> None:
    """Refuse points that do not go on where the answer ended, or that are not the accused digest's."""
    answered, count = charge.answered_polynomials, last - first
    if not first <= answered < last:
        raise refused("WrongStart", first, answered)
    if last > polynomials:
        raise refused("WrongLength", count, polynomials - first)
    words = proof_words(polynomials)
    for actual, expected in ((len(points), POINT_BYTES * count), (len(proofs), words * count)):
        if actual != expected:
            raise refused("WrongLength", actual, expected)
    for index, point in list(enumerate(split_points(points)))[answered - first :]:
        root = root_from(point, first + index, proofs[words * index : words * (index + 1)])
        if root != charge.digest:
            raise refused("WrongPoint", first + index, root, charge.digest)


def _check_blobs(call: Call, points: list[bytes], skipped: int) -> None:
    """Refuse blobs that are not those of the points, but for the first, which are answered already."""
    for index, point in list(enumerate(points))[skipped:]:
        if decode_on_curve(point) is None:
            raise refused("BadPoint", index)
        actual = call.blob_hashes[index] if index < len(call.blob_hashes) else NO_HASH
        if actual != blob_hash_of(point):
            raise refused("WrongBlob", index, actual, blob_hash_of(point))
