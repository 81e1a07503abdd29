"""Checks before an owner agent does anything: on the chain, in the journal, and by the operator's policy."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ..crypto.hashing import keccak256
from ..crypto.masks import Peer, group_hash
from ..errors import OutOfTurn, ProtocolError, Refused, TaskMismatch
from ..market.dispute import lapsed
from ..market.examples import count_of
from ..market.market_view import MarketState, MarketView, Member
from ..market.roster import bits_of, roster_hash, roster_seats
from ..market.stage import Stage
from ..market.task import TaskId
from ..market.terms import ZERO_ADDRESS, Address
from .journal import Entry, Journal
from .owner_keys import OwnerKeys
from .policy import Policy


class TaskChecks:
    """Checks for one data owner in one market; every method raises with a reason if something does not hold."""

    def __init__(self, *, ledger: MarketView, owner: Address, keys: OwnerKeys, journal: Journal, policy: Policy) -> None:
        self._ledger = ledger
        self._owner = owner
        self._keys = keys
        self._journal = journal
        self._policy = policy
        self._drawn: dict[bytes, tuple[int, ...]] = {}

    @property
    def market_id(self) -> str:
        """Name under which mask keys for this market are kept."""
        return f"{self._ledger.chain_id}-{self._ledger.address.lower()}"

    def policy(self) -> None:
        """Check that the operator allows this market, its terms and its verification."""
        self._policy.check_market(self._ledger.chain_id, self._ledger.address)
        self._policy.check_terms(self._ledger.address, self._ledger.terms())
        self._policy.check_sums(self._ledger.address, public=self._ledger.scheme().public_sums)

    def market(self, chain_id: int, market: str) -> None:
        """Check that a request is about this agent's market."""
        if (chain_id, market.lower()) != (self._ledger.chain_id, self._ledger.address.lower()):
            raise Refused(
                f"this agent works for market {self._ledger.address} on chain {self._ledger.chain_id}, "
                f"the request names {market} on {chain_id}; set up an agent for that market if it is wanted"
            )

    def task(self, task: TaskId, event: str) -> MarketState:
        """Check that the operator allows the market, and that the task is the one anchored; `event` is what is asked."""
        self.market(task.chain_id, task.market)
        self.policy()
        state = self._ledger.state()
        if state.stage is not Stage.ANCHORED or (state.epoch, state.round) != (task.epoch, task.round):
            raise out_of_turn(state, f"{event} in round {task.round} of epoch {task.epoch}")
        if state.task_hash != task.task_hash:
            raise TaskMismatch(
                f"round {task.round}: arrays and configuration hash to {task.task_hash.hex()}, "
                f"the market has anchored {state.task_hash.hex()}; somebody changed them on the way, or sends this client "
                f"something else than the others. Nothing was done to {event}"
            )
        return state

    def means(self, state: MarketState) -> None:
        """Check that the model owner can pay everybody, and is in time to open."""
        terms = self._ledger.terms()
        needed = state.members.bit_count() * terms.reward_wei + max(terms.bond_wei - state.bond_wei, 0)
        if state.escrow_wei < needed:
            raise Refused(f"the escrow holds {state.escrow_wei} wei, paying everybody takes {needed}; the model owner must fund it first")
        if self._ledger.now() > state.open_by:
            raise Refused(f"the round had to open by {state.open_by}, now is {self._ledger.now()}; the model owner must anchor it again")

    def stays(self, state: MarketState) -> None:
        """Check that no round of this task could hold a stake that is on its way back: who has given notice takes on nothing new."""
        leave_at, ends_by = self._ledger.owner_record(self._owner).leave_at, state.open_by + self._ledger.terms().round_seconds
        if leave_at and ends_by > leave_at:
            raise Refused(
                f"this data owner leaves and may depart at {leave_at}, round {state.round} may last until {ends_by}; nothing more is "
                "committed, so that its stake is back in time; freeze the next epoch without it"
            )

    def group(self, state: MarketState) -> tuple[Member, ...]:
        """The data owner's group, by seat; each of its mask keys is one member's only, and one's own is in this home."""
        members = self._ledger.members()
        mine = next((member for member in members if member.owner == self._owner), None)
        if mine is None:
            raise Refused(f"{self._owner} is not of epoch {state.epoch}; join, and wait for the next draw")
        group = drawn_group(self._groups(state), members, mine.seat, state)
        keys = [member.mask_key for member in group]
        twice = [member.owner for member in group if keys.count(member.mask_key) > 1]
        if twice:
            raise Refused(f"{' and '.join(twice)} have the same mask key in epoch {state.epoch}; expected one each; join the next epoch")
        self._policy.check_peers(member.owner for member in group if member is not mine)
        self._own_key(mine, state.epoch)
        return group

    def history(self, task: TaskId, group: tuple[Member, ...]) -> None:
        """Check that one more commitment, in this group, is within what the operator allows, and weighs as those before."""
        entries = self._journal.entries()
        counts = {str(owner): count for owner, count in self.counts(group).items()}
        self._count_as_before(entries, {"": counts.pop(self._owner)} | counts)
        self._counts(entries, peers_hash(group))
        seat = next(member.seat for member in group if member.owner == self._owner)
        self._paid(seat, (entry.task.round for entry in reversed(entries) if entry.task.market == task.market))

    def counts(self, group: tuple[Member, ...]) -> dict[Address, int]:
        """What each member of a group counts."""
        usual = self._ledger.terms().usual_examples
        return {member.owner: count_of(member.examples, usual) for member in group}

    def stated(self, examples: int) -> None:
        """Check that the data owner may state so many examples."""
        usual = self._ledger.terms().usual_examples
        self._count_as_before(self._journal.entries(), {"": count_of(examples, usual)})

    def _count_as_before(self, entries: list[Entry], counts: dict[str, int]) -> None:
        """Check counts as `Journal.counts` names them: sums that weigh the same updates otherwise could tell them apart."""
        for who, before in self._journal.counts(entries):
            if counts.get(who, before) != before:
                self._refuse_count(who, counts[who], before)

    def _refuse_count(self, who: str, count: int, before: int) -> None:
        usual = self._ledger.terms().usual_examples
        said = f"counted {before} in earlier commitments, and would count {count} here, where the usual number of examples is {usual}"
        if who:
            raise Refused(
                f"{who}, of this data owner's group, {said}: it states other examples than before, or the node shows what is not on the chain; "
                "have another node looked at, or wait for the next draw"
            )
        raise Refused(
            f"this data set {said}: the two sums could tell its updates; state the examples that it was given before, work in markets with the "
            "same usual number, or make a home with another account for other data"
        )

    def another_epoch(self) -> None:
        """Check that a group and a round more, of an epoch that is not drawn yet, are within what the operator allows."""
        self.policy()
        if self._ledger.terms().admission != ZERO_ADDRESS:
            raise Refused("the market's gate may ask for a credential; enrol with `omnilytics join`, and --admission-data if it does")
        self._counts(self._journal.entries(), b"a group that is not drawn yet")

    def _counts(self, entries: list[Entry], another: bytes) -> None:
        """Check the groups that would have summed the data set, and the rounds that this market would have had, after one more commitment."""
        sets, most = self._journal.peer_sets(entries) | {another}, self._policy.peer_sets_for(self._ledger.terms())
        if len(sets) > most:
            raise Refused(f"policy: these would be {len(sets)} different groups for one data set, at most {most} allowed")
        rounds = sum(entry.task.market.lower() == self._ledger.address.lower() for entry in entries) + 1
        if rounds > self._policy.most_rounds:
            raise Refused(f"policy: this would be round {rounds} of this market, at most {self._policy.most_rounds} allowed")

    def _paid(self, seat: int, committed: Iterator[int]) -> None:
        """Check that the latest rounds in which this data owner committed were not all for nothing."""
        most = self._policy.most_unpaid_rounds
        latest = tuple(islice(committed, most))
        if len(latest) == most and not any(self._ledger.paid_seats(number) >> seat & 1 for number in latest):
            raise Refused(f"policy: the last {most} rounds in which this data owner committed paid it nothing, no more allowed")

    def repeat(self, entry: Entry, task: TaskId, state: MarketState, group: tuple[Member, ...]) -> None:
        """Check that the journal's entry for the round may be signed again: it is for this task, and can still be delivered."""
        if entry.task != task:
            raise Refused(
                f"round {task.round} is already committed for another task; a mask is used once; anchor a task for the next round"
            )
        counted = entry.peer_counts | {self._owner: entry.count}
        if not entry.vector or entry.masks_hash != masks_hash(state, group) or counted != self.counts(group):
            raise Refused(
                f"round {task.round} was committed before the chain was reorganised, for masks or shares that are no longer these; "
                "a mask is used once; anchor a task for the next round"
            )

    def settled_before(self, task: TaskId) -> None:
        """Check that the round before was settled, and paid somebody."""
        before = task.round - 1
        if self._ledger.bond_share_wei(before):
            raise Refused(f"round {task.round}: evaluations follow a settled round, and round {before} timed out")
        if before and not self._ledger.paid_seats(before):  # read from another block than the state, perhaps from one before it
            raise out_of_turn(self._ledger.state(), f"evaluate before round {before} is seen to have paid somebody")
        if not before:
            raise Refused(f"round {task.round}: evaluations follow a settled round, and there is none before it")

    def in_time(self, state: MarketState, seats: int) -> None:
        """Check that a vector of the open round is still of use: nobody among these `seats` has lapsed, and the round can still settle."""
        now = self._ledger.now()
        if now > state.settle_by:
            raise Refused(f"round {state.round} had to settle by {state.settle_by}, now is {now}; nothing was delivered")
        if seats & lapsed(accused=state.accused, answered=state.answered, answer_by=state.answer_by, now=now):
            raise Refused(f"round {state.round}: an accusation in this group has lapsed, so that it takes no part; nothing was delivered")

    def roster(self, state: MarketState, entry: Entry, digests: tuple[bytes, ...]) -> int:
        """Check that the open round's roster has these digests, this data owner's own in its place; the seats of its group, a bitmap."""
        if roster_hash(state.groups, digests) != state.roster_hash:
            raise TaskMismatch("the digests sent do not hash to the roster on chain; nothing was delivered")
        seat = self._ledger.owner_record(self._owner).seat
        drawn = self._groups(state)
        groups = [drawn[number] for number in bits_of(state.groups) if number < len(drawn)]
        seats = roster_seats(groups)
        # The hash alone says nothing of how many digests there should be: a roster may be short of peers.
        if len(digests) != len(seats):
            raise Refused(
                f"round {entry.task.round} was opened with {len(digests)} digests for {len(seats)} members; nothing was delivered"
            )
        if seat not in seats or digests[seats.index(seat)] != entry.digest:
            raise Refused(f"round {entry.task.round} was opened without this data owner's digest; nothing was delivered")
        return next(group for group in groups if group >> seat & 1)

    def _groups(self, state: MarketState) -> tuple[int, ...]:
        """Bitmaps of the seats of all groups of the epoch, which follow from its members and its draw: read once for each draw."""
        known = self._drawn.get(drawn_by(state))
        if known is not None:
            return known
        groups = drawn_groups(self._ledger, state)
        if drawn_by(self._ledger.state()) == drawn_by(state):  # else a reorganisation came between, and these may be another draw's
            self._drawn = {drawn_by(state): groups}
        return groups

    def _own_key(self, mine: Member, epoch: int) -> None:
        own = self._keys.find_mask_key(self.market_id, epoch)
        if own is None or own.public != mine.mask_key:
            raise Refused(
                f"the market lists another mask key for {self._owner} in epoch {epoch} than this home has; "
                "the account has joined from another home, which alone may work in this epoch"
            )
        stated = self._journal.joined_with(self._ledger.chain_id, self._ledger.address, epoch)
        if not stated:
            raise Refused(
                f"the journal of this home knows nothing of epoch {epoch}, which was joined with this home's mask key; it was lost, and a "
                "mask could be used twice; join the next epoch"
            )
        if mine.examples not in stated:
            raise Refused(
                f"the market lists {mine.examples} examples for {self._owner} in epoch {epoch}, which this home has not stated; the node shows "
                "what is not on the chain; have another node looked at"
            )


