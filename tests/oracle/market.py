"""A market in memory: the executable specification of the contract.

Its functions are those of `enrolment`, `epochs`, `rounds`, `disputes` and `money`, each written as the contract has it: first all checks, in the
order that its docstring tells, then what changes, then payments. A refusal leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from omnilytics_flwr.crypto.statement import Statement, Verdict
from omnilytics_flwr.errors import TermsError
from omnilytics_flwr.market.commitment_message import Commitment
from omnilytics_flwr.market.draw import epoch_seed
from omnilytics_flwr.market.market_view import Accusation, MarketState, Member, OwnerRecord
from omnilytics_flwr.market.refusals import NotModelOwner, WrongRound, WrongStage
from omnilytics_flwr.market.roster import bitmap_of, bits_of
from omnilytics_flwr.market.stage import ALLOWED, Event, Stage, stages_for
from omnilytics_flwr.market.statement import settlement_context
from omnilytics_flwr.market.terms import ZERO_ADDRESS, Address, Terms

from .header import prevrandao_of
from .round import Step, advance
from .storage import NO_HASH, Storage

if TYPE_CHECKING:
    from .world import World

Gate = Callable[[Address, bytes], bool]
"""Says whether a data owner with these admission data may join."""


class Verification(Protocol):
    """What checks a settlement; the contract's ``IVerification``."""

    def verify(self, statement: Statement, settlement: bytes) -> Verdict:
        """Excluded groups and distances; raises a refusal if anything fails."""

    def check_points(self, points: bytes, polynomials: int) -> bool:
        """Whether a delivery's points would do; raises a refusal for a wrong length."""


@dataclass
class Call:
    """A function call: who sends what, in which world, with which blobs (by versioned hash), and what was logged."""

    world: World
    sender: Address
    value_wei: int
    blob_hashes: tuple[bytes, ...] = ()
    logs: dict[str, dict[str, object]] = field(default_factory=dict)

    @property
    def timestamp(self) -> int:
        """Unix seconds of the call's block."""
        return self.world.timestamp

    def log(self, name: str, **fields: object) -> None:
        """Emit an event of the contract, with the contract's names."""
        self.logs[name] = fields


