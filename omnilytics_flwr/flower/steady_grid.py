"""A grid on which no node's reply depends on another node, and no failure ends a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from logging import ERROR, WARNING
from typing import Any

from flwr.app import Message, RecordDict

from ..clock import Clock
from .compat import Grid, log

PULL_SECONDS = 3.0
"""Between two looks for replies, unless the grid has an interval of its own."""

MOST_FAILURES = 3
"""How often fetching one reply may fail before it is given up."""


MOST_LOOKS = 16
"""How often a strategy may ask for the nodes before it counts as waiting for some that are not there."""


class NodesAreGone(Exception):
    """A strategy waits for more nodes than there are, at a time when it must not wait."""


class SteadyGrid(Grid):
    """Wraps a grid: replies are fetched one by one and handed on as they come, and what fails is left out.

    Flower's own `send_and_receive` fetches all replies that are there in one call, which one that does not decode makes fail
    for all. Everything that is asked for can be asked again, so a reply that is lost costs no more than its sender's part in the round.
    """

    def __init__(self, grid: Grid, clock: Clock) -> None:
        self._grid = grid
        self._clock = clock
        self._most_seconds: float | None = None
        self._is_enough: Callable[[], bool] = lambda: False
        self.waiting: dict[str, int] = {}
        """Messages of the last `send_and_receive` whose replies have not come, with their nodes."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grid, name)

    def limit(self, seconds: float | None, is_enough: Callable[[], bool] = lambda: False) -> None:
        """Let no exchange from now on take longer than this, whatever timeout it is given; None for no limit.

        Parameters
        ----------
        is_enough : callable (default: never)
            Asked between two looks for replies; no more are waited for once it says so.
        """
        self._most_seconds, self._is_enough = seconds, is_enough

    def set_run(self, run: Any) -> None:
        """Set the run."""
        self._grid.set_run(run)

    @property
    def run(self) -> Any:
        """The run."""
        return self._grid.run

    def create_message(self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None) -> Message:
        """Make a message; deprecated by Flower."""
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Nodes that are there; none if the grid does not say."""
        try:
            return list(self._grid.get_node_ids())
        except Exception as error:
            log(ERROR, "the grid does not name its nodes (%r); nobody is asked", error)
            return []

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages; ids of those that were sent."""
        return list(self.send(messages))

    def send(self, messages: Iterable[Message]) -> dict[str, int]:
        """Send messages; ids of those that were sent, with their nodes, for `replies`."""
        messages = list(messages)
        try:
            return self._push(messages)
        except Exception as error:
            log(WARNING, "\t> the messages could not be sent together (%r); they are sent one by one", error)
        return {name: node for message in messages for name, node in self._push_one(message).items()}

    def _push(self, messages: list[Message]) -> dict[str, int]:
        names = self._grid.push_messages(messages)
        in_order = {name: message.metadata.dst_node_id for name, message in zip(names, messages, strict=False) if name}
        by_id = {message.metadata.message_id: message.metadata.dst_node_id for message in messages}  # a simulation leaves unsent ones out
        return {name: by_id.get(name, node) for name, node in in_order.items()}

    def _push_one(self, message: Message) -> dict[str, int]:
        try:
            return self._push([message])
        except Exception as error:
            log(WARNING, "\t> node %s could not be sent to: %r", message.metadata.dst_node_id, error)
            return {}

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Replies that are there."""
        return self._grid.pull_messages(message_ids)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterator[Message]:
        """Send messages at once; the replies come while they are iterated over, until all are there or the time is over."""
        self.waiting = self.send(messages)
        return self.replies(self.waiting, timeout)

    def replies(self, waiting: dict[str, int], timeout: float | None = None) -> Iterator[Message]:
        """Replies to messages, as they come, until all are there or the time is over.

        Parameters
        ----------
        waiting : dict of str to int
            What `send` gave. Messages that are answered or given up are taken out; those that are left can be waited for again.
        """
        if self._most_seconds is not None:
            timeout = self._most_seconds if timeout is None else min(timeout, self._most_seconds)
        return self._replies(waiting, timeout)

    def _replies(self, waiting: dict[str, int], timeout: float | None) -> Iterator[Message]:
        pull_seconds = float(getattr(self._grid, "pull_interval", PULL_SECONDS))
        failures: Counter[str] = Counter()
        start = self._clock.now()
        while True:
            for name in list(waiting):
                if name in waiting:
                    yield from self._fetch(name, waiting, failures)
            if not waiting or self._is_enough() or (timeout is not None and self._clock.now() - start >= timeout):
                return
            self._clock.wait(pull_seconds)

    def as_of(self, nodes: Collection[int]) -> Grid:
        """The same grid with the nodes that were there before, for a strategy that samples from them and must not wait for any."""
        return _EarlierNodes(self, nodes)

    def _fetch(self, name: str, waiting: dict[str, int], failures: Counter[str]) -> Iterator[Message]:
        """The reply to one message, if it is there; takes out messages that are answered or given up."""
        try:
            replies = list(self._grid.pull_messages([name]))
        except Exception as error:
            failures[name] += 1
            if failures[name] == MOST_FAILURES:
                log(WARNING, "\t> a reply cannot be fetched and is given up: %r", error)
                del waiting[name]
            return
        if replies:
            del waiting[name]
        yield from replies


class _EarlierNodes(SteadyGrid):
    """See `SteadyGrid.as_of`. Flower's own sampling asks for the nodes for ever, until there are enough."""

    def __init__(self, grid: SteadyGrid, nodes: Collection[int]) -> None:
        super().__init__(grid, grid._clock)
        self._earlier = list(nodes)
        self._looks = 0

    def get_node_ids(self) -> Iterable[int]:
        """Nodes that were there before, and those that are there now."""
        self._looks += 1
        if self._looks > MOST_LOOKS:
            raise NodesAreGone("the strategy waits for more nodes than are there")
        return list(dict.fromkeys([*self._earlier, *super().get_node_ids()]))
