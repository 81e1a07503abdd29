"""A random walk through the life of a market: calls that are right, nearly right, and plainly wrong, from one random generator.

The walk reads the market through a `View` and never changes it; whoever asks for moves plays them, on the market in memory or on several
ledgers side by side. Which calls are refused, and how, is for the ledgers to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from omnilytics_flwr.crypto.curve import POINT_BYTES
from omnilytics_flwr.errors import OmnilyticsError
from omnilytics_flwr.market.dispute import accuse_by
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.messages import HALF_ORDER
from omnilytics_flwr.market.roster import roster_seats
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import MODEL_OWNER, STRANGER, Scene, address_of, blob_of, dictate
from tests.support.moves import Arguments, Move, Mover, View

LOW_ORDER_KEY, UNREDUCED_KEY = bytes(32), b"\xee" + b"\xff" * 30 + b"\x7f"
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
FUNCTIONS = (
    *("join", "leave", "depart", "claim", "freeze", "draw", "close"),
    *("anchor", "open", "accuse", "answer", "settle", "timeout", "fund", "withdraw"),
)
GOALS: dict[Stage, dict[str, float]] = {
    Stage.ENROLLING: {"join": 12, "freeze": 2, "fund": 2, "leave": 0.2, "depart": 0.2},
    Stage.FROZEN: {"draw": 8, "join": 2, "fund": 1, "leave": 0.2, "close": 0.1},
    Stage.IDLE: {"anchor": 6, "claim": 2, "join": 4, "fund": 2, "freeze": 2, "leave": 0.5, "depart": 1, "close": 0.1},
    Stage.ANCHORED: {"open": 8, "anchor": 0.5, "claim": 1, "join": 3, "fund": 2, "freeze": 0.5, "leave": 0.2, "depart": 0.5},
    Stage.OPEN: {
        "settle": 6,
        "timeout": 1,
        "accuse": 6,
        "answer": 0.3,
        "claim": 1,
        "join": 3,
        "fund": 1,
        "leave": 0.5,
        "depart": 1,
        "withdraw": 0.5,
    },
    Stage.CLOSED: {"claim": 4, "leave": 2, "depart": 4, "withdraw": 2},
}
"""How often a helpful walker asks for what."""
SPOILED = {"draw": 0.7, "accuse": 0.5, "answer": 0.6}
"""How often a call is spoiled, of those that are asked for seldom."""


def view_of(scene: Scene) -> View:
    """View of a market in memory."""
    return View(scene.ledger(), lambda: scene.world.number, scene.world.header)


def play(scene: Scene, move: Move) -> OmnilyticsError | None:
    """Play a move in memory; what it was refused with, or None."""
    scene.world.mine(move.mine_blocks)
    scene.world.wait(move.wait_seconds)
    try:
        scene.world.send(address_of(move.account), scene.market.address, move.function, move.arguments, move.value_wei, move.blobs)
    except OmnilyticsError as refusal:
        return refusal
    return None


class Walk:
    """Moves without end; `random` decides everything.

    Accounts 0 .. `num_owners` - 1 may become data owners. Unless it `may_lapse`, no 8192 blocks pass until a draw has lapsed: real chains
    take long for it.
    """

    def __init__(self, random: Random, view: View, num_owners: int, *, may_lapse: bool = True) -> None:
        self._random = random
        self._view = view
        self._mover = Mover(random, view, num_owners, may_lapse=may_lapse)
        self._spoiler = Spoiler(self._mover)

    def next_move(self) -> Move:
        """A move: mostly what helps the market along, sometimes any function, and often with something wrong in it."""
        random, state = self._random, self._view.ledger.state()
        goals = self._goals(state)
        function = random.choices(list(goals), list(goals.values()))[0]
        if random.random() < 0.15:
            function = random.choice(FUNCTIONS)
        move: Move = getattr(self._mover, function)(state)
        if random.random() < SPOILED.get(function, 0.3):
            move = self._spoiler.spoil(move, state)
        return move

    def _goals(self, state: MarketState) -> dict[str, float]:
        """How often to ask for what now: a worn-out epoch wants the next, a commitment window that is over another task."""
        terms, goals = self._view.ledger.terms(), dict(GOALS[state.stage])
        if state.stage in (Stage.IDLE, Stage.ANCHORED):
            if state.opened_in_epoch >= terms.rounds_per_epoch or self._whole_groups(state) < terms.least_groups:
                goals |= {"join": 12, "freeze": 3, "anchor": 0.6, "open": 1 if state.stage is Stage.ANCHORED else 0}
            elif state.stage is Stage.ANCHORED and self._view.ledger.now() > state.open_by:
                goals |= {"anchor": 6, "open": 1}
        if state.stage is Stage.OPEN:
            goals |= self._goals_of_open(state)
        if state.disputes_wei:
            goals |= {"withdraw": 1}
        if any(self._mover.leaving(number) for number in range(self._mover.num_owners)):
            goals |= {"claim": 2, "depart": 2}
        most_needed_wei = state.members.bit_count() * terms.reward_wei + terms.bond_wei
        if "fund" in goals and state.escrow_wei < most_needed_wei:
            goals["fund"] = 4
        if "freeze" in goals and state.enrolled.bit_count() < terms.group_size * terms.least_groups:
            goals["freeze"] *= 0.1
        return goals

    def _whole_groups(self, state: MarketState) -> int:
        """Groups of the epoch whose members are all staked."""
        groups = range(state.members.bit_count() // self._view.ledger.terms().group_size)
        return sum(not self._view.ledger.group_seats(group) & ~state.staked for group in groups)

    def _goals_of_open(self, state: MarketState) -> dict[str, float]:
        """How often to ask for what in an open round, by its deadlines."""
        now = self._view.ledger.now()
        if now > state.settle_by:
            return {"timeout": 8, "settle": 1, "accuse": 0.3}
        if state.accused & ~state.answered and now <= state.answer_by:
            return {"answer": 9, "accuse": 2, "settle": 4}
        return {"accuse": 0.3} if now > accuse_by(state.settle_by, self._view.ledger.terms()) else {}


class DisputeWalk(Walk):
    """A walk that stays in open rounds for long, accusing and answering."""

    def _goals(self, state: MarketState) -> dict[str, float]:
        goals = super()._goals(state) | {"close": 0, "leave": 0.1}
        if state.stage is Stage.OPEN:
            pending = state.accused & ~state.answered and self._view.ledger.now() <= state.answer_by
            goals |= {"answer": 20 if pending else 2, "settle": 1.5, "timeout": 0.3, "depart": 0.3}
        return goals


class Spoiler:
    """Spoils the calls of a `Mover` by one change, mostly for the worse; what applies to one function is the method of its name."""

    def __init__(self, mover: Mover) -> None:
        self._mover = mover
        self._random = mover.random
        self._view = mover.view

    def spoil(self, move: Move, state: MarketState) -> Move:
        """The move with one thing changed."""
        other_caller = replace(move, account=self._random.choice([*range(self._mover.num_owners), MODEL_OWNER, STRANGER]))
        own: list[Move] = getattr(self, move.function)(move, state) if hasattr(self, move.function) else []
        return self._random.choice([other_caller, *own])

    def join(self, move: Move, state: MarketState) -> list[Move]:
        terms_hash, mask_key, *rest = move.arguments
        keys = _with(move, (terms_hash, LOW_ORDER_KEY, *rest), (terms_hash, UNREDUCED_KEY, *rest), (bytes(32), mask_key, *rest))
        return [*keys, *(replace(move, value_wei=max(0, move.value_wei + more)) for more in (1, -1))]

    def depart(self, move: Move, state: MarketState) -> list[Move]:
        return [*_sooner(move), *self._with_accounts(move)]

    def claim(self, move: Move, state: MarketState) -> list[Move]:
        owner = move.arguments[0]
        rounds = (0, max(0, state.round - 1), 2**32 - 1)
        return _with(move, (address_of(STRANGER), state.round), *((owner, through) for through in rounds))

    def draw(self, move: Move, state: MarketState) -> list[Move]:
        header, order = move.arguments
        assert isinstance(header, bytes)
        assert isinstance(order, bytes)
        foreign = next(seat for seat in range(256) if not state.members >> seat & 1)
        place = self._random.randrange(max(1, len(order) - 1))
        swapped = order[:place] + order[place : place + 2][::-1] + order[place + 2 :]
        last_twice, first_twice, unknown = order + order[-1:], order[:1] + order[:-1], order[:-1] + bytes([foreign])
        orders = (order[:-1], last_twice, order[::-1], swapped, first_twice, unknown)
        headers = (self._view.header(self._view.block_number() - 1), header[:-1], b"")
        blocks = [0, max(0, move.mine_blocks - 1)]
        if self._mover.may_lapse and self._random.random() < 0.1:
            blocks.append(8192)
        spoiled = _with(move, *((other, order) for other in headers), *((header, other) for other in orders))
        return [*spoiled, *(replace(move, mine_blocks=mined) for mined in blocks)]

    def close(self, move: Move, state: MarketState) -> list[Move]:
        return [replace(move, mine_blocks=max(0, move.mine_blocks - 1))]

    def anchor(self, move: Move, state: MarketState) -> list[Move]:
        return _with(move, (bytes(32),))

    def open(self, move: Move, state: MarketState) -> list[Move]:
        round_number, groups, opened_with = move.arguments
        assert isinstance(groups, int)
        bitmaps = (groups | 1 << 200, groups & (groups - 1), 0)
        spoiled = _with(move, *((round_number, other, opened_with) for other in bitmaps), (round_number, groups, bytes(32)))
        fewer = self._mover.open_with(state, groups & (groups - 1))
        return [*spoiled, fewer, *self._around(move, state.open_by), *_other_rounds(move, state)]

    def _bad_signatures(self, state: MarketState, digests: tuple[bytes, ...], signatures: bytes) -> list[bytes]:
        """Signatures of some of these digests, nearly all good."""
        if not signatures or not digests:
            return [signatures + bytes(64), bytes(1)]
        place = 64 * self._random.randrange(len(signatures) // 64)
        bad = self._bad_signature(state, self._random.choice(digests), signatures[place : place + 64])
        return [signatures[:-1], signatures + bytes(64), *6 * [signatures[:place] + bad + signatures[place + 64 :]]]

    def _bad_signature(self, state: MarketState, digest: bytes, good: bytes) -> bytes:
        """A signature that nobody should take for the data owner's."""
        packed = int.from_bytes(good[32:], "big")
        negated_s = SECP256K1_ORDER - (packed & (1 << 255) - 1)
        owner = address_of(self._random.randrange(self._mover.num_owners))
        choices: list[Callable[[], bytes]] = [
            lambda: bytes(64),
            lambda: b"\xff" * 64,
            lambda: good[:32] + bytes(32),
            lambda: good[:32] + (packed ^ 1 << 255).to_bytes(32, "big"),
            lambda: good[:32] + (HALF_ORDER + 1).to_bytes(32, "big"),
            # The other signature of the pair: its s needs the bit that the parity has here.
            lambda: good[:32] + negated_s.to_bytes(32, "big"),
            lambda: self._mover.sign(state, owner, digest),
            lambda: self._mover.sign_digest(state, owner, digest),
            lambda: self._mover.sign_digest(state, owner, digest, round=state.round + 1),
            lambda: self._mover.sign(state, owner, digest, open_by=state.open_by + 1),
        ]
        return self._random.choice(choices)()

    def settle(self, move: Move, state: MarketState) -> list[Move]:
        round_number, verdict, signatures, waived, next_task = move.arguments
        assert isinstance(signatures, bytes)
        mover, roster = self._mover, self._mover.roster(state)
        digests, distances = mover.digests(state, roster), mover.distances(len(roster))
        verdicts = (
            b"",
            dictate(digests, distances[1:]),
            dictate(digests, [*distances, 0]),
            dictate(digests[1:], distances),
            dictate((*digests, bytes(32)), distances),
            dictate(digests[::-1], distances),
        )
        # With everybody's signatures these fail, if at all, for what is wrong with them.
        everybody = mover.settle_with(state, 0, 0, bytes(32))
        signed = everybody.arguments[2]
        spoiled = _with(
            move,
            (round_number, verdict, signatures, 1 << 200, next_task),
            (round_number, verdict, signatures, state.groups, next_task),
            (round_number, dictate(digests, ()), b"", state.groups, next_task),
            *((round_number, verdict, other, waived, next_task) for other in self._bad_signatures(state, digests, signatures)),
            *((round_number, other, signed, 0, next_task) for other in verdicts),
        )
        too_long = mover.settle_with(state, 0, 0, bytes(32), over_bound=2)
        return [*spoiled, everybody, too_long, *self._around(move, state.settle_by), *_other_rounds(move, state)]

    def accuse(self, move: Move, state: MarketState) -> list[Move]:
        round_number, seats, digests, signatures = move.arguments
        assert isinstance(seats, int)
        assert isinstance(digests, tuple)
        assert isinstance(signatures, bytes)
        bitmaps = (0, seats | 1 << 200, 1 << 255, seats | state.staked, seats | state.accused)
        spoiled = _with(
            move,
            *((round_number, others, digests, signatures) for others in bitmaps),
            *((round_number, seats, others, signatures) for others in (digests[1:], digests[::-1], ())),
            *((round_number, seats, digests, others) for others in self._bad_signatures(state, digests, signatures)),
        )
        for value_wei in (0, move.value_wei * 2 // 3, max(0, move.value_wei - 1_001)):
            spoiled.append(replace(move, value_wei=value_wei))
        return [*spoiled, *self._around(move, accuse_by(state.settle_by, self._view.ledger.terms())), *_other_rounds(move, state)]

    def answer(self, move: Move, state: MarketState) -> list[Move]:
        round_number, seat, first, points, proofs, delivery = move.arguments
        assert isinstance(seat, int)
        assert isinstance(first, int)
        assert isinstance(points, bytes)
        assert isinstance(proofs, tuple)
        assert isinstance(delivery, bytes)
        mover, count = self._mover, len(points) // POINT_BYTES
        foreign, sent = blob_of(7), move.blobs
        blobs = ((), sent[1:], (foreign, *sent[1:]), sent[::-1], (*sent[:5], foreign))
        neighbour = next((other for other in roster_seats(mover.roster(state)) if other != seat), 255)
        strings = (b"", points[:-1], points + bytes(POINT_BYTES), points[POINT_BYTES:] + points[:POINT_BYTES])
        words = ((), proofs[1:], (*proofs, bytes(32)), proofs[::-1], (*proofs[:-1], bytes(32)))
        others = (b"", bytes(96), delivery + b"\0", delivery[:32] + self._bad_signature(state, delivery[:32].ljust(32), bytes(64)))
        spoiled = _with(
            move,
            *((round_number, other, first, points, proofs, delivery) for other in ((seat + 1) % 20, 255)),
            *((round_number, seat, other, points, proofs, delivery) for other in (first + 1, max(0, first - 1), 2**16 - 1)),
            *((round_number, seat, first, other, proofs, delivery) for other in strings),
            *((round_number, seat, first, points, other, delivery) for other in words),
            *((round_number, seat, first, points, proofs, other) for other in others),
            (round_number, seat, *mover.answer_with(state, neighbour, first, count).arguments[2:]),
            (state.round + 1, seat, first, points, proofs, delivery),
        )
        return [*spoiled, *(replace(move, blobs=other) for other in blobs), *self._around(move, state.answer_by)]

    def timeout(self, move: Move, state: MarketState) -> list[Move]:
        return [*_sooner(move), *_other_rounds(move, state)]

    def fund(self, move: Move, state: MarketState) -> list[Move]:
        return [replace(move, value_wei=move.value_wei + 1), *_with(move, (2**128,), (2**256 - 1,))]

    def withdraw(self, move: Move, state: MarketState) -> list[Move]:
        return self._with_accounts(move)

    def _with_accounts(self, move: Move) -> list[Move]:
        return _with(move, (address_of(STRANGER),), (address_of(self._random.randrange(self._mover.num_owners)),))

    def _around(self, move: Move, deadline: int) -> list[Move]:
        """In the last second of a deadline, and in the next."""
        until = max(0, deadline - self._view.ledger.now())
        return [replace(move, wait_seconds=until), replace(move, wait_seconds=until + 1)]


def _with(move: Move, *choices: Arguments) -> list[Move]:
    return [replace(move, arguments=arguments) for arguments in choices]


def _sooner(move: Move) -> list[Move]:
    return [replace(move, wait_seconds=0), replace(move, wait_seconds=max(0, move.wait_seconds - 1))]


def _other_rounds(move: Move, state: MarketState) -> list[Move]:
    """For a call whose first argument is the round."""
    return _with(move, *((number, *move.arguments[1:]) for number in (state.round + 1, max(0, state.round - 1))))