class MemoryMarket:
    """One market.

    Parameters
    ----------
    address : Address
        Where it is.
    chain_id : int
        EIP-155 chain id that signatures and settlements are bound to.
    model_owner : Address
        Who pays.
    terms : Terms
        Must be in ether.
    verification : Verification
        What checks a settlement.
    gate : Gate, optional
        Who may join; without it everybody.
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
    ) -> None:
        if terms.token != ZERO_ADDRESS:
            raise TermsError(f"a market in memory pays in ether, the terms name the token {terms.token}; use a chain for tokens")
        self.address = address
        self.chain_id = chain_id
        self.model_owner = model_owner
        self.terms = terms
        self.verification = verification
        self.gate = gate
        self.storage = Storage()

    def check_stage(self, event: Event) -> None:
        """The one door: refuse an event that the stage does not allow."""
        stage = self.storage.where.stage
        if event not in ALLOWED[stage]:
            raise WrongStage(stage, stages_for(event))

    def check_model_owner(self, call: Call) -> None:
        """Refuse anybody but the model owner."""
        if call.sender != self.model_owner:
            raise NotModelOwner(call.sender)

    def check_round(self, round_number: int) -> None:
        """Refuse a round that is not the live one."""
        if round_number != self.storage.where.number:
            raise WrongRound(round_number, self.storage.where.number)

    @property
    def stakes_wei(self) -> int:
        """All stakes together."""
        return self.storage.staked.bit_count() * self.terms.stake_wei

    def draw_seed(self, header: bytes) -> bytes:
        """Seed of the present epoch's draw, if `header` is its block's."""
        return epoch_seed(prevrandao_of(header), self.storage.where.epoch, self.address)

    def statement(self, outside: int) -> Statement:
        """What a settlement of the open round must prove, if the groups at the roster positions `outside` do not take part."""
        return Statement(
            context=self.settlement_context(),
            roster_hash=self.storage.roster_hash,
            sizes=tuple(seats.bit_count() for seats in self.storage.roster_seats()),
            outside=outside,
            polynomials=self.terms.polynomials,
            update_bits=self.terms.update_bits,
        )

    def move(self, step: Step) -> None:
        """Go where `step` leads."""
        self.storage.where = advance(self.storage.where, step)

    def state(self) -> MarketState:
        """Everything that changes, but for the owners."""
        held, where = self.storage, self.storage.where
        is_open, is_frozen = where.stage is Stage.OPEN, where.stage is Stage.FROZEN
        return MarketState(
            stage=where.stage,
            epoch=where.epoch,
            round=where.number,
            opened_in_epoch=where.opened_in_epoch,
            open_by=held.open_by if where.live else 0,
            settle_by=held.settle_by if is_open else 0,
            draw_block=held.draw_block if is_frozen else 0,
            task_hash=where.task_hash,
            roster_hash=held.roster_hash if is_open else NO_HASH,
            groups=where.groups,
            epoch_seed=held.epoch_seed if where.drawn else NO_HASH,
            members=held.members,
            enrolled=held.enrolled,
            staked=held.staked,
            escrow_wei=held.escrow_wei,
            bond_wei=held.bond_wei,
            stakes_wei=self.stakes_wei,
            owed_wei=held.owed_wei,
            credits_wei=held.credits_wei,
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
        deposits_wei = sum(charge.left_wei for charge in held.charges.values())
        return fees * self.terms.accuse_fee_wei + deposits_wei + sum(held.refunds.values())

    def accusation(self, seat: int) -> Accusation:
        """The accusation of a seat in the open round; all zeros if there is none."""
        charge = self.storage.charges.get(seat)
        return Accusation(charge.digest, charge.deposit_wei, charge.answered_polynomials) if charge else Accusation(NO_HASH, 0, 0)

    def owner_record(self, account: Address) -> OwnerRecord:
        """What is known of `account` as data owner."""
        return self.storage.record(account)

    def members(self) -> tuple[Member, ...]:
        """Members of the present epoch, by seat."""
        held = self.storage
        return tuple(Member(held.seat_owners[seat], seat, held.mask_keys[seat]) for seat in bits_of(held.members))

    def group_seats(self, group: int) -> int:
        """Bitmap of the seats of a group of the present epoch; 0 if there is none."""
        drawn = self.storage.where.stage in (Stage.IDLE, Stage.ANCHORED, Stage.OPEN)
        return self.storage.groups[group] if drawn and group < len(self.storage.groups) else 0

    def paid_seats(self, round_number: int) -> int:
        """Bitmap of the seats that a finished round pays."""
        payout = self.storage.payouts.get(round_number)
        return payout.seats if payout else 0

    def bond_share_wei(self, round_number: int) -> int:
        """What a timed-out round pays on top of the reward."""
        payout = self.storage.payouts.get(round_number)
        return payout.share_wei if payout else 0

    def due_wei(self, account: Address, through_round: int) -> int:
        """What the rounds after the owner's cursor, through `through_round`, owe it."""
        record = self.storage.record(account)
        if not record.registered:
            return 0
        rounds = range(record.claimed_through + 1, through_round + 1)
        return sum(self.storage.payouts[r].due_wei(record.seat) for r in rounds if r in self.storage.payouts)

    def claimable_wei(self, account: Address) -> int:
        """What `account` would get by claiming through the last finished round."""
        return self.due_wei(account, self.storage.where.finished)

    def commitment_hash(self, digest: bytes) -> bytes:
        """What a data owner signs to commit `digest` in the live round."""
        self._check_live()
        where = self.storage.where
        message = Commitment(where.epoch, where.number, where.task_hash, digest, self.storage.open_by)
        return message.signing_hash(chain_id=self.chain_id, market=self.address)

    def settlement_context(self) -> bytes:
        """What a settlement of the live round is bound to."""
        self._check_live()
        where = self.storage.where
        return settlement_context(
            chain_id=self.chain_id,
            market=self.address,
            epoch_seed=self.storage.epoch_seed,
            epoch=where.epoch,
            round_number=where.number,
            task_hash=where.task_hash,
        )

    def _check_live(self) -> None:
        if not self.storage.where.live:
            raise WrongStage(self.storage.where.stage, bitmap_of((Stage.ANCHORED, Stage.OPEN)))
