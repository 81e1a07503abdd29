"""Ways to spoil a call: one thing changed, mostly for the worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from omnilytics_flwr.market.commitment_message import HALF_ORDER
from omnilytics_flwr.market.dispute import accuse_by
from omnilytics_flwr.market.market_view import MarketState
from tests.support.builders import MODEL_OWNER, STRANGER, address_of, dictate
from tests.support.moves import Arguments, Move, Mover
from tests.support.sparse import blob_of

Spoilers = list[Callable[[Move], Move]]
LOW_ORDER_KEY, UNREDUCED_KEY = bytes(32), b"\xee" + b"\xff" * 30 + b"\x7f"
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Spoiler:
    """Spoils the calls of a `Mover`; what applies to one function is the method of its name."""

    def __init__(self, mover: Mover) -> None:
        self._mover = mover
        self._random = mover.random
        self._view = mover.view

    def spoil(self, move: Move, state: MarketState) -> Move:
        """The move with one thing changed."""
        own: Spoilers = getattr(self, move.function)(move, state) if hasattr(self, move.function) else []
        return self._random.choice([self._other_caller, *own])(move)

    def _other_caller(self, move: Move) -> Move:
        return replace(move, account=self._random.choice([*range(self._mover.num_owners), MODEL_OWNER, STRANGER]))

    def join(self, move: Move, state: MarketState) -> Spoilers:
        return [
            lambda move: replace(move, arguments=(LOW_ORDER_KEY, b"")),
            lambda move: replace(move, arguments=(UNREDUCED_KEY, b"")),
            lambda move: replace(move, value_wei=move.value_wei + 1),
            lambda move: replace(move, value_wei=max(0, move.value_wei - 1)),
        ]

    def depart(self, move: Move, state: MarketState) -> Spoilers:
        return [
            lambda move: replace(move, wait_seconds=0),
            lambda move: replace(move, wait_seconds=max(0, move.wait_seconds - 1)),
            *self._with_arguments((address_of(STRANGER),), (address_of(self._random.randrange(self._mover.num_owners)),)),
        ]

    def claim(self, move: Move, state: MarketState) -> Spoilers:
        owner = move.arguments[0]
        return [
            lambda move: replace(move, arguments=(address_of(STRANGER), state.round)),
            lambda move: replace(move, arguments=(owner, 0)),
            lambda move: replace(move, arguments=(owner, max(0, state.round - 1))),
            lambda move: replace(move, arguments=(owner, 2**32 - 1)),
        ]

    def draw(self, move: Move, state: MarketState) -> Spoilers:
        header, order = move.arguments
        assert isinstance(header, bytes)
        assert isinstance(order, bytes)
        foreign = next(seat for seat in range(256) if not state.members >> seat & 1)
        place = self._random.randrange(max(1, len(order) - 1))
        swapped = order[:place] + order[place : place + 2][::-1] + order[place + 2 :]
        orders = (
            order[:-1],
            order + order[-1:],
            order[::-1],
            swapped,
            order[:1] + order[:-1],
            order[:-1] + bytes([foreign]),
        )
        spoilers: Spoilers = [
            lambda move: replace(move, mine_blocks=0),
            lambda move: replace(move, mine_blocks=max(0, move.mine_blocks - 1)),
            lambda move: replace(move, arguments=(self._view.header(self._view.block_number() - 1), order)),
            lambda move: replace(move, arguments=(header[:-1], order)),
            lambda move: replace(move, arguments=(b"", order)),
            *self._with_arguments(*((header, other) for other in orders)),
        ]
        if self._mover.may_lapse and self._random.random() < 0.1:
            spoilers.append(lambda move: replace(move, mine_blocks=8192))
        return spoilers

    def close(self, move: Move, state: MarketState) -> Spoilers:
        return [lambda move: replace(move, mine_blocks=max(0, move.mine_blocks - 1))]

    def anchor(self, move: Move, state: MarketState) -> Spoilers:
        return [lambda move: replace(move, arguments=(bytes(32),))]

    def open(self, move: Move, state: MarketState) -> Spoilers:
        round_number, groups, digests, signatures = move.arguments
        assert isinstance(groups, int)
        assert isinstance(digests, tuple)
        assert isinstance(signatures, bytes)
        until_late = max(0, state.open_by - self._view.ledger.now())
        spoilers: Spoilers = [
            lambda move: replace(move, wait_seconds=until_late),
            lambda move: replace(move, wait_seconds=until_late + 1),
            lambda move: self._mover.open_with(state, groups & (groups - 1)),
            *self._with_arguments(
                (state.round + 1, groups, digests, signatures),
                (max(0, state.round - 1), groups, digests, signatures),
                (round_number, groups | 1 << 200, digests, signatures),
                (round_number, groups & (groups - 1), digests, signatures),
                (round_number, 0, (), b""),
                (round_number, groups, digests[1:], signatures),
                (round_number, groups, (*digests, bytes(32)), signatures),
                (round_number, groups, digests, signatures[:-1]),
                (round_number, groups, digests, signatures + bytes(64)),
                (round_number, groups, digests[::-1], signatures),
            ),
        ]
        if digests:
            place = self._random.randrange(len(digests))
            bad = self._bad_signature(state, digests[place], signatures[64 * place : 64 * place + 64])
            spoiled = signatures[: 64 * place] + bad + signatures[64 * place + 64 :]
            spoilers += 6 * self._with_arguments((round_number, groups, digests, spoiled))
        return spoilers

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
            lambda: self._mover.sign(state, owner, digest, round=state.round + 1),
            lambda: self._mover.sign(state, owner, digest, open_by=state.open_by + 1),
        ]
        return self._random.choice(choices)()

    def settle(self, move: Move, state: MarketState) -> Spoilers:
        round_number, verdict, waived, next_task = move.arguments
        roster = state.groups.bit_count()
        until_late = max(0, state.settle_by - self._view.ledger.now())
        return [
            lambda move: replace(move, wait_seconds=until_late),
            lambda move: replace(move, wait_seconds=until_late + 1),
            *self._with_arguments(
                (state.round + 1, verdict, waived, next_task),
                (max(0, state.round - 1), verdict, waived, next_task),
                (round_number, b"", waived, next_task),
                (round_number, verdict, 1 << 200, next_task),
                (round_number, verdict, state.groups, next_task),
                (round_number, dictate(()), state.groups, next_task),
                (round_number, dictate(self._mover.distances(roster)[1:]), 0, next_task),
                (round_number, dictate([*self._mover.distances(roster), 0]), 0, next_task),
                (round_number, dictate(self._mover.distances(roster, over_bound=2)), 0, next_task),
                (round_number, dictate(self._mover.distances(max(0, roster - 2)), 0b11), 0, next_task),
                (round_number, dictate(self._mover.distances(roster), 1 << roster), 0, next_task),
                (round_number, dictate(self._mover.distances(roster), 1 << 255), 0, next_task),
            ),
        ]

    def accuse(self, move: Move, state: MarketState) -> Spoilers:
        round_number, seats, digests = move.arguments
        assert isinstance(seats, int)
        assert isinstance(digests, tuple)
        until_late = max(0, accuse_by(state.settle_by, self._view.ledger.terms()) - self._view.ledger.now())
        return [
            lambda move: replace(move, wait_seconds=until_late),
            lambda move: replace(move, wait_seconds=until_late + 1),
            lambda move: replace(move, value_wei=0),
            lambda move: replace(move, value_wei=move.value_wei * 2 // 3),
            lambda move: replace(move, value_wei=max(0, move.value_wei - 1_001)),
            *self._with_arguments(
                (state.round + 1, seats, digests),
                (max(0, state.round - 1), seats, digests),
                (round_number, 0, digests),
                (round_number, seats | 1 << 200, digests),
                (round_number, 1 << 255, digests),
                (round_number, seats | state.staked, digests),
                (round_number, seats | state.accused, digests),
                (round_number, seats, digests[1:]),
                (round_number, seats, digests[::-1]),
                (round_number, seats, ()),
            ),
        ]

    def answer(self, move: Move, state: MarketState) -> Spoilers:
        round_number, seat, points, first, count = move.arguments
        assert isinstance(seat, int)
        assert isinstance(points, bytes)
        assert isinstance(first, int)
        assert isinstance(count, int)
        until_late = max(0, state.answer_by - self._view.ledger.now())
        return [
            lambda move: replace(move, wait_seconds=until_late),
            lambda move: replace(move, wait_seconds=until_late + 1),
            lambda move: replace(move, blobs=()),
            lambda move: replace(move, blobs=move.blobs[1:]),
            lambda move: replace(move, blobs=(blob_of(7), *move.blobs[1:])),
            lambda move: replace(move, blobs=move.blobs[::-1]),
            lambda move: replace(move, blobs=(*move.blobs[:5], blob_of(7))),
            *self._with_arguments(
                (state.round + 1, seat, points, first, count),
                (round_number, (seat + 1) % 20, points, first, count),
                (round_number, 255, points, first, count),
                (round_number, seat, points[:-1], first, count),
                (round_number, seat, points + bytes(128), first, count),
                (round_number, seat, points[128:] + points[:128], first, count),
                (round_number, seat, points, first + 1, count),
                (round_number, seat, points, max(0, first - 1), count),
                (round_number, seat, points, first, 0),
                (round_number, seat, points, first, count + 1),
                (round_number, seat, points, first, 2**16 - 1),
            ),
        ]

    def timeout(self, move: Move, state: MarketState) -> Spoilers:
        return [
            lambda move: replace(move, wait_seconds=0),
            lambda move: replace(move, wait_seconds=max(0, move.wait_seconds - 1)),
            *self._with_arguments((state.round + 1,), (max(0, state.round - 1),)),
        ]

    def fund(self, move: Move, state: MarketState) -> Spoilers:
        return [
            lambda move: replace(move, value_wei=move.value_wei + 1),
            *self._with_arguments((2**128,), (2**256 - 1,)),
        ]

    def withdraw(self, move: Move, state: MarketState) -> Spoilers:
        return self._with_arguments((address_of(STRANGER),), (address_of(self._random.randrange(self._mover.num_owners)),))

    def _with_arguments(self, *choices: Arguments) -> Spoilers:
        return [(lambda chosen: lambda move: replace(move, arguments=chosen))(arguments) for arguments in choices]