def drawn_by(state: MarketState) -> bytes:
    """What decides who is in which group; 64 bytes and the epoch."""
    return state.epoch_seed + state.members.to_bytes(32, "big") + str(state.epoch).encode()


def drawn_groups(market: MarketView, state: MarketState) -> tuple[int, ...]:
    """Bitmaps of the seats of all groups of the epoch."""
    return tuple(market.group_seats(number) for number in range(state.members.bit_count() // market.terms().group_size))


def drawn_group(groups: tuple[int, ...], members: tuple[Member, ...], seat: int, state: MarketState) -> tuple[Member, ...]:
    """The members of a seat's group, by seat; `groups` are those of the epoch."""
    for seats in groups:
        if seats >> seat & 1:
            return tuple(member for member in members if seats >> member.seat & 1)
    raise ProtocolError(f"seat {seat} is in no group of epoch {state.epoch}; the market's draw is broken, leave it")


def peers_hash(group: tuple[Member, ...]) -> bytes:
    """The same for the same data owners in every epoch, whatever their keys; 32 bytes."""
    return keccak256(b"".join(sorted(bytes.fromhex(member.owner[2:]) for member in group)))


def masks_hash(state: MarketState, group: tuple[Member, ...]) -> bytes:
    """What the masks of an epoch are made from: the draw's seed, and the group's members with their keys; 32 bytes."""
    return keccak256(state.epoch_seed + group_hash(peers_of(group)))


def peers_of(group: tuple[Member, ...]) -> list[Peer]:
    """A group as masks are made for it."""
    return [Peer(bytes.fromhex(member.owner[2:]), member.mask_key) for member in group]


def out_of_turn(state: MarketState, event: str) -> OutOfTurn:
    """The refusal of an event that the market's stage does not allow, with what it allows instead."""
    takes = {Stage.ANCHORED: ("train", "evaluate"), Stage.OPEN: ("deliver",)}.get(state.stage, ())
    return OutOfTurn(state.stage.name.lower(), event, tuple(f"{name} in round {state.round} of epoch {state.epoch}" for name in takes))
