"""The random walk with real commitments and proofs: data owners deliver all sorts of updates, settlements are honest or forged."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from omnilytics_flwr.crypto.commitment import points_digest
from omnilytics_flwr.crypto.proof import prove
from omnilytics_flwr.crypto.settlement import Settlement
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.roster import bitmap_of, bits_of, positions_of
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import MODEL_OWNER, Scene, make_task
from tests.support.moves import Move, Mover, View
from tests.support.spoilers import Spoiler, Spoilers
from tests.support.walk import Walk

from .deliveries import Part, far, isotropic, masked, near, total, wild
from .forging import COMMON_FORGERIES

FORGERIES_A_MOVE = 3
UNPROVEN = bytes(100)


class ProvenMover(Mover):
    """Opens with digests of real updates, and settles with a proof.

    Parameters
    ----------
    scene : Scene
        The market in memory, which knows the statement to prove.
    """

    def __init__(self, random: Random, view: View, scene: Scene) -> None:
        super().__init__(random, view, scene.num_owners, may_lapse=False)
        self._scene = scene
        self._deliveries: dict[int, Part] = {}
        self._settlements: dict[tuple[int, int], bytes] = {}

    def open_with(self, state: MarketState, groups: int) -> Move:
        digests, signatures = [], []
        owners = {member.seat: member.owner for member in self.view.ledger.members()}
        for group in bits_of(groups):
            seats = bits_of(self.view.ledger.group_seats(group))
            # The updates of a round are the same however often it is tried to be opened.
            parts = masked([self._update(state.round, Random(f"{state.round} {seat}")) for seat in seats])
            self._deliveries |= dict(zip(seats, parts, strict=True))
            for seat, part in zip(seats, parts, strict=True):
                digests.append(points_digest(part.points))
                signatures.append(self.sign(state, owners[seat], digests[-1]))
        return Move(MODEL_OWNER, "open", (state.round, groups, tuple(digests), b"".join(signatures)))

    def settle(self, state: MarketState) -> Move:
        waived = bitmap_of(group for group in bits_of(state.groups) if self.random.random() < 0.1)
        next_task = make_task(state.round + 1) if self.random.random() < 0.6 else bytes(32)
        wait_seconds = self.until_lapse(state)
        settlement = self.settlement(state, self.outside(state, waived, wait_seconds))
        return Move(MODEL_OWNER, "settle", (state.round, settlement, waived, next_task), wait_seconds=wait_seconds)

    def outside(self, state: MarketState, waived: int, wait_seconds: int) -> int:
        """Roster positions of the groups that are waived, or void after a while."""
        return positions_of(waived, state.groups) | self.void(state, self.view.ledger.now() + wait_seconds)

    def settlement(self, state: MarketState, outside: int) -> bytes:
        """The honest settlement of the open round without some roster positions; anything if none is open."""
        if state.stage is not Stage.OPEN:
            return UNPROVEN
        if (state.round, outside) not in self._settlements:
            self._settlements[state.round, outside] = self._prove(state, outside)
        return self._settlements[state.round, outside]

    def taken_apart(self, settlement: bytes, outside: int) -> Settlement:
        """The parts of a settlement of the open round."""
        return Settlement.from_bytes(settlement, self._scene.market.statement(outside))

    def points(self, state: MarketState, seat: int) -> bytes:
        delivery = self._deliveries.get(seat)
        return delivery.points if delivery else super().points(state, seat)

    def blobs(self, state: MarketState, seat: int, first: int, count: int) -> tuple[bytes, ...]:
        delivery = self._deliveries.get(seat)
        return (delivery.vector.to_bytes(),) if delivery else super().blobs(state, seat, first, count)

    def _update(self, round_number: int, random: Random) -> Part:
        """Everybody is honest in the first round; later, out of range is one in forty."""
        kind = random.choices((near, far, wild, isotropic), (1, 0, 0, 0) if round_number == 1 else (75, 3, 1, 1))[0]
        return kind() if kind is far else kind(random.randrange(4))

    def _prove(self, state: MarketState, outside: int) -> bytes:
        statement = self._scene.market.statement(outside)
        parts = [[self._deliveries[seat] for seat in bits_of(self.view.ledger.group_seats(group))] for group in bits_of(state.groups)]
        vectors = [None if statement.is_outside(i) else total(group) for i, group in enumerate(parts)]
        rows = [[points_digest(part.points) if statement.is_outside(i) else part.points for part in group] for i, group in enumerate(parts)]
        return prove(statement, vectors, rows).settlement


class ProvenSpoiler(Spoiler):
    """Spoils settlements by forging them."""

    def __init__(self, mover: ProvenMover) -> None:
        super().__init__(mover)
        self._prover = mover

    def settle(self, move: Move, state: MarketState) -> Spoilers:
        round_number, honest, waived, next_task = move.arguments
        assert isinstance(honest, bytes)
        assert isinstance(waived, int)
        forged = [b"", honest[:-1], honest + b"\0", self._flipped(honest)]
        if state.stage is Stage.OPEN:
            everybody = (1 << state.groups.bit_count()) - 1
            forged.append(self._prover.settlement(state, everybody))
            parts = self._prover.taken_apart(honest, self._prover.outside(state, waived, move.wait_seconds))
            names = self._random.sample(sorted(COMMON_FORGERIES), FORGERIES_A_MOVE if parts.argument else 0)
            forged += [COMMON_FORGERIES[name].change(parts) for name in names]
        others = self._with_arguments(
            (state.round + 1, honest, waived, next_task),
            (round_number, honest, waived ^ state.groups, next_task),
            (round_number, honest, 1 << 200, next_task),
        )
        until_late = max(0, state.settle_by - self._view.ledger.now())
        others.append(lambda move: replace(move, wait_seconds=until_late + self._random.randrange(2)))
        return others + self._with_arguments(*((round_number, raw, waived, next_task) for raw in forged))

    def _flipped(self, honest: bytes) -> bytes:
        """One bit changed."""
        place = self._random.randrange(len(honest))
        return honest[:place] + bytes([honest[place] ^ 1 << self._random.randrange(8)]) + honest[place + 1 :]


class ProvenWalk(Walk):
    """A `Walk` with real commitments and proofs, of a market whose terms fit `tests.contracts.deliveries`."""

    def __init__(self, random: Random, view: View, scene: Scene) -> None:
        super().__init__(random, view, scene.num_owners, may_lapse=False)
        self._mover: ProvenMover = ProvenMover(random, view, scene)
        self._spoiler = ProvenSpoiler(self._mover)
