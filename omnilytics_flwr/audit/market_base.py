"""What a market is made of, the door that its calls start at, and what it tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..crypto.statement import Statement
from ..errors import WireError
from ..market.dispute import BLOBS_PER_TRANSACTION
from ..market.market_view import MarketState, Member, OwnerRecord
from ..market.messages import SIGNATURE_BYTES, Commitment, Delivery, recover
from ..market.refusals import REFUSALS, Refusal
from ..market.roster import bitmap_of, bits_of, roster_seats
from ..market.stage import ALLOWED, DRAWN, Event, Stage, stages_for
from ..market.task import TaskId
from ..market.terms import ZERO_ADDRESS, Address, Terms
from .storage import NO_HASH, Payout, Storage
from .verifications import Verification

Gate = Callable[[Address, int, bytes], bool]
"""Says whether a data owner with these admission data may join for an epoch."""


def refused(error: str, *facts: object) -> Refusal:
    """The refusal of the contract's error of this name, less its prefix ``Market``."""
    return REFUSALS[f"Market{error}"](*facts)


class Block(Protocol):
    """The block of a call, as a contract sees it."""

    @property
    def number(self) -> int:
        """Of the block."""

    @property
    def timestamp(self) -> int:
        """Unix seconds."""

    @property
    def base_fee_wei(self) -> int:
        """Price of a unit of gas."""

    @property
    def blob_base_fee_wei(self) -> int:
        """Price of a unit of blob gas."""

    def block_hash(self, number: int) -> bytes | None:
        """Hash of a block in history, otherwise None."""

    def transfer(self, sender: Address, to: Address, amount_wei: int) -> None:
        """Move ether; raises `PaymentFailed` if the receiver takes none."""

    def transfer_token(self, token: Address, sender: Address, to: Address, amount: int) -> None:
        """Move some of a token's smallest units."""


@dataclass(frozen=True)
class Call:
    """Who calls, in which block, with which ether and blobs (by versioned hash), and what was logged."""

    block: Block
    sender: Address
    value_wei: int
    blob_hashes: tuple[bytes, ...] = ()
    logs: dict[str, dict[str, object]] = field(default_factory=dict)

    @property
    def timestamp(self) -> int:
        """Unix seconds of the call's block."""
        return self.block.timestamp

    def log(self, event: str, **fields: object) -> None:
        """Emit an event, with the contract's names."""
        self.logs[event] = fields


