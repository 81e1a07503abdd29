"""Calls that help a market along, as good as its state lets them be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from omnilytics_flwr.crypto.curve import POINT_BYTES
from omnilytics_flwr.crypto.digest import points_digest, prove_points
from omnilytics_flwr.market.dispute import BURN_ADDRESS, lapsed, void_groups
from omnilytics_flwr.market.draw import draw_order, epoch_seed, prevrandao_of
from omnilytics_flwr.market.ledger import Ledger
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.messages import Commitment, Delivery
from omnilytics_flwr.market.roster import bitmap_of, bits_of, positions_of, roster_hash, roster_seats
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.terms import Address
from tests.support.builders import MODEL_OWNER, STRANGER, address_of, dictate, make_blobs, make_mask_key, make_points, make_task, sign_hash

Arguments = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """One call of an account (`make_account`), and the seconds, or blocks of one second each, that pass before it.

    Arguments are as the contract takes them: addresses as text, numbers, bytes, tuples of bytes.
    """

    account: int
    function: str
    arguments: Arguments = ()
    value_wei: int = 0
    wait_seconds: int = 0
    mine_blocks: int = 0
    blobs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """What the walk sees: any account's ledger, the number of the next block, and headers of past blocks."""

    ledger: Ledger
    block_number: Callable[[], int]
    header: Callable[[int], bytes]


