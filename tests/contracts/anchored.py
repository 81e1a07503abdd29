"""A market with an anchored task and everybody's commitment, for whoever wants to open it wrongly."""

from __future__ import annotations

from dataclasses import dataclass, replace

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.wallet import Wallet
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Address
from tests.support.builders import make_task

from .real import RealMarket

OWNERS, ALL = 16, 0b11111
PLACE = 5
"""The member whose commitment is attacked: the second of the second group."""


@dataclass(frozen=True)
class Anchored:
    """A market with an anchored task and everybody's commitment, in roster order."""

    market: RealMarket
    task: TaskId
    open_by: int
    seats: tuple[int, ...]
    wallets: dict[int, Wallet]
    digests: tuple[bytes, ...]
    signatures: tuple[bytes, ...]

    @property
    def owners(self) -> tuple[Address, ...]:
        return tuple(self.wallets[seat].address for seat in self.seats)

    def sign(self, place: int = PLACE, *, by: Wallet | None = None, digest: bytes | None = None, **changes: object) -> bytes:
        """A commitment of the member at a place with something changed: signer, digest, deadline, or a field of the task."""
        open_by = changes.pop("open_by", self.open_by)
        task = replace(self.task, **changes)  # type: ignore[arg-type]
        assert isinstance(open_by, int)
        return (by or self.wallets[self.seats[place]]).sign_commitment(task, digest or self.digests[place], open_by)

    def open(
        self,
        round_number: int = 1,
        groups: int = ALL,
        digests: tuple[bytes, ...] | None = None,
        signatures: tuple[bytes, ...] | None = None,
    ) -> None:
        self.market.owner.open(
            round_number,
            groups,
            self.digests if digests is None else digests,
            self.signatures if signatures is None else signatures,
        )


def anchor(connection: Connection, deployment: Deployment) -> Anchored:
    """A new market with an anchored task."""
    market = RealMarket.create(connection, deployment, OWNERS).join_and_draw()
    market.owner.anchor(make_task(1))
    digests = tuple(keccak256(b"digest" + word(place)) for place in range(OWNERS))
    seats = tuple(seat for group in market.seats(ALL) for seat in group)
    open_by = market.owner.state().open_by
    return Anchored(market, market.task(), open_by, seats, market.wallets(), digests, market.commitments(ALL, digests))


def put(items: tuple[bytes, ...], place: int, item: bytes) -> tuple[bytes, ...]:
    return (*items[:place], item, *items[place + 1 :])