class MarketBase:
    """A market.

    Parameters
    ----------
    address : Address
    chain_id : int
        EIP-155 chain id that signatures and settlements are bound to.
    model_owner : Address
    terms : Terms
    verification : Verification
    gate : Gate, optional
        Without it everybody may join.
    blobs : int (default: Ethereum's)
        That a transaction of the chain may carry.
    """

    def __init__(
        self,
        *,
        address: Address,
        chain_id: int,
        model_owner: Address,
        terms: Terms,
        verification: Verification,
        gate: Gate | None = None,
        blobs: int = BLOBS_PER_TRANSACTION,
    ) -> None:
        self.address = address
        self.chain_id = chain_id
        self.model_owner = model_owner
        self.terms = terms
        self.verification = verification
        self.gate = gate
        self.blobs = blobs
        self.storage = Storage()

    @property
    def in_token(self) -> bool:
        """Whether all but disputes is paid in a token."""
        return self.terms.token != ZERO_ADDRESS

    # ------------------------------------------------------------------------------------------------------------------ the door

    def _at(self, event: Event) -> Storage:
        """The storage, if the stage allows the event."""
        if event not in ALLOWED[self.storage.stage]:
            raise refused("WrongStage", self.storage.stage, stages_for(event))
        return self.storage

    def _only_model_owner(self, call: Call) -> None:
        if call.sender != self.model_owner:
            raise refused("NotModelOwner", call.sender)

    def _only_round(self, round_number: int) -> None:
        if round_number != self.storage.round:
            raise refused("WrongRound", round_number, self.storage.round)

    def _only_signed(self, seats: int, hashes: Sequence[bytes], signatures: bytes) -> None:
        """Refuse unless the members of the open roster on these seats have signed, in its order, each the hash at its place."""
        if len(signatures) != SIGNATURE_BYTES * seats.bit_count():
            raise refused("WrongLength", len(signatures), SIGNATURE_BYTES * seats.bit_count())
        places = [(seat, place) for place, seat in enumerate(roster_seats(self.storage.roster_seats())) if seats >> seat & 1]
        for number, (seat, place) in enumerate(places):
            self._only_signed_by(seat, hashes[place], signatures[SIGNATURE_BYTES * number : SIGNATURE_BYTES * (number + 1)])

    def _only_signed_by(self, seat: int, signing_hash: bytes, signature: bytes) -> None:
        owner = self.storage.seat_owners[seat]
        try:
            signed = recover(signing_hash, signature) == owner
        except WireError:
            signed = False
        if not signed:
            raise refused("BadSignature", seat, owner)

    # --------------------------------------------------------------------------------------------------------------------- reads

    def state(self) -> MarketState:
        """Everything that changes, but for the owners."""
        held = self.storage
        is_open, drawn = held.stage is Stage.OPEN, held.stage in DRAWN
        return MarketState(
            stage=held.stage,
            epoch=held.epoch,
            round=held.round,
            opened_in_epoch=held.opened_in_epoch,
            open_by=held.open_by if held.live else 0,
            settle_by=held.settle_by if is_open else 0,
            draw_block=held.draw_block if held.stage is Stage.FROZEN else 0,
            task_hash=held.task_hash,
            roster_hash=held.roster_hash if is_open else NO_HASH,
            groups=held.roster,
            epoch_seed=held.epoch_seed if drawn else NO_HASH,
            members=held.members,
            enrolled=held.enrolled,
            staked=held.staked,
            escrow_wei=held.escrow_wei,
            bond_wei=held.bond_wei,
            stakes_wei=held.staked.bit_count() * self.terms.stake_wei,
            owed_wei=held.owed_wei,
            credits_wei=sum(held.credits.values()),
            answer_by=held.answer_by if held.charges else 0,
            accused=held.accused,
            answered=self.answered,
            slashed=held.slashed,
            disputes_wei=self.disputes_wei,
        )

    @property
    def answered(self) -> int:
        """Bitmap of the seats accused in the open round that have answered in full."""
        charges = self.storage.charges.items()
        return bitmap_of(seat for seat, charge in charges if charge.answered_polynomials == self.terms.polynomials)

    @property
    def disputes_wei(self) -> int:
        """Ether of disputes: what is left of deposits, the fees of those that have not answered, and what was freed."""
        held = self.storage
        fees = (held.accused & ~self.answered).bit_count()
        deposits_wei = sum(charge.deposit_wei - charge.refunded_wei for charge in held.charges.values())
        return fees * self.terms.accuse_fee_wei + deposits_wei + sum(held.refunds.values())

    def owner_record(self, account: Address) -> OwnerRecord:
        """What is known of `account` as data owner."""
        return self.storage.record(account)

    def members(self) -> tuple[Member, ...]:
        """Members of the present epoch, by seat."""
        held = self.storage
        return tuple(Member(held.seat_owners[seat], seat, held.mask_keys[seat], held.examples[seat]) for seat in bits_of(held.members))

    def group_seats(self, group: int) -> int:
        """Bitmap of the seats of a group of the present epoch; 0 if there is none."""
        held = self.storage
        return held.groups[group] if held.stage in DRAWN and group < len(held.groups) else 0

    def paid_seats(self, round_number: int) -> int:
        """Bitmap of the seats that a finished round pays."""
        return self.storage.payouts.get(round_number, Payout(0)).seats

    def bond_share_wei(self, round_number: int) -> int:
        """What a timed-out round pays on top of the reward."""
        return self.storage.payouts.get(round_number, Payout(0)).share_wei

    def claimable_wei(self, account: Address) -> int:
        """What `account` would get by claiming through the last finished round."""
        return self._due_wei(account, self.storage.finished)

    def _due_wei(self, account: Address, through_round: int) -> int:
        """What the rounds after the owner's cursor, through `through_round`, owe it."""
        record = self.storage.record(account)
        if not record.registered:
            return 0
        payouts = [self.storage.payouts.get(r, Payout(0)) for r in range(record.claimed_through + 1, through_round + 1)]
        return sum(self.terms.reward_wei + payout.share_wei for payout in payouts if payout.seats >> record.seat & 1)

    def commitment_hash(self, digest: bytes) -> bytes:
        """What a data owner signs to commit `digest` in the live round."""
        held = self._live()
        message = Commitment(held.epoch, held.round, held.task_hash, held.open_by, digest)
        return message.signing_hash(chain_id=self.chain_id, market=self.address)

    def delivery_hash(self, projected_digest: bytes) -> bytes:
        """What a data owner signs to deliver in the open round of a projected market."""
        held = self._at(Event.SETTLE)
        message = Delivery(held.epoch, held.round, held.task_hash, held.roster_hash, projected_digest)
        return message.signing_hash(chain_id=self.chain_id, market=self.address)

    def settlement_context(self) -> bytes:
        """What a settlement of the live round is bound to."""
        held = self._live()
        return TaskId(self.chain_id, self.address, held.epoch, held.round, held.task_hash).settlement_context(held.epoch_seed)

    def _live(self) -> Storage:
        if not self.storage.live:
            raise refused("WrongStage", self.storage.stage, bitmap_of((Stage.ANCHORED, Stage.OPEN)))
        return self.storage

    def statement(self, outside: int) -> Statement:
        """What a settlement of the open round must prove, if the groups at the roster positions `outside` take no part."""
        return Statement(
            context=self.settlement_context(),
            roster_hash=self.storage.roster_hash,
            sizes=tuple(seats.bit_count() for seats in self.storage.roster_seats()),
            outside=outside,
            polynomials=self.terms.polynomials_proven,
        )
