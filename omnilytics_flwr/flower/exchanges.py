"""The model owner's exchanges with the nodes: ask, check every reply on its own, ask again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from logging import ERROR, INFO, WARNING
from typing import TypeVar

from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from ..clock import Clock
from ..errors import CommitmentsExpired, OutOfTurn, ProtocolError
from ..market.task import TaskId
from ..market.terms import Address
from ..model_owner.live_round import Metrics
from ..model_owner.round_keeper import RoundKeeper
from .compat import log
from .steady_grid import SteadyGrid
from .wire import RECORD, CommitReply, DeliverReply, DeliverRequest, our_record

KEPT_REQUESTS = 4
"""Train requests that are kept, in case a reorganisation makes their round be signed for again."""

TOO_EARLY = OutOfTurn.__name__
"""How a data owner's refusal begins if its chain does not show the opened round, yet or any more."""

MOST_PAUSES = 4
"""How many pauses long the longest one is, while nodes are too early."""

MOST_EARLY_SECONDS = 2 * 64 * 12
"""How long after the opening a node may say that it is too early: what two epochs of Ethereum take, after which a block is final."""

MOST_SIGNINGS = 2 * KEPT_REQUESTS
"""How often data owners are asked to sign again before one step; a keeper asks once for each round and deadline."""

T = TypeVar("T")