class Mover:
    """Makes a call of each function, whatever the stage; a market in the right stage mostly takes it. Parameters as `Walk` has them."""

    def __init__(self, random: Random, view: View, num_owners: int, *, may_lapse: bool) -> None:
        self.may_lapse = may_lapse
        self.random = random
        self.view = view
        self.num_owners = num_owners

    def pick(self, wanted: Callable[[int], bool]) -> int:
        """A data owner that is wanted, or any if nobody is."""
        everybody = range(self.num_owners)
        return self.random.choice([number for number in everybody if wanted(number)] or everybody)

    def registered(self, number: int) -> bool:
        return self.view.ledger.owner_record(address_of(number)).registered

    def join(self, state: MarketState) -> Move:
        room = (state.staked | state.slashed | state.members).bit_count() < self.view.ledger.terms().most_owners

        def wanted(number: int) -> bool:
            record = self.view.ledger.owner_record(address_of(number))
            idle = record.registered and not record.leave_at and not state.enrolled >> record.seat & 1
            return idle or (room and not record.registered)

        number = self.pick(wanted)
        due_wei = 0 if self.staked(number) else self.view.ledger.terms().stake_wei
        examples = (2**32 - 1 - state.epoch) // (number + 1) if number % 3 else 0
        return Move(number, "join", (self.view.ledger.terms().digest(), make_mask_key(number, state.epoch + 1), examples, b""), due_wei)

    def leave(self, state: MarketState) -> Move:
        return Move(self.pick(self.registered), "leave")

    def depart(self, state: MarketState) -> Move:
        number = self.pick(lambda number: self.leaving(number) or self.slashed(number))
        leave_at = self.view.ledger.owner_record(address_of(number)).leave_at
        wait_seconds = max(0, leave_at - self.view.ledger.now()) if self.staked(number) else 0
        return Move(self.random.choice([number, STRANGER]), "depart", (address_of(number),), wait_seconds=wait_seconds)

    def claim(self, state: MarketState) -> Move:
        leavers = any(self.leaving(number) and self.behind(number) for number in range(self.num_owners))
        number = self.pick(lambda number: self.behind(number) and (not leavers or self.leaving(number)))
        return Move(self.random.choice([number, STRANGER]), "claim", (address_of(number), state.round))

    def staked(self, number: int) -> bool:
        return bool(self.registered(number) and not self.slashed(number))

    def slashed(self, number: int) -> bool:
        record = self.view.ledger.owner_record(address_of(number))
        return bool(record.registered and self.view.ledger.state().slashed >> record.seat & 1)

    def leaving(self, number: int) -> bool:
        return self.view.ledger.owner_record(address_of(number)).leave_at > 0

    def behind(self, number: int) -> bool:
        record = self.view.ledger.owner_record(address_of(number))
        return record.registered and record.claimed_through < self.view.ledger.state().round

    def freeze(self, state: MarketState) -> Move:
        return Move(MODEL_OWNER, "freeze")

    def draw(self, state: MarketState) -> Move:
        missing_blocks = max(0, state.draw_block + 1 - self.view.block_number())
        if state.stage is not Stage.FROZEN or missing_blocks:
            # Nobody knows the header of a block that is still to come; whoever asks again after it gets it.
            return Move(self.anybody(), "draw", (b"", bytes(bits_of(state.members))), mine_blocks=missing_blocks)
        header = self.view.header(state.draw_block)
        owners = {member.seat: member.owner for member in self.view.ledger.members()}
        order = draw_order(epoch_seed(prevrandao_of(header), state.epoch, self.view.ledger.address), owners)
        return Move(self.anybody(), "draw", (header, bytes(order)))

    def close(self, state: MarketState) -> Move:
        rarely = self.random.random() < 0.1
        lapse = 0
        if rarely and self.may_lapse and state.stage is Stage.FROZEN:
            lapse = max(0, state.draw_block + 8192 - self.view.block_number())
        return Move(MODEL_OWNER if rarely else STRANGER, "close", mine_blocks=lapse)

    def anchor(self, state: MarketState) -> Move:
        return Move(MODEL_OWNER, "anchor", (make_task(state.round + 1),))

    def open(self, state: MarketState) -> Move:
        terms = self.view.ledger.terms()
        count = state.members.bit_count() // terms.group_size
        least = min(count, self.random.choice([1, terms.least_groups, terms.least_groups]))
        wanted = self.random.sample(range(count), self.random.randint(least, count))
        if self.random.random() < 0.75:
            wanted = [group for group in range(count) if not self.view.ledger.group_seats(group) & ~state.staked]
        return self.open_with(state, bitmap_of(wanted))

    def open_with(self, state: MarketState, groups: int) -> Move:
        roster = [self.view.ledger.group_seats(group) for group in bits_of(groups)]
        return Move(MODEL_OWNER, "open", (state.round, groups, roster_hash(groups, self.digests(state, roster))))

    def digests(self, state: MarketState, roster: list[int]) -> tuple[bytes, ...]:
        """Digests of the members of a roster."""
        return tuple(self.digest(state, seat) for seat in roster_seats(roster))

    def sign(self, state: MarketState, owner: Address, digest: bytes, **changes: int) -> bytes:
        """Signature of a commitment."""
        return self._signed(owner, replace(Commitment(state.epoch, state.round, state.task_hash, state.open_by, digest), **changes))  # type: ignore[arg-type]

    def sign_digest(self, state: MarketState, owner: Address, digest: bytes, **changes: int) -> bytes:
        """Signature of what a settlement needs: of a commitment, or in a projected market of a delivery."""
        if not self.view.ledger.terms().projected:
            return self.sign(state, owner, digest, **changes)
        changes = {name: change for name, change in changes.items() if name != "open_by"}
        message = Delivery(state.epoch, state.round, state.task_hash, state.roster_hash, digest)
        return self._signed(owner, replace(message, **changes))  # type: ignore[arg-type]

    def _signed(self, owner: Address, message: Commitment | Delivery) -> bytes:
        ledger = self.view.ledger
        everybody = (*range(self.num_owners), MODEL_OWNER, STRANGER)
        number = next(number for number in everybody if address_of(number) == owner)
        return sign_hash(number, message.signing_hash(chain_id=ledger.chain_id, market=ledger.address))

    def owners(self) -> dict[int, Address]:
        """Members of the present epoch, by seat."""
        return {member.seat: member.owner for member in self.view.ledger.members()}

    def settle(self, state: MarketState) -> Move:
        random, wait_seconds = self.random, self.until_lapse(state)
        void = self.void(state, self.view.ledger.now() + wait_seconds)
        waived = bitmap_of(group for group in bits_of(state.groups) if random.random() < 0.1)
        next_task = make_task(state.round + 1) if random.random() < 0.6 else bytes(32)
        move = self.settle_with(state, positions_of(waived, state.groups) | void, waived, next_task)
        return replace(move, wait_seconds=wait_seconds)

    def settle_with(self, state: MarketState, outside: int, waived: int, next_task: bytes, *, over_bound: int = 0) -> Move:
        """A settlement that the members of all groups have signed but for those at the roster positions `outside`."""
        roster, owners = self.roster(state), self.owners()
        inside = [seats for position, seats in enumerate(roster) if not outside >> position & 1]
        verdict = dictate(self.digests(state, roster), self.distances(len(inside), over_bound=over_bound))
        signed = [self.sign_digest(state, owners[seat], self.digest(state, seat)) for seat in roster_seats(inside)]
        return Move(MODEL_OWNER, "settle", (state.round, verdict, b"".join(signed), waived, next_task))

    def until_lapse(self, state: MarketState) -> int:
        """Seconds to wait with settling: mostly until whoever has not answered has lapsed."""
        if not state.accused & ~state.answered or self.random.random() < 0.2:
            return 0
        return max(0, state.answer_by + 1 - self.view.ledger.now())

    def roster(self, state: MarketState) -> list[int]:
        """Bitmap of the seats of each group of the open roster."""
        return [self.view.ledger.group_seats(group) for group in bits_of(state.groups)]

    def void(self, state: MarketState, now: int) -> int:
        """Roster positions of the groups with a lapsed member at some time."""
        lapsed_seats = lapsed(accused=state.accused, answered=state.answered, answer_by=state.answer_by, now=now)
        return void_groups(self.roster(state), lapsed_seats)

    def accuse(self, state: MarketState) -> Move:
        """Accuse some that are not accused, or anybody; a few wei are left over at times."""
        everybody = roster_seats(self.roster(state))
        fresh = [seat for seat in everybody if not state.accused >> seat & 1] or everybody or (0,)
        seats = self.random.sample(fresh, min(len(fresh), self.random.randint(1, 4)))
        digests, owners, ledger = self.digests(state, self.roster(state)), self.owners(), self.view.ledger
        signed = [self.sign(state, owners[seat], digest) for seat, digest in zip(everybody, digests, strict=True) if seat in seats]
        each_wei = ledger.terms().accuse_fee_wei + ledger.answer_cost_wei()
        value_wei = len(seats) * each_wei + self.random.choice([0, 0, 5, 1_000])
        return Move(MODEL_OWNER, "accuse", (state.round, bitmap_of(seats), digests, b"".join(signed)), value_wei)

    def answer(self, state: MarketState) -> Move:
        """Answer for somebody who should, or for anybody; as much as fits a transaction, or less."""
        open_seats = bits_of(state.accused & ~state.answered) or roster_seats(self.roster(state)) or (0,)
        seat = self.random.choice(open_seats)
        answered = self.view.ledger.accusation(seat).answered_polynomials
        first = max(0, answered - self.random.choice([0, 0, 0, 1]))
        count = min(max(1, self.view.ledger.terms().polynomials - first), 6, self.random.choice([1, 2, 6, 6]))
        return self.answer_with(state, seat, first, count)

    def answer_with(self, state: MarketState, seat: int, first: int, count: int) -> Move:
        """An answer with so many polynomials; the last brings the delivery in a projected market."""
        terms, points = self.view.ledger.terms(), self.points(state, seat)
        delivery = b""
        if terms.projected and first + count == terms.polynomials:
            owner, digest = self.owners().get(seat, address_of(STRANGER)), points_digest(points)
            delivery = digest + self.sign_digest(state, owner, digest)
        shown = points[POINT_BYTES * first : POINT_BYTES * (first + count)]
        proofs = tuple(prove_points(points, first, count))
        blobs = self.blobs(state, seat, first, count)
        return Move(self.anybody(), "answer", (state.round, seat, first, shown, proofs, delivery), blobs=blobs)

    def digest(self, state: MarketState, seat: int) -> bytes:
        """Digest of what the data owner of a seat commits to."""
        return points_digest(self.points(state, seat))

    def points(self, state: MarketState, seat: int) -> bytes:
        """What the data owner of a seat commits to in the live round."""
        return make_points(seat, state.round, self.view.ledger.terms().polynomials)

    def blobs(self, state: MarketState, seat: int, first: int, count: int) -> tuple[bytes, ...]:
        """Polynomials of its vector."""
        return make_blobs(seat, state.round, first, count)

    def distances(self, groups: int, *, over_bound: int = 0) -> list[int]:
        """Random distances, ties among them; `over_bound` groups are certainly too long, one may be."""
        bound = self.view.ledger.terms().norm_bound
        distances = [self.random.choice([0, 7, 7, self.random.randrange(10**6)]) for _ in range(groups * (groups + 1) // 2)]
        if groups and self.random.random() < 0.2:
            over_bound = max(1, over_bound)
        for group in range(min(over_bound, groups)):
            distances[group] = bound * 10**4
        return distances

    def timeout(self, state: MarketState) -> Move:
        wait_seconds = max(0, state.settle_by + 1 - self.view.ledger.now())
        return Move(self.anybody(), "timeout", (state.round,), wait_seconds=wait_seconds)

    def fund(self, state: MarketState) -> Move:
        amount_wei = self.random.choice([0, 1, 5_000, 10_000, 60_000])
        return Move(self.random.choice([MODEL_OWNER, self.anybody()]), "fund", (amount_wei,), amount_wei)

    def withdraw(self, state: MarketState) -> Move:
        account = self.random.choice([address_of(MODEL_OWNER), address_of(self.anybody()), BURN_ADDRESS])
        return Move(self.anybody(), "withdraw", (account,))

    def anybody(self) -> int:
        return self.random.choice([MODEL_OWNER, STRANGER, self.random.randrange(self.num_owners)])
