"""A market on a local chain with the real verification, its model owner and its data owners."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from omnilytics_flwr.chain.deploy import Deployment, create_market
from omnilytics_flwr.chain.ethereum import EthereumLedger
from omnilytics_flwr.chain.rpc import Connection
from omnilytics_flwr.chain.wallet import Wallet, dev_wallet
from omnilytics_flwr.crypto.commitment import points_digest
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.masks import MaskKey
from omnilytics_flwr.crypto.proof import Statement, prove
from omnilytics_flwr.crypto.settlement import Settlement
from omnilytics_flwr.market.ledger import Receipt
from omnilytics_flwr.market.roster import bitmap_of, bits_of, positions_of
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Address
from tests.builders import make_task, make_terms

from .deliveries import Part, masked, total

DAY = 24 * 3600
ESCROW_WEI = 10**6
NO_TASK = bytes(32)
Update = Callable[[int, int], Part]
"""Update of a member, by the position of its group on the roster and its own place in the group."""


@dataclass(frozen=True)
class OpenRound:
    """An open round as its model owner knows it.

    Attributes
    ----------
    number : int
    groups : int
        Bitmap of the groups on the roster.
    statement : Statement
        With no group outside.
    deliveries : tuple of tuples of Part
        For each roster position, by seat.
    """

    number: int
    groups: int
    statement: Statement
    deliveries: tuple[tuple[Part, ...], ...]

    def settlement(self, waived: int = 0) -> bytes:
        """The honest settlement if these groups are waived."""
        statement = replace(self.statement, outside=positions_of(waived, self.groups))
        vectors = [None if statement.is_outside(i) else total(group) for i, group in enumerate(self.deliveries)]
        return prove(statement, vectors, self.rows(waived)).settlement

    def rows(self, waived: int = 0) -> tuple[tuple[bytes, ...], ...]:
        """Points of the members, or their digests if their group is waived."""
        outside = positions_of(waived, self.groups)
        return tuple(
            tuple(points_digest(part.points) if outside >> i & 1 else part.points for part in group)
            for i, group in enumerate(self.deliveries)
        )

    def taken_apart(self, settlement: bytes, waived: int = 0) -> Settlement:
        """The parts of a settlement."""
        return Settlement.from_bytes(settlement, replace(self.statement, outside=positions_of(waived, self.groups)))


@dataclass(frozen=True)
class RealMarket:
    """A market as all its parties see it: account 0 of the local chain is the model owner, 1 .. n are data owners.

    Attributes
    ----------
    owner : EthereumLedger
        The model owner's.
    data : tuple of EthereumLedger
        The data owners', by their number from 0, which is their seat if they join in order.
    """

    owner: EthereumLedger
    data: tuple[EthereumLedger, ...]

    @classmethod
    def at(cls, connection: Connection, address: Address, num_owners: int) -> RealMarket:
        """The market at an address."""
        ledgers = [EthereumLedger(connection, address, dev_wallet(i, connection)) for i in range(num_owners + 1)]
        return cls(ledgers[0], tuple(ledgers[1:]))

    @classmethod
    def create(cls, connection: Connection, deployment: Deployment, num_owners: int, **changes: object) -> RealMarket:
        """A new market whose windows last days."""
        windows = dict.fromkeys(("commit_seconds", "accuse_seconds", "answer_seconds", "prove_seconds"), DAY)
        terms = make_terms(verification=deployment.verification, **(windows | changes))
        address = create_market(connection, dev_wallet(0, connection), deployment, terms)
        return cls.at(connection, address, num_owners)

    def join_and_draw(self) -> RealMarket:
        """All data owners join, and are drawn into groups; the escrow is filled."""
        for number, ledger in enumerate(self.data):
            ledger.join(mask_key(number))
        self.owner.fund(ESCROW_WEI)
        self.owner.freeze()
        self.owner.draw()
        return self

    @property
    def all_groups(self) -> int:
        """Bitmap of the groups of the epoch."""
        terms = self.owner.terms()
        return (1 << self.owner.state().members.bit_count() // terms.group_size) - 1

    def seats(self, groups: int) -> list[tuple[int, ...]]:
        """Seats of each group of a roster."""
        return [bits_of(self.owner.group_seats(group)) for group in bits_of(groups)]

    def wallets(self) -> dict[int, Wallet]:
        """Who signs for each seat of the epoch."""
        of_address = {ledger.account: ledger.wallet for ledger in self.data}
        return {member.seat: of_address[member.owner] for member in self.owner.members()}

    def task(self) -> TaskId:
        """The live round's task."""
        state = self.owner.state()
        return TaskId(self.owner.chain_id, self.owner.address, state.epoch, state.round, state.task_hash)

    def commitments(self, groups: int, digests: Sequence[bytes]) -> tuple[bytes, ...]:
        """Signatures of all members of a roster under their digests."""
        seats, wallets = [seat for group in self.seats(groups) for seat in group], self.wallets()
        task, open_by = self.task(), self.owner.state().open_by
        return tuple(wallets[s].sign_commitment(task, d, open_by) for s, d in zip(seats, digests, strict=True))

    def open(self, update: Update, *, groups: int | None = None, masks: bool = True, task: bytes | None = None) -> OpenRound:
        """Anchor a task and open the round with all groups, or those named."""
        self.owner.anchor(task or make_task(self.owner.state().round + 1))
        return self.open_anchored(update, groups=groups, masks=masks)

    def open_anchored(self, update: Update, *, groups: int | None = None, masks: bool = True) -> OpenRound:
        """Open the anchored round."""
        chosen = self.all_groups if groups is None else groups
        seats = self.seats(chosen)
        plain = [[update(position, place) for place in range(len(group))] for position, group in enumerate(seats)]
        deliveries = tuple(tuple(masked(group) if masks else group) for group in plain)
        digests = tuple(points_digest(part.points) for group in deliveries for part in group)
        number = self.owner.state().round
        self.owner.open(number, chosen, digests, self.commitments(chosen, digests))
        return OpenRound(number, chosen, self.statement(), deliveries)

    def statement(self) -> Statement:
        """What a settlement of the open round must prove, no group waived."""
        state, terms = self.owner.state(), self.owner.terms()
        return Statement(
            context=self.owner.settlement_context(),
            roster_hash=state.roster_hash,
            sizes=tuple(map(len, self.seats(state.groups))),
            outside=0,
            polynomials=terms.polynomials,
            update_bits=terms.update_bits,
        )

    def settle(self, round_: OpenRound, settlement: bytes | None = None, *, waived: int = 0) -> Receipt:
        """Settle the open round, honestly unless another settlement is given; no next task."""
        return self.owner.settle(round_.number, settlement or round_.settlement(waived), waived, NO_TASK)

    def accepted(self, receipt: Receipt) -> tuple[int, ...]:
        """Groups that a settlement accepted."""
        return bits_of(int(str(receipt.logs["Settled"]["accepted"])))

    def paid_groups(self, round_number: int) -> int:
        """Bitmap of the groups all of whose members a round pays."""
        paid = self.owner.paid_seats(round_number)
        return bitmap_of(i for i in bits_of(self.all_groups) if not self.owner.group_seats(i) & ~paid)


def mask_key(number: int) -> bytes:
    """Public mask key of a data owner."""
    return MaskKey.from_private(keccak256(b"real mask key" + word(number))).public


def mapping_update(by_position: Mapping[int, Part], otherwise: Callable[[int], Part]) -> Update:
    """Updates that depend on the group: the first member of a group in `by_position` sends that, all others what is otherwise."""
    return lambda position, place: by_position[position] if place == 0 and position in by_position else otherwise(place)
