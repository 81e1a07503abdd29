"""A random walk through the life of a market: calls that are right, nearly right, and plainly wrong, from one random generator.

The walk reads the market through a `View` and never changes it; whoever asks for moves plays them, on the market in memory or on several
ledgers side by side. Which calls are refused, and how, is for the ledgers to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from omnilytics_flwr.errors import OmnilyticsError
from omnilytics_flwr.market.commitment_message import Commitment
from omnilytics_flwr.market.draw import draw_order, epoch_seed
from omnilytics_flwr.market.ledger import Ledger, MarketState
from omnilytics_flwr.market.memory.header import prevrandao_of
from omnilytics_flwr.market.roster import bitmap_of, bits_of
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.terms import Address
from tests.builders import (
    MODEL_OWNER,
    STRANGER,
    Scene,
    address_of,
    dictate,
    make_digest,
    make_mask_key,
    make_task,
    sign_hash,
)

Arguments = tuple[object, ...]
FUNCTIONS = (
    *("join", "leave", "depart", "claim", "freeze", "draw", "close"),
    *("anchor", "open", "settle", "timeout", "fund", "withdraw"),
)
GOALS: dict[Stage, dict[str, float]] = {
    Stage.ENROLLING: {"join": 12, "freeze": 2, "fund": 2, "leave": 0.3, "depart": 0.2},
    Stage.FROZEN: {"draw": 8, "join": 2, "fund": 1, "leave": 0.3, "close": 0.1},
    Stage.IDLE: {"anchor": 6, "claim": 2, "join": 4, "fund": 2, "freeze": 2, "leave": 0.4, "depart": 1, "close": 0.1},
    Stage.ANCHORED: {"open": 8, "anchor": 0.5, "claim": 1, "join": 3, "fund": 2, "freeze": 0.5, "leave": 0.4, "depart": 0.5},
    Stage.OPEN: {"settle": 6, "timeout": 2, "claim": 1, "join": 3, "fund": 1, "leave": 0.4, "depart": 0.5},
    Stage.CLOSED: {"claim": 4, "leave": 2, "depart": 4, "withdraw": 2},
}
"""How often a helpful walker asks for what."""
LOW_ORDER_KEY, UNREDUCED_KEY = bytes(32), b"\xee" + b"\xff" * 30 + b"\x7f"
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@dataclass(frozen=True, slots=True)
class Move:
    """One call, and what passes before it.

    Attributes
    ----------
    account : int
        Number of the account that sends (`tests.builders.make_account`).
    function : str
        Name of the contract's function.
    arguments : tuple
        As the contract takes them: addresses as text, numbers, bytes, tuples of bytes.
    value_wei : int
        Ether sent along.
    wait_seconds, mine_blocks : int
        Time, and blocks of one second each, that pass before the call's block.
    """

    account: int
    function: str
    arguments: Arguments = ()
    value_wei: int = 0
    wait_seconds: int = 0
    mine_blocks: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """What the walk sees: any account's ledger, the number of the next block, and headers of past blocks."""

    ledger: Ledger
    block_number: Callable[[], int]
    header: Callable[[int], bytes]


def view_of(scene: Scene) -> View:
    """View of a market in memory."""
    return View(scene.ledger(), lambda: scene.world.number, scene.world.header)


def play(scene: Scene, move: Move) -> OmnilyticsError | None:
    """Play a move in memory; what it was refused with, or None."""
    scene.world.mine(move.mine_blocks)
    scene.world.wait(move.wait_seconds)
    try:
        scene.world.send(address_of(move.account), scene.market.address, move.function, move.arguments, move.value_wei)
    except OmnilyticsError as refusal:
        return refusal
    return None