class Exchanges:
    """The exchanges of a run.

    Parameters
    ----------
    keeper : RoundKeeper
    clock : Clock

    Attributes
    ----------
    grid : SteadyGrid or None
        Where the nodes are; none before the first round.
    timeout, train_timeout : float, > 0
        Seconds that deliveries and commitments are waited for at most.
    """

    def __init__(self, keeper: RoundKeeper, clock: Clock) -> None:
        self._keeper = keeper
        self._clock = clock
        self._requests: dict[int, RecordDict] = {}
        self._nodes: dict[Address, int] = {}
        self.grid: SteadyGrid | None = None
        self.timeout = self.train_timeout = 3600.0

    def train_messages(self, task: TaskId, content: RecordDict, header: ConfigRecord) -> list[Message]:
        """A task for every node."""
        self._nodes.clear()
        self._requests[task.round] = RecordDict({**dict(content.items()), RECORD: header})
        for number in sorted(self._requests)[:-KEPT_REQUESTS]:
            del self._requests[number]
        return self._to_all(self._requests[task.round])

    def commit(self, replies: Iterable[Message]) -> None:
        """Give every valid commitment to the keeper; nodes whose chain does not show the task yet, or any more, are asked again."""
        early = self._collect(replies)
        for times in range(1, MOST_PAUSES):
            if not early:
                return
            self._clock.pause(times)
            self.with_signatures(self._keeper.catch_up)
            request = self._requests[self._keeper.task.round]
            messages = [Message(request, node, MessageType.TRAIN) for node in early]
            early = self._collect(self._ask(messages, min(self.train_timeout, self._keeper.commit_seconds())))

    def _collect(self, replies: Iterable[Message], round_number: int | None = None) -> list[int]:
        """Give every valid commitment to the keeper; nodes for which it is too early."""
        seen: set[Address] = set()
        early = []
        for reply in replies:
            node = reply.metadata.src_node_id
            if reply.has_error():
                log(WARNING, "\t> node %s does not take part: %s", node, reply.error.reason)
                early += [node] * _is_early(reply)
                continue
            try:
                commit = CommitReply.from_record(our_record(reply.content))
                if commit.owner in seen:
                    raise ProtocolError(f"{commit.owner} has answered already; expected one reply a data owner; the first one counts")
                self._keeper.add_commitment(commit.owner, commit.digest, commit.signature, round_number)
            except Exception as error:  # whatever a reply holds, it is its sender's trouble alone
                log(WARNING, "\t> node %s sent no valid commitment: %s", node, error)
                continue
            seen.add(commit.owner)
            self._nodes[commit.owner] = node
        log(INFO, "%s data owners committed", len(seen))
        return early

    def deliver(self) -> None:
        """Ask everybody on the roster for its vector, and those who did not deliver once more; nothing may escape, for the bond is at stake.

        Nodes whose chain does not show the opening yet are asked for as long as there is time: data owners wait until it is confirmed.
        """
        try:
            most = None
            for asked in count(1):
                self.with_signatures(self._keeper.catch_up)
                seconds = self._keeper.deliver_seconds()
                most = seconds if most is None else most
                if asked > 1 and (seconds <= 1 or most - seconds > MOST_EARLY_SECONDS):
                    return
                early = self._ask_missing(min(self.timeout, seconds) / 2)
                if not self._keeper.missing_owners() or (asked > 1 and not early):
                    return
                self._clock.pause(min(asked, MOST_PAUSES))
        except Exception as error:
            log(ERROR, "the deliver exchange broke off (%r); the round goes on without those who have not delivered", error)

    def with_signatures(self, step: Callable[[], T]) -> T:
        """What a step of the keeper gives; if a round was anchored anew, its data owners are first asked to sign again.

        They sign what they have committed to, without training again.
        """
        for _ in range(MOST_SIGNINGS):
            try:
                return step()
            except CommitmentsExpired as expired:
                log(WARNING, "%s", expired)
                self._sign_again(expired.round_number)
        return step()

    def _sign_again(self, round_number: int) -> None:
        request = self._requests.get(round_number)
        if request is None:
            log(WARNING, "the request of round %s is not kept any more, so nobody can be asked", round_number)
            return
        self._collect(self._ask(self._to_all(request), self.train_timeout), round_number)

    def _ask_missing(self, seconds: float) -> int:
        """Ask those who have not delivered; all nodes while it is not known who is where, as after a restart.

        How many answered that it is too early.
        """
        if self.grid is None:
            return 0
        task, ledger = self._keeper.task, self._keeper.ledger
        request = DeliverRequest(ledger.chain_id, ledger.address, task.epoch, task.round, self._keeper.digests())
        missing = self._keeper.missing_owners()
        known = [self._nodes[owner] for owner in missing if owner in self._nodes]
        nodes = known if len(known) == len(missing) else [node for node in self.grid.get_node_ids() if node not in self._delivered()]
        content = RecordDict({RECORD: request.to_record()})
        messages = [Message(content, node, MessageType.TRAIN) for node in nodes]
        return sum(self._take(reply) for reply in self.grid.send_and_receive(messages, timeout=seconds))

    def _take(self, reply: Message) -> bool:
        """Take a delivery; whether it was too early for it."""
        node = reply.metadata.src_node_id
        if reply.has_error():
            log(WARNING, "\t> node %s did not deliver: %s", node, reply.error.reason)
            return _is_early(reply)
        try:
            answer = DeliverReply.from_record(our_record(reply.content))
            if self._nodes.get(answer.owner, node) != node:
                raise ProtocolError(f"{answer.owner} has committed from another node; expected its delivery from there; ignore this one")
            self._keeper.add_delivery(answer.owner, answer.vector, answer.points, _metrics_of(reply.content))
            self._nodes[answer.owner] = node
        except Exception as error:  # whatever a reply holds, it is its sender's trouble alone
            log(WARNING, "\t> node %s delivered nothing valid: %s", node, error)
        return False

    def _delivered(self) -> set[int]:
        missing = self._keeper.missing_owners()
        return {node for owner, node in self._nodes.items() if owner not in missing}

    def _ask(self, messages: list[Message], seconds: float) -> Iterable[Message]:
        return [] if self.grid is None else self.grid.send_and_receive(messages, timeout=seconds)

    def _to_all(self, content: RecordDict) -> list[Message]:
        return [] if self.grid is None else [Message(content, node, MessageType.TRAIN) for node in self.grid.get_node_ids()]


def _is_early(reply: Message) -> bool:
    """Whether a refusal says that the data owner's chain does not show the round like that."""
    return (reply.error.reason or "").startswith(TOO_EARLY)


def _metrics_of(content: RecordDict) -> Metrics:
    return {name: dict(record.items()) for name, record in content.metric_records.items()}
