"""Contract and oracle never differ: both are driven by the same random calls, right, nearly right and wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.prover import prove
from omnilytics_flwr.crypto.settlement import Settlement
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.market.dispute import BURN_ADDRESS
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.roster import bits_of, positions_of
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import MODEL_OWNER, STRANGER, Scene, address_of
from tests.support.moves import Move, Mover, View
from tests.support.walk import DisputeWalk, Spoiler, Walk

from .forging import COMMON_FORGERIES
from .real_market import far, isotropic, masked, near, total, wild
from .twin import Twin

OWNERS = 18
WIDE = {"weights": 20_000, "prove_seconds": 200, "accuse_fee_wei": 77}
"""Three polynomials, so that an answer may come in parts; projected with every other seed."""
HISTORY_BLOCKS = 8191
AFTER_CLOSING = 25


FORGERIES_A_MOVE = 3
UNPROVEN = bytes(100)


class ProvenMover(Mover):
    """Opens with digests of real updates, and settles with a proof of the statement that the scene's market tells."""

    def __init__(self, random: Random, view: View, scene: Scene) -> None:
        super().__init__(random, view, scene.num_owners, may_lapse=False)
        self._scene = scene
        self._deliveries: dict[int, Any] = {}
        self._settlements: dict[tuple[int, int], bytes] = {}

    def open_with(self, state: MarketState, groups: int) -> Move:
        for group in bits_of(groups):
            seats = bits_of(self.view.ledger.group_seats(group))
            # The updates of a round are the same however often it is tried to be opened.
            parts = self._masked([self._update(state.round, Random(f"{state.round} {seat}")) for seat in seats])
            self._deliveries |= dict(zip(seats, parts, strict=True))
        return super().open_with(state, groups)

    def settle_with(self, state: MarketState, outside: int, waived: int, next_task: bytes, *, over_bound: int = 0) -> Move:
        move = super().settle_with(state, outside, waived, next_task, over_bound=over_bound)
        round_number, _, *others = move.arguments
        return replace(move, arguments=(round_number, self.settlement(state, outside), *others))

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

    def _update(self, round_number: int, random: Random) -> Any:
        """Everybody is honest in the first round; later, one in forty is out of range, which only the model owner sees."""
        kind = random.choices((near, far, wild, isotropic), (1, 0, 0, 0) if round_number == 1 else (75, 3, 1, 1))[0]
        return kind() if kind is far else kind(random.randrange(4))

    def _masked(self, updates: list[Any]) -> list[Any]:
        """Deliveries of a group."""
        return list(masked(updates))

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

    def settle(self, move: Move, state: MarketState) -> list[Move]:
        round_number, honest, signatures, waived, next_task = move.arguments
        assert isinstance(honest, bytes)
        assert isinstance(signatures, bytes)
        assert isinstance(waived, int)
        forged = [b"", honest[:-1], honest + b"\0", self._flipped(honest)]
        if state.stage is Stage.OPEN:
            everybody = (1 << state.groups.bit_count()) - 1
            forged.append(self._prover.settlement(state, everybody))
            forged += self._forged(honest, self._prover.outside(state, waived, move.wait_seconds))
        digests = self._prover.digests(state, self._prover.roster(state))
        others = [
            (state.round + 1, honest, signatures, waived, next_task),
            (round_number, honest, signatures, waived ^ state.groups, next_task),
            (round_number, honest, signatures, 1 << 200, next_task),
            *((round_number, raw, signatures, waived, next_task) for raw in forged),
            *((round_number, honest, other, waived, next_task) for other in self._bad_signatures(state, digests, signatures)),
        ]
        return [*(replace(move, arguments=arguments) for arguments in others), *self._around(move, state.settle_by)]

    def _forged(self, honest: bytes, outside: int) -> list[bytes]:
        """Forgeries of the settlement of the open round without these positions."""
        parts = self._prover.taken_apart(honest, outside)
        names = self._random.sample(sorted(COMMON_FORGERIES), FORGERIES_A_MOVE if parts.argument else 0)
        return [COMMON_FORGERIES[name].change(parts) for name in names]

    def _flipped(self, honest: bytes) -> bytes:
        """One bit changed."""
        place = self._random.randrange(len(honest))
        return honest[:place] + bytes([honest[place] ^ 1 << self._random.randrange(8)]) + honest[place + 1 :]


class ProvenWalk(Walk):
    """A `Walk` with real commitments and proofs, of a market whose terms fit `tests.contracts.real_market`."""

    def __init__(self, random: Random, view: View, scene: Scene) -> None:
        super().__init__(random, view, scene.num_owners, may_lapse=False)
        self._mover: ProvenMover = ProvenMover(random, view, scene)
        self._spoiler = ProvenSpoiler(self._mover)


