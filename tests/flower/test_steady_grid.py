"""The steady grid: one bad reply, or a failing call, costs nobody else anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from flwr.app import Context, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from omnilytics_flwr.clock import Clock
from omnilytics_flwr.flower.steady_grid import MOST_FAILURES, PULL_SECONDS, SteadyGrid
from tests.flower.clients import FakeGrid

NODES = (10, 11, 12, 13)


def app() -> ClientApp:
    made = ClientApp()

    @made.train()
    def train(message: Message, context: Context) -> Message:
        return Message(RecordDict({"metrics": MetricRecord({"node": context.node_id})}), reply_to=message)

    return made


class Troubled(FakeGrid):
    """A grid of which some calls fail: those that fetch from nodes that are `undecodable` or send to `unreachable` ones, and the next
    `failing_pulls`; a node's reply is there after `late` looks.
    """

    def __init__(self) -> None:
        super().__init__({node: app() for node in NODES})
        self.undecodable: set[int] = set()
        self.late: dict[int, int] = {}
        self.failing_pulls = 0
        self.unreachable: set[int] = set()
        self.nodes_of: dict[str, int] = {}

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        messages = list(messages)
        if self.unreachable & {message.metadata.dst_node_id for message in messages}:
            raise ConnectionError("cannot send")
        names = list(super().push_messages(messages))
        self.nodes_of |= dict(zip(names, (message.metadata.dst_node_id for message in messages), strict=True))
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        names = list(message_ids)
        if self.failing_pulls:
            self.failing_pulls -= 1
            raise ConnectionError("cannot fetch")
        if self.undecodable & {self.nodes_of[name] for name in names}:
            raise ValueError("cannot decode")
        there = []
        for name in names:
            self.late[self.nodes_of[name]] = self.late.get(self.nodes_of[name], 0) - 1
            if self.late[self.nodes_of[name]] < 0:
                there.append(name)
        return super().pull_messages(there)


def ask(grid: FakeGrid, timeout: float | None = 60.0, limit: float | None = None) -> tuple[list[int], list[float]]:
    """Nodes whose replies came, in their order, and the waits in between."""
    waits: list[float] = []
    steady = SteadyGrid(grid, Clock(waits.append))
    steady.limit(limit)
    messages = [Message(RecordDict(), node, MessageType.TRAIN) for node in NODES]
    replies = steady.send_and_receive(messages, timeout=timeout)
    return [int(reply.content.metric_records["metrics"]["node"]) for reply in replies], waits


def test_reply_that_does_not_decode_costs_only_its_sender() -> None:
    grid = Troubled()
    grid.undecodable = {11}
    found, waits = ask(grid)
    assert found == [10, 12, 13]
    assert len(waits) == MOST_FAILURES - 1, "it is given up long before the time is over"


@pytest.mark.parametrize("failures", [1, 4, 4 * MOST_FAILURES - 4])
def test_calls_that_fail_for_a_while_lose_nothing(failures: int) -> None:
    grid = Troubled()
    grid.failing_pulls = failures
    assert sorted(ask(grid)[0]) == [*NODES]


def test_node_that_cannot_be_sent_to_costs_nobody_else_and_nobody_waits_for_replies_that_are_there() -> None:
    grid = Troubled()
    assert ask(grid) == ([*NODES], [])
    grid.unreachable = {12}
    assert ask(grid) == ([10, 11, 13], [])


def test_replies_come_as_they_are_there_at_the_interval_of_the_grid_itself() -> None:
    grid = Troubled()
    grid.late = {10: 2, 13: 1}
    assert ask(grid) == ([11, 12, 13, 10], [PULL_SECONDS, PULL_SECONDS])
    grid.pull_interval = 0.5  # type: ignore[attr-defined]
    grid.late = {10: 1}
    assert ask(grid)[1] == [0.5]


@pytest.mark.parametrize(("timeout", "looks"), [(0.0, 0), (1.0, 1), (30.0, 10), (31.0, 11)])
def test_waiting_ends_when_the_time_is_over(timeout: float, looks: int) -> None:
    grid = Troubled()
    grid.late = {10: 10**6}
    assert ask(grid, timeout) == ([11, 12, 13], [PULL_SECONDS] * looks)


def test_messages_are_sent_before_replies_are_looked_at() -> None:
    grid = Troubled()
    replies = SteadyGrid(grid, Clock()).send_and_receive([Message(RecordDict(), 10, MessageType.TRAIN)])
    assert len(grid.requests) == 1
    assert len(list(replies)) == 1


def test_replies_that_came_too_late_for_one_exchange_come_in_the_next() -> None:
    grid = Troubled()
    grid.late = {10: 3, 12: 1}
    steady = SteadyGrid(grid, Clock(lambda seconds: None))
    first = list(steady.send_and_receive([Message(RecordDict(), node, MessageType.TRAIN) for node in NODES], timeout=PULL_SECONDS))
    assert (len(first), list(steady.waiting.values())) == (3, [10])
    more = steady.send([Message(RecordDict(), 11, MessageType.TRAIN)])
    replies = list(steady.replies(steady.waiting | more))
    assert sorted(int(reply.content.metric_records["metrics"]["node"]) for reply in replies) == [10, 11]
    assert len(grid.requests) == 5


def test_node_of_a_message_is_right_where_a_grid_leaves_out_what_it_could_not_send() -> None:
    """As Flower's grid for simulations does."""

    class Leaving(Troubled):
        def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
            messages = list(messages)
            for message in messages:
                message.metadata.__dict__["_message_id"] = f"to {message.metadata.dst_node_id}"
            return [message.metadata.message_id for message in messages if message.metadata.dst_node_id != 11]

    sent = SteadyGrid(Leaving(), Clock()).send([Message(RecordDict(), node, MessageType.TRAIN) for node in NODES])
    assert sent == {"to 10": 10, "to 12": 12, "to 13": 13}


def test_nodes_that_the_grid_does_not_name_are_none() -> None:
    def fail() -> Iterable[int]:
        raise ConnectionError("no list")

    grid = Troubled()
    grid.get_node_ids = fail  # type: ignore[method-assign]
    assert SteadyGrid(grid, Clock()).get_node_ids() == []


@pytest.mark.parametrize(
    "call", [lambda grid: grid.run, lambda grid: grid.set_run(None), lambda grid: grid.create_message(RecordDict(), "train", 1, "")]
)
def test_everything_else_is_the_grids_own(call: Callable[[FakeGrid], object]) -> None:
    with pytest.raises(NotImplementedError):
        call(SteadyGrid(Troubled(), Clock()))  # type: ignore[arg-type]
    assert SteadyGrid(Troubled(), Clock()).contexts.keys() == set(NODES)


def test_limit_ends_an_exchange_before_its_timeout() -> None:
    grid = Troubled()
    grid.late = {10: 10**6}
    assert ask(grid, timeout=3600.0, limit=4 * PULL_SECONDS) == ([11, 12, 13], [PULL_SECONDS] * 4)
