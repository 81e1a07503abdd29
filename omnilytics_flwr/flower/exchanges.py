"""The model owner's exchanges with the nodes: ask, check each reply by itself, ask again."""

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
"""Train requests that are kept: after a reorganisation, data owners may have to sign for one of these rounds again."""

TOO_EARLY = OutOfTurn.__name__
"""First word of a data owner's refusal while its chain does not show the round as it was asked about, not yet or no longer."""

MOST_PAUSES = 4
"""Length of the longest wait for nodes that are too early, in pauses of the clock."""

MOST_EARLY_SECONDS = 2 * 64 * 12
"""How long after the opening a node may be too early: two epochs of Ethereum, after which a block is final."""

MOST_SIGNINGS = 2 * KEPT_REQUESTS
"""How often data owners are asked to sign again for one step; the keeper asks once for each round and deadline."""

T = TypeVar("T")


class Exchanges:
    """The grid, None before the first round, and the longest waits for deliveries and for commitments, in seconds."""

    def __init__(self, keeper: RoundKeeper, clock: Clock) -> None:
        self._keeper = keeper
        self._clock = clock
        self._requests: dict[int, RecordDict] = {}
        self._nodes: dict[Address, int] = {}
        self.grid: SteadyGrid | None = None
        self.timeout = self.train_timeout = 3600.0

    def train_messages(self, task: TaskId, content: RecordDict, header: ConfigRecord) -> list[Message]:
        """The messages that ask every node to train a task."""
        self._nodes.clear()
        self._requests[task.round] = RecordDict({**dict(content.items()), RECORD: header})
        for number in sorted(self._requests)[:-KEPT_REQUESTS]:
            del self._requests[number]
        return _messages(self._requests[task.round], self._all_nodes())

    def commit(self, replies: Iterable[Message]) -> None:
        """Give every valid commitment to the keeper; ask nodes again whose chain does not show the task."""
        early = self._collect(replies)
        for times in range(1, MOST_PAUSES):
            if not early:
                return
            self._clock.pause(times)
            self.with_signatures(self._keeper.catch_up)
            seconds = min(self.train_timeout, self._keeper.commit_seconds())
            early = self._collect(self._ask(self._requests[self._keeper.live.task.round], early, seconds))

    def _collect(self, replies: Iterable[Message], round_number: int | None = None) -> list[int]:
        """Give every valid commitment to the keeper; the nodes for which it is too early."""
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
            except Exception as error:  # whatever a reply holds costs its sender alone
                log(WARNING, "\t> node %s sent no valid commitment: %s", node, error)
                continue
            seen.add(commit.owner)
            self._nodes[commit.owner] = node
        log(INFO, "%s data owners committed", len(seen))
        return early

    def deliver(self) -> None:
        """Ask everybody on the roster for its vector, and those who did not deliver once more.

        Data owners wait until the opening is confirmed, so nodes whose chain does not show it are asked again while there is time.
        No exception may escape: an open round that is not settled costs the bond.
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
                if not self._keeper.live.missing() or (asked > 1 and not early):
                    return
                self._clock.pause(min(asked, MOST_PAUSES))
        except Exception as error:
            log(ERROR, "the deliver exchange broke off (%r); the round goes on without those who have not delivered", error)

    def with_signatures(self, step: Callable[[], T]) -> T:
        """Take a step of the keeper; where a round was anchored anew, its data owners first sign their commitments again.

        They do not train again.
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
            log(WARNING, "the request of round %s is not kept any more, so nobody can sign it again", round_number)
            return
        self._collect(self._ask(request, self._all_nodes(), self.train_timeout), round_number)

    def _ask_missing(self, seconds: float) -> int:
        """Ask those who have not delivered; the number of nodes for which it is too early."""
        live = self._keeper.live
        request = DeliverRequest(live.task.chain_id, live.task.market, live.task.epoch, live.task.round, live.digests())
        missing = [member.owner for member in live.missing()]
        nodes = [self._nodes[owner] for owner in missing if owner in self._nodes]
        if len(nodes) < len(missing):  # after a restart it is not known who is where: ask every node that has not delivered
            delivered = {node for owner, node in self._nodes.items() if owner not in missing}
            nodes = [node for node in self._all_nodes() if node not in delivered]
        return sum(self._take(reply) for reply in self._ask(RecordDict({RECORD: request.to_record()}), nodes, seconds))

    def _take(self, reply: Message) -> bool:
        """Take a delivery; whether the node said that it is too early."""
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
        except Exception as error:  # whatever a reply holds costs its sender alone
            log(WARNING, "\t> node %s delivered nothing valid: %s", node, error)
        return False

    def _all_nodes(self) -> list[int]:
        return [] if self.grid is None else list(self.grid.get_node_ids())

    def _ask(self, content: RecordDict, nodes: list[int], seconds: float) -> Iterable[Message]:
        return [] if self.grid is None else self.grid.send_and_receive(_messages(content, nodes), timeout=seconds)


def _messages(content: RecordDict, nodes: Iterable[int]) -> list[Message]:
    return [Message(content, node, MessageType.TRAIN) for node in nodes]


def _is_early(reply: Message) -> bool:
    return (reply.error.reason or "").startswith(TOO_EARLY)


def _metrics_of(content: RecordDict) -> Metrics:
    return {name: dict(record.items()) for name, record in content.metric_records.items()}
