"""The model owner's exchanges with the nodes: ask, check each reply by itself, ask again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import count
from logging import ERROR, INFO, WARNING
from typing import TypeVar

from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from ..clock import Clock
from ..errors import CommitmentsExpired, ProtocolError
from ..market.market_view import MarketState
from ..market.stage import Stage
from ..market.task import TaskId
from ..market.terms import Address
from ..model_owner.live_round import Metrics
from ..model_owner.round_keeper import RoundKeeper
from .compat import log
from .metrics import permitted
from .node_refusals import NodeRefusals, NotDelivered, is_early, is_passing
from .pace import LEAST_DELIVER_PATIENCE_SECONDS, LEAST_PATIENCE_SECONDS, Pace
from .round_log import listed, weighing
from .steady_grid import SteadyGrid
from .wire import RECORD, CommitReply, DeliverReply, DeliverRequest, our_record

KEPT_REQUESTS = 4
"""Train requests that are kept: after a reorganisation, data owners may have to sign for one of these rounds again."""

MOST_PAUSES = 64
"""Longest time until nodes that are too early are asked again, in pauses of the clock; it doubles from one on."""

MOST_DELIVER_PAUSES = 4
"""The same for deliveries, whose requests are short."""

NODE_PAUSES = 10
"""Pauses between two lines that say how many nodes are there yet."""

MOST_EARLY_SECONDS = 2 * 64 * 12
"""How long after the opening a node may be too early: two epochs of Ethereum, after which a block is final."""

MOST_SIGNINGS = 2 * KEPT_REQUESTS
"""How often data owners are asked to sign again for one step; the keeper asks once for each round and deadline."""

T = TypeVar("T")


class Exchanges:
    """The model owner's side of all exchanges.

    Attributes
    ----------
    grid : SteadyGrid or None
        None before the first round.
    timeout, train_timeout : float
        The longest waits for deliveries and for commitments, in seconds.
    asked : tuple of int
        Nodes that were asked to train.
    refusals : NodeRefusals
        Of nodes that replied in this round and did not commit.
    waited : str
        What ended the wait for commitments.
    """

    def __init__(self, keeper: RoundKeeper, clock: Clock) -> None:
        self._keeper = keeper
        self._clock = clock
        self._requests: dict[int, RecordDict] = {}
        self._nodes: dict[Address, int] = {}
        self._early = self._passing = self._told_of_too_few = False
        self._told_epoch = 0
        self._ask_again_at = self._early_until = self._passing_until = math.inf
        self._commit_pace = Pace(clock, LEAST_PATIENCE_SECONDS)
        self._deliver_pace = Pace(clock, LEAST_DELIVER_PATIENCE_SECONDS)
        self.asked: tuple[int, ...] = ()
        self.refusals = NodeRefusals()
        self._not_delivered = NotDelivered()
        self.waited = ""
        self.grid: SteadyGrid | None = None
        self.timeout = self.train_timeout = 3600.0

    def await_nodes(self, seconds: float) -> int:
        """Wait until as many nodes are there as data owners are expected to commit, but no longer than this; how many are there.

        A round that is anchored before they are there is a transaction for nothing.
        """
        expected, start = self._keeper.expected_owners(), self._clock.now()
        looked = 0
        while True:
            there = len(self.nodes())
            if there >= expected:
                return there
            left = start + seconds - self._clock.now()
            if left <= 0:
                log(WARNING, "only %s nodes are there for %s data owners", there, expected)
                return there
            if looked % NODE_PAUSES == 0:
                log(INFO, "%s nodes are there, of %s data owners; waiting for the others, %.0f s at most", there, expected, left)
            self._clock.pause()
            looked += 1

    def train_messages(self, task: TaskId, content: RecordDict, header: ConfigRecord) -> list[Message]:
        """The messages that ask every node to train a task."""
        self._nodes.clear()
        self.refusals.clear()
        self._told_of_too_few = False
        self._commit_pace.begin(self._accepted())
        self._requests[task.round] = RecordDict({**dict(content.items()), RECORD: header})
        for number in sorted(self._requests)[:-KEPT_REQUESTS]:
            del self._requests[number]
        self._limit(self._keeper.commit_seconds(), self._may_open, 1)
        self.asked = tuple(self.nodes())
        log(
            INFO,
            "\t├──> Market round %s: %s nodes train for %s data owners in %s groups; it opens once all groups have committed; if somebody is missing, "
            "in %.0f s at the latest",
            task.round,
            len(self.asked),
            len(self._keeper.live.owners()),
            len(self._keeper.live.groups),
            self._keeper.commit_seconds(),
        )
        if task.epoch != self._told_epoch:
            log(INFO, "\t├──> %s", weighing(self._keeper.live.groups, self._keeper.terms))
            self._told_epoch = task.epoch
        return _messages(self._requests[task.round], self.asked)

    def commit(self, replies: Iterable[Message]) -> None:
        """Give every valid commitment to the keeper, until the round may be opened or its window ends.

        Nodes that have replied without a commitment are asked again meanwhile: their chain may not have shown the task yet, or their agent
        is started again. Those that are silent are waited for all along. Those whose app cannot take part are not asked again in this
        round.
        """
        waiting, overtaken = {} if self.grid is None else self.grid.waiting, False
        for times in count():
            self._collect(replies)
            if self._may_open() or self._keeper.commit_seconds() <= 1 or (self._all_have_refused() and not waiting):
                break
            pauses = min(2**times, MOST_PAUSES)
            self._pause(pauses, self._keeper.commit_seconds())
            if overtaken := self._is_overtaken(self.with_signatures(self._keeper.catch_up)):
                break
            asked = {*self._nodes.values(), *waiting.values(), *self.refusals.for_good}
            seconds = min(self.train_timeout, self._keeper.commit_seconds())
            self._limit(seconds, self._may_open, 2 * pauses)
            request = self._requests[self._keeper.live.task.round]
            replies = self._ask(request, [node for node in self.nodes() if node not in asked], seconds, waiting)
        self.waited = "another process had gone on with the market" if overtaken else self._what_ended_it()
        self._limit(None, lambda: False)

    def _is_overtaken(self, state: MarketState) -> bool:
        """Whether the market is beyond the task that nodes train, which this process has not opened."""
        live = self._keeper.live
        is_elsewhere = state.stage is Stage.OPEN or state.epoch != live.task.epoch
        return not self._keeper.is_open and (live.is_over_in(state) or (is_elsewhere and state.round >= live.task.round))

    def _pause(self, pauses: int, seconds_left: float) -> None:
        """Wait for so many pauses of the clock, but not beyond the end of a window: whoever refuses at once must not make it too late."""
        self._clock.wait(min(pauses * self._clock.poll_seconds, seconds_left))

    def _all_have_refused(self) -> bool:
        """Whether every node that is there has an app that cannot take part."""
        return bool(nodes := set(self.nodes())) and nodes <= self.refusals.for_good

    def _what_ended_it(self) -> str:
        if self._all_have_refused():
            return "all nodes had refused"
        seconds = self._commit_pace.seconds()
        if seconds >= self.train_timeout:
            return f"the time-out of {self.train_timeout:.0f} s for training"
        if self._keeper.commit_seconds() <= 1:
            return f"the end of the commit window of {self._keeper.terms.commit_seconds} s"
        return f"{seconds:.0f} s were over"

    def _may_open(self) -> bool:
        pace = self._commit_pace
        timed_out = pace.seconds() >= self.train_timeout or pace.patience_over()
        if self._keeper.may_open(grace_over=pace.grace_over(), timed_out=timed_out):
            return True
        if timed_out and not self._told_of_too_few:
            self._told_of_too_few = True
            self._tell_of_too_few()
        return False

    def _tell_of_too_few(self) -> None:
        """Say why nobody who is there is enough, for it may take an hour."""
        live, least = self._keeper.live, self._keeper.terms.least_groups
        log(
            WARNING,
            "%s of %s groups are whole. With fewer than %s, a round opens only when its commit window ends, in %.0f s, for poisoners need no "
            "time to train. Missing: %s; an epoch with a group to spare would go on without them",
            len(live.signed_groups()),
            len(live.groups),
            least,
            self._keeper.commit_seconds(),
            listed([owner for owner in live.owners() if owner not in live.commitments]),
        )

    def _may_prove(self) -> bool:
        pace = self._deliver_pace
        return self._keeper.may_prove(grace_over=pace.grace_over(), timed_out=pace.patience_over(), early=self._are_early())

    def _limit(self, seconds: float | None, is_done: Callable[[], bool], pauses: float = math.inf) -> None:
        """End the next exchange early once it is done, or once some nodes were too early and so many pauses are over.

        Whoever is silent must not keep the others from being asked again.
        """
        self._ask_again_at = self._clock.now() + pauses * self._clock.poll_seconds
        self._early = self._passing = False
        if self.grid is not None:
            self.grid.limit(seconds, lambda: is_done() or (self._are_early() and self._clock.now() >= self._ask_again_at))

    def _are_early(self) -> bool:
        """Whether nodes were too early in this exchange, or without their agent, and may still be."""
        now = self._clock.now()
        return (self._early and now < self._early_until) or (self._passing and now < self._passing_until)

    def _accepted(self) -> set[Address]:
        """Data owners whose groups were accepted in the last round."""
        reports = self._keeper.reports
        return {owner for place in reports[-1].accepted for owner in reports[-1].roster[place]} if reports else set()

    def _collect(self, replies: Iterable[Message], round_number: int | None = None) -> None:
        """Give every valid commitment to the keeper."""
        seen: set[Address] = set()
        for reply in replies:
            node = reply.metadata.src_node_id
            if reply.has_error():
                self.refusals.note_error(reply)
                self._early |= is_early(reply)
                continue
            try:
                commit = CommitReply.from_record(our_record(reply.content))
                if commit.owner in seen:
                    raise ProtocolError(f"{commit.owner} has answered already; expected one reply a data owner; the first one counts")
                self._keeper.add_commitment(commit.owner, commit.digest, commit.signature, round_number)
            except Exception as error:  # whatever a reply holds costs its sender alone
                self.refusals.note_invalid(reply, error)
                continue
            seen.add(commit.owner)
            self._nodes[commit.owner] = node
            self.refusals.note_commitment(node)
            self._commit_pace.note(commit.owner)

    def deliver(self) -> None:
        """Ask everybody on the roster for its vector, and whoever does not deliver once more.

        Data owners wait until the opening is confirmed, so nodes whose chain does not show it are asked again while there is time. So are
        those whose agent or node is not there, for as long as one that is silent is waited for.
        No exception may escape: an open round that is not settled costs the bond.
        """
        try:
            self._deliver_pace.begin(self._accepted())
            self._early_until = self._clock.now() + MOST_EARLY_SECONDS
            self._passing_until = self._clock.now() + LEAST_DELIVER_PATIENCE_SECONDS
            self._ask_until_delivered()
        except Exception as error:
            log(ERROR, "the deliver exchange broke off (%r); the round goes on without those who have not delivered", error)
        self._not_delivered.end()
        self._early_until = math.inf
        self._limit(None, lambda: False)

    def _ask_until_delivered(self) -> None:
        """Ask in two halves of the time there is; in each, once those who are silent, and again those who have replied without a vector.

        What was asked before is waited for all along. As long as nodes are early, halves of what is left follow.
        """
        waiting: dict[str, int] = {}
        halves, ends_at = 0, -math.inf
        for asked in count(1):
            self.with_signatures(self._keeper.catch_up)
            seconds = self._keeper.deliver_seconds()
            if asked > 1 and seconds <= 1:
                return
            silent = set(waiting.values())
            if self._clock.now() >= ends_at:
                halves, ends_at = halves + 1, self._clock.now() + min(self.timeout, seconds) / 2
                silent = silent if halves > 2 else set()
            pauses = min(asked, MOST_DELIVER_PAUSES)
            self._limit(None, self._may_prove, pauses)
            self._ask_missing(silent, ends_at - self._clock.now(), waiting)
            is_last = asked > 1 and not self._are_early() and (not waiting or (halves > 1 and self._clock.now() >= ends_at))
            if self._may_prove() or is_last:
                return
            self._pause(pauses, self._keeper.deliver_seconds())

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
        self._ask_again_at = math.inf  # whoever is too early must not cut off the others, who are asked to sign only once
        self._collect(self._ask(request, self.nodes(), self.train_timeout, {}), round_number)

    def _ask_missing(self, silent: set[int], seconds: float, waiting: dict[str, int]) -> None:
        """Ask those who have not delivered, but not those who are `silent`, and take what comes from either."""
        live = self._keeper.live
        request = DeliverRequest(live.task.chain_id, live.task.market, live.task.epoch, live.task.round, live.digests())
        missing = [member.owner for member in live.missing()]
        nodes = [self._nodes[owner] for owner in missing if owner in self._nodes]
        if len(nodes) < len(missing):  # after a restart it is not known who is where: ask every node that has not delivered
            delivered = {node for owner, node in self._nodes.items() if owner not in missing}
            nodes = [node for node in self.nodes() if node not in delivered]
        nodes = [node for node in nodes if node not in silent]
        for reply in self._ask(RecordDict({RECORD: request.to_record()}), nodes, seconds, waiting):
            taken = self._take(reply)
            if not reply.has_error():
                reply.content = RecordDict()  # the next reply may come before this one is gone, and a vector is large
            if taken:  # nothing more is expected from there, should it have been asked twice
                for name in [name for name, node in waiting.items() if node == reply.metadata.src_node_id]:
                    del waiting[name]

    def _take(self, reply: Message) -> bool:
        """Take a delivery; whether it is valid."""
        node = reply.metadata.src_node_id
        if reply.has_error():
            early, passing = is_early(reply), is_passing(reply)
            self._early |= early
            self._passing |= passing
            until = self._early_until if early else self._passing_until if passing else -math.inf
            seconds = min(until - self._clock.now(), self._keeper.deliver_seconds())
            self._not_delivered.note(node, str(reply.error.reason), seconds)
            return False
        try:
            answer = DeliverReply.from_content(reply.content)
            if self._nodes.get(answer.owner, node) != node:
                raise ProtocolError(f"{answer.owner} has committed from another node; expected its delivery from there; ignore this one")
            metrics = self._metrics_of(node, reply.content)
            self._keeper.add_delivery(answer.owner, answer.vector, answer.points, answer.projected, answer.signature, metrics)
            self._nodes[answer.owner] = node
            self._deliver_pace.note(answer.owner)
        except Exception as error:  # whatever a reply holds costs its sender alone
            self._not_delivered.note(node, f"what it sent is not valid: {error}", 0)
            return False
        self._not_delivered.note_delivery(node)
        return True

    def _metrics_of(self, node: int, content: RecordDict) -> Metrics:
        kept, dropped = permitted(content, self._keeper.terms.metrics)
        if dropped:
            log(WARNING, "\t> node %s sent %s, which the terms do not let leave a data owner; it is dropped", node, dropped)
        return {name: dict(record.items()) for name, record in kept.metric_records.items()}

    def nodes(self) -> list[int]:
        """Nodes that are there."""
        return [] if self.grid is None else list(self.grid.get_node_ids())

    def _ask(self, content: RecordDict, nodes: list[int], seconds: float, waiting: dict[str, int]) -> Iterable[Message]:
        """Ask nodes; replies to this and to what is `waiting` already."""
        if self.grid is None:
            return []
        waiting |= self.grid.send(_messages(content, nodes))
        return self.grid.replies(waiting, seconds)


def _messages(content: RecordDict, nodes: Iterable[int]) -> list[Message]:
    return [Message(content, node, MessageType.TRAIN) for node in nodes]