def wind_up(twin: Twin, mover: Mover) -> None:
    """End the market from wherever it is; everybody takes out what is theirs, and only what was forced in is left."""
    for stage, move in {Stage.OPEN: mover.timeout, Stage.FROZEN: mover.draw}.items():
        # A draw may have to wait for its block first.
        for _ in range(2):
            if twin.scene.state.stage is stage:
                twin.play(move(twin.scene.state))
    if twin.scene.state.stage is not Stage.CLOSED:
        twin.do(Move(MODEL_OWNER, "close"))
    for number in twin.numbers:
        record = twin.scene.ledger().owner_record(address_of(number))
        if number % 2 and record.registered and record.claimed_through < twin.scene.state.round:
            twin.do(Move(STRANGER, "claim", (address_of(number), 2**32 - 1)))
        if record.registered:
            wait_seconds = 0
            if not mover.slashed(number):
                if not record.leave_at:
                    twin.do(Move(number, "leave"))
                wait_seconds = twin.scene.ledger().owner_record(address_of(number)).leave_at - twin.scene.ledger().now()
            twin.do(Move(STRANGER, "depart", (address_of(number),), wait_seconds=max(0, wait_seconds)))
    for account in (*map(address_of, twin.numbers), BURN_ADDRESS):
        outcome = twin.play(Move(STRANGER, "withdraw", (account,)))
        assert outcome.refusal is None or outcome.refusal[0] == "NoCredit"
    twin.assert_equal_and_solvent()
    assert twin.connection.balance_wei(twin.scene.market.address) == twin.forced_wei


def walk(twin: Twin, walk: Walk, random: Random, steps: int) -> Counter[str]:
    """Play random moves and compare after each, until a while after the market is closed; how often what was refused, "" for success."""
    outcomes: Counter[str] = Counter()
    afterwards = AFTER_CLOSING
    while outcomes.total() < steps and afterwards:
        if random.random() < 0.05:
            twin.force(random.randrange(10**6))
        outcome = twin.play(walk.next_move())
        outcomes[outcome.refusal[0] if outcome.refusal else ""] += 1
        twin.assert_equal_and_solvent()
        afterwards -= twin.scene.state.stage is Stage.CLOSED
    return outcomes


def lives(anvil: Anvil, deployment: Deployment, kind: type[Walk], seed: int, steps: int) -> Counter[str]:
    """Random lives of markets, one after the other."""
    outcomes, random = Counter[str](), Random(seed)
    while outcomes.total() < steps:
        proven = kind is ProvenWalk
        terms = {"accuse_fee_wei": 77} if proven else WIDE | {"projected": seed % 2 == 1}
        twin = Twin(anvil, deployment, OWNERS, proven=proven, outlier_percent=(200, 125, 0)[seed % 3], **terms)
        mover = ProvenMover(random, twin.view, twin.scene) if proven else Mover(random, twin.view, OWNERS, may_lapse=False)
        twin.open_a_round(mover, num_owners=16, escrow_wei=200_000)
        if proven:
            twin.do(mover.settle(twin.scene.state))
        walker = ProvenWalk(random, twin.view, twin.scene) if proven else kind(random, twin.view, OWNERS, may_lapse=False)
        outcomes += walk(twin, walker, random, steps - outcomes.total())
        wind_up(twin, mover)
    return outcomes


WALKS: list[tuple[type[Walk], range, int, int, int]] = [
    (Walk, range(3), 120, 30, 5),
    (DisputeWalk, range(2), 100, 30, 8),
    (ProvenWalk, range(2), 45, 10, 3),
]
LONG_WALKS = [(Walk, range(100, 106), 800, 30, 12), (DisputeWalk, range(100, 104), 800, 30, 15), (ProvenWalk, range(100, 103), 400, 10, 8)]
"""Kind of walk, seeds, steps, and more than how many calls are taken, and kinds of outcomes seen, with each seed."""


@pytest.mark.parametrize(
    ("kind", "seed", "steps", "taken", "outcomes"),
    [
        *(pytest.param(w[0], seed, *w[2:], id=f"{w[0].__name__}-{seed}") for w in WALKS for seed in w[1]),
        *(pytest.param(w[0], seed, *w[2:], id=f"{w[0].__name__}-{seed}", marks=pytest.mark.slow) for w in LONG_WALKS for seed in w[1]),
    ],
)
def test_random_walk_never_differs(
    free_anvil: Anvil, deployment: Deployment, kind: type[Walk], seed: int, steps: int, taken: int, outcomes: int
) -> None:
    seen = lives(free_anvil, deployment, kind, seed, steps)

    assert seen[""] > taken
    assert len(seen) > outcomes


def test_ether_sent_by_a_contract_that_ends_itself_changes_nothing_but_the_balance(free_anvil: Anvil, deployment: Deployment) -> None:
    twin = Twin(free_anvil, deployment, OWNERS)
    twin.open_a_round(Mover(Random(1), twin.view, OWNERS, may_lapse=False))
    before, market = twin.scene.state, twin.scene.market.address

    twin.end_a_contract(777)

    assert (twin.forced_wei, twin.connection.balance_wei(market)) == (777, twin.scene.world.balances[market])
    twin.assert_equal_and_solvent()
    assert twin.scene.state == before


@pytest.mark.parametrize("late", [False, True])
def test_draw_and_close_at_the_end_of_history_never_differ(free_anvil: Anvil, deployment: Deployment, late: bool) -> None:
    twin = Twin(free_anvil, deployment, OWNERS)
    mover = Mover(Random(1), twin.view, OWNERS, may_lapse=False)
    assert any(stage is Stage.FROZEN for stage in twin.life(mover))
    draw_block = twin.scene.state.draw_block
    twin.play(mover.draw(twin.scene.state))
    draw, close = mover.draw(twin.scene.state), Move(STRANGER, "close")
    last = draw_block + HISTORY_BLOCKS

    outcomes = [twin.ask(move, number=last + late) for move in (draw, close)]

    drawn = ("DrawLapsed", (last + 1, draw_block)) if late else None
    closed = None if late else ("TooEarly", (last, last + 1))
    assert outcomes == [drawn, closed]