class Walk:
    """Moves without end.

    Parameters
    ----------
    random : Random
        Decides everything.
    view : View
        The market.
    num_owners : int
        The accounts 0 .. num_owners - 1 are those that may become data owners.
    """

    def __init__(self, random: Random, view: View, num_owners: int) -> None:
        self._random = random
        self._view = view
        self._num_owners = num_owners

    def next_move(self) -> Move:
        """A move: mostly what helps the market along, sometimes any function, and often with something wrong in it."""
        random, state = self._random, self._view.ledger.state()
        goals = self._goals(state)
        function = random.choices(list(goals), list(goals.values()))[0]
        if random.random() < 0.15:
            function = random.choice(FUNCTIONS)
        move: Move = getattr(self, f"_{function}")(state)
        if random.random() < 0.3:
            move = self._spoil(move, state)
        return move

    def _goals(self, state: MarketState) -> dict[str, float]:
        """How often to ask for what now: a worn-out epoch wants the next, a commitment window that is over another task."""
        goals = GOALS[state.stage]
        if state.stage in (Stage.IDLE, Stage.ANCHORED):
            terms, staked_members = self._view.ledger.terms(), (state.members & state.staked).bit_count()
            worn_out = state.opened_in_epoch >= terms.rounds_per_epoch or staked_members < 0.8 * state.members.bit_count()
            if worn_out:
                return goals | {"join": 12, "freeze": 3, "anchor": 0.3, "open": 0.3 if state.stage is Stage.ANCHORED else 0}
            if state.stage is Stage.ANCHORED and self._view.ledger.now() > state.open_by:
                return goals | {"anchor": 6, "open": 1}
        return goals

    def _spoil(self, move: Move, state: MarketState) -> Move:
        """The move with one thing changed, mostly for the worse."""
        spoilers = [self._other_caller, *getattr(self, f"_spoil_{move.function}", lambda move, state: [])(move, state)]
        changed: Move = self._random.choice(spoilers)(move)
        return changed

    def _other_caller(self, move: Move) -> Move:
        return replace(move, account=self._random.choice([*range(self._num_owners), MODEL_OWNER, STRANGER]))

    def _pick(self, wanted: Callable[[int], bool]) -> int:
        """A data owner that is wanted, or any if nobody is."""
        everybody = range(self._num_owners)
        return self._random.choice([number for number in everybody if wanted(number)] or everybody)

    def _registered(self, number: int) -> bool:
        return self._view.ledger.owner_record(address_of(number)).registered

    # ------------------------------------------------------------------------------------------------------------ data owners

    def _join(self, state: MarketState) -> Move:
        def wanted(number: int) -> bool:
            record = self._view.ledger.owner_record(address_of(number))
            return not record.registered or (not record.leave_at and not state.enrolled >> record.seat & 1)

        number = self._pick(wanted)
        due_wei = 0 if self._registered(number) else self._view.ledger.terms().stake_wei
        return Move(number, "join", (make_mask_key(number, state.epoch + 1), b""), due_wei)

    def _spoil_join(self, move: Move, state: MarketState) -> list[Callable[[Move], Move]]:
        return [
            lambda move: replace(move, arguments=(LOW_ORDER_KEY, b"")),
            lambda move: replace(move, arguments=(UNREDUCED_KEY, b"")),
            lambda move: replace(move, value_wei=move.value_wei + 1),
            lambda move: replace(move, value_wei=max(0, move.value_wei - 1)),
        ]

    def _leave(self, state: MarketState) -> Move:
        return Move(self._pick(self._registered), "leave")

    def _depart(self, state: MarketState) -> Move:
        number = self._pick(lambda number: self._view.ledger.owner_record(address_of(number)).leave_at > 0)
        leave_at = self._view.ledger.owner_record(address_of(number)).leave_at
        return Move(number, "depart", wait_seconds=max(0, leave_at - self._view.ledger.now()))

    def _spoil_depart(self, move: Move, state: MarketState) -> list[Callable[[Move], Move]]:
        return [
            lambda move: replace(move, wait_seconds=0),
            lambda move: replace(move, wait_seconds=max(0, move.wait_seconds - 1)),
        ]

    def _claim(self, state: MarketState) -> Move:
        number = self._pick(self._behind)
        return Move(self._random.choice([number, STRANGER]), "claim", (address_of(number), state.round))

    def _behind(self, number: int) -> bool:
        record = self._view.ledger.owner_record(address_of(number))
        return record.registered and record.claimed_through < self._view.ledger.state().round

    def _spoil_claim(self, move: Move, state: MarketState) -> list[Callable[[Move], Move]]:
        owner = move.arguments[0]
        return [
            lambda move: replace(move, arguments=(address_of(STRANGER), state.round)),
            lambda move: replace(move, arguments=(owner, 0)),
            lambda move: replace(move, arguments=(owner, max(0, state.round - 1))),
            lambda move: replace(move, arguments=(owner, 2**32 - 1)),
        ]

    # ------------------------------------------------------------------------------------------------------------------ epochs

    def _freeze(self, state: MarketState) -> Move:
        return Move(MODEL_OWNER, "freeze")

    def _draw(self, state: MarketState) -> Move:
        missing_blocks = max(0, state.draw_block + 1 - self._view.block_number())
        if state.stage is not Stage.FROZEN or missing_blocks:
            # Nobody knows the header of a block that is still to come; whoever asks again after it gets it.
            return Move(self._anybody(), "draw", (b"", bytes(bits_of(state.members))), mine_blocks=missing_blocks)
        header = self._view.header(state.draw_block)
        owners = {member.seat: member.owner for member in self._view.ledger.members()}
        order = draw_order(epoch_seed(prevrandao_of(header), state.epoch, self._view.ledger.address), owners)
        return Move(self._anybody(), "draw", (header, bytes(order)))

    def _spoil_draw(self, move: Move, state: MarketState) -> list[Callable[[Move], Move]]:
        header, order = move.arguments
        assert isinstance(header, bytes) and isinstance(order, bytes)
        foreign = next(seat for seat in range(256) if not state.members >> seat & 1)
        place = self._random.randrange(max(1, len(order) - 1))
        swapped = order[:place] + order[place : place + 2][::-1] + order[place + 2 :]
        orders = (order[:-1], order + order[-1:], order[::-1], swapped, order[:1] + order[:-1], order[:-1] + bytes([foreign]))
        spoilers: list[Callable[[Move], Move]] = [
            lambda move: replace(move, mine_blocks=0),
            lambda move: replace(move, mine_blocks=max(0, move.mine_blocks - 1)),
            lambda move: replace(move, arguments=(self._view.header(self._view.block_number() - 1), order)),
            lambda move: replace(move, arguments=(header[:-1], order)),
            lambda move: replace(move, arguments=(b"", order)),
            *((lambda other: lambda move: replace(move, arguments=(header, other)))(other) for other in orders),
        ]
        if self._random.random() < 0.1:
            spoilers.append(lambda move: replace(move, mine_blocks=8192))
        return spoilers

    def _close(self, state: MarketState) -> Move:
        rarely = self._random.random() < 0.1
        lapse = max(0, state.draw_block + 8192 - self._view.block_number()) if rarely and state.stage is Stage.FROZEN else 0
        return Move(MODEL_OWNER if rarely else STRANGER, "close", mine_blocks=lapse)

    def _spoil_close(self, move: Move, state: MarketState) -> list[Callable[[Move], Move]]:
        return [lambda move: replace(move, mine_blocks=max(0, move.mine_blocks - 1))]

    # ------------------------------------------------------------------------------------------------------------------ rounds

    def _anchor(self, state: MarketState) -> Move:
        return Move(MODEL_OWNER, "anchor", (make_task(state.round + 1),))

    def _spoil_anchor(self, move: Move, state: MarketState) -> list[Callable[[Move], Move]]:
        return [lambda move: replace(move, arguments=(bytes(32),))]

    def _open(self, state: MarketState) -> Move:
        terms = self._view.ledger.terms()
        count = state.members.bit_count() // terms.group_size
        least = min(count, terms.least_groups)
        wanted = self._random.sample(range(count), self._random.randint(least, count))
        if self._random.random() < 0.9:
            wanted = [group for group in range(count) if not self._view.ledger.group_seats(group) & ~state.staked]
        return self._open_with(state, bitmap_of(wanted))

    def _open_with(self, state: MarketState, groups: int) -> Move:
        digests, signatures = [], []
        owners = {member.seat: member.owner for member in self._view.ledger.members()}
        for group in bits_of(groups):
            for seat in bits_of(self._view.ledger.group_seats(group)):
                digests.append(make_digest(seat, state.round))
                signatures.append(self._sign(state, owners[seat], digests[-1]))
        return Move(MODEL_OWNER, "open", (state.round, groups, tuple(digests), b"".join(signatures)))

    def _sign(self, state: MarketState, owner: Address, digest: bytes, **changes: int) -> bytes:
        message = replace(Commitment(state.epoch, state.round, state.task_hash, digest, state.open_by), **changes)  # type: ignore[arg-type]
        ledger = self._view.ledger
        number = next(number for number in range(self._num_owners) if address_of(number) == owner)
        return sign_hash(number, message.signing_hash(chain_id=ledger.chain_id, market=ledger.address))

    def _spoil_open(self, move: Move, state: MarketState) -> list[Callable[[Move], Move]]:
        round_number, groups, digests, signatures = move.arguments
        assert isinstance(groups, int) and isinstance(digests, tuple) and isinstance(signatures, bytes)
        until_late = max(0, state.open_by - self._view.ledger.now())
        spoilers: list[Callable[[Move], Move]] = [
            lambda move: replace(move, wait_seconds=until_late),
            lambda move: replace(move, wait_seconds=until_late + 1),
            lambda move: self._open_with(state, groups & (groups - 1)),
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
            for bad in self._bad_signatures(state, digests, signatures[64 * place : 64 * place + 64]):
                spoiled = signatures[: 64 * place] + bad + signatures[64 * place + 64 :]
                spoilers += self._with_arguments((round_number, groups, digests, spoiled))
        return spoilers

    def _bad_signatures(self, state: MarketState, digests: tuple[bytes, ...], good: bytes) -> list[bytes]:
        """Signatures that nobody should take for the one of a data owner."""
        packed = int.from_bytes(good[32:], "big")
        parity, s = packed >> 255, packed & (1 << 255) - 1
        high_s = SECP256K1_ORDER - s
        owner = address_of(self._random.randrange(self._num_owners))
        return [
            bytes(64),
            b"\xff" * 64,
            good[:32] + bytes(32),
            good[:32] + (packed ^ 1 << 255).to_bytes(32, "big"),
            # A high s above 2^255 would look like a parity bit; most are below.
            good[:32] + ((high_s & (1 << 255) - 1) | (1 - parity) << 255).to_bytes(32, "big"),
            self._sign(state, owner, self._random.choice(digests)),
            self._sign(state, owner, digests[0], round=state.round + 1),
            self._sign(state, owner, digests[0], open_by=state.open_by + 1),
        ]

    def _settle(self, state: MarketState) -> Move:
        random, roster = self._random, state.groups.bit_count()
        waived = excluded = 0
        for position, group in enumerate(bits_of(state.groups)):
            if random.random() < 0.1:
                waived |= 1 << group
            elif not excluded and random.random() < 0.15:
                excluded |= 1 << position
        taking_part = roster - waived.bit_count() - excluded.bit_count()
        next_task = make_task(state.round + 1) if random.random() < 0.6 else bytes(32)
        verdict = dictate(self._distances(taking_part), excluded)
        return Move(MODEL_OWNER, "settle", (state.round, verdict, waived, next_task))

    def _distances(self, groups: int, *, over_bound: int = 0) -> list[int]:
        """Random distances, ties among them; `over_bound` groups are certainly too long, one may be."""
        bound = self._view.ledger.terms().norm_bound
        distances = [self._random.choice([0, 7, 7, self._random.randrange(10**6)]) for _ in range(groups * (groups + 1) // 2)]
        if groups and self._random.random() < 0.2:
            over_bound = max(1, over_bound)
        for group in range(min(over_bound, groups)):
            distances[group] = bound * 10**4
        return distances

    def _spoil_settle(self, move: Move, state: MarketState) -> list[Callable[[Move], Move]]:
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
                (round_number, dictate(self._distances(roster)[1:]), 0, next_task),
                (round_number, dictate([*self._distances(roster), 0]), 0, next_task),
                (round_number, dictate(self._distances(roster, over_bound=2)), 0, next_task),
                (round_number, dictate(self._distances(max(0, roster - 2)), 0b11), 0, next_task),
                (round_number, dictate(self._distances(roster), 1 << roster), 0, next_task),
                (round_number, dictate(self._distances(roster), 1 << 255), 0, next_task),
            ),
        ]

    def _timeout(self, state: MarketState) -> Move:
        wait_seconds = max(0, state.settle_by + 1 - self._view.ledger.now())
        return Move(self._anybody(), "timeout", (state.round,), wait_seconds=wait_seconds)

    def _spoil_timeout(self, move: Move, state: MarketState) -> list[Callable[[Move], Move]]:
        return [
            lambda move: replace(move, wait_seconds=0),
            lambda move: replace(move, wait_seconds=max(0, move.wait_seconds - 1)),
            *self._with_arguments((state.round + 1,), (max(0, state.round - 1),)),
        ]

    # ------------------------------------------------------------------------------------------------------------------- money

    def _fund(self, state: MarketState) -> Move:
        amount_wei = self._random.choice([0, 1, 10_000, 40_000])
        return Move(self._random.choice([MODEL_OWNER, self._anybody()]), "fund", (amount_wei,), amount_wei)

    def _spoil_fund(self, move: Move, state: MarketState) -> list[Callable[[Move], Move]]:
        return [
            lambda move: replace(move, value_wei=move.value_wei + 1),
            *self._with_arguments((2**128,), (2**256 - 1,)),
        ]

    def _withdraw(self, state: MarketState) -> Move:
        return Move(self._anybody(), "withdraw", (address_of(MODEL_OWNER),))

    def _spoil_withdraw(self, move: Move, state: MarketState) -> list[Callable[[Move], Move]]:
        return self._with_arguments((address_of(STRANGER),))

    # ----------------------------------------------------------------------------------------------------------------- helpers

    def _anybody(self) -> int:
        return self._random.choice([MODEL_OWNER, STRANGER, self._random.randrange(self._num_owners)])

    def _with_arguments(self, *choices: Arguments) -> list[Callable[[Move], Move]]:
        return [(lambda chosen: lambda move: replace(move, arguments=chosen))(arguments) for arguments in choices]
