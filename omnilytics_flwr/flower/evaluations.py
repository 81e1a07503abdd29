"""The exchange in which data owners evaluate: whoever's chain does not show the settlement yet is asked again for a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from logging import WARNING

from flwr.app import Message, MessageType, RecordDict

from ..clock import Clock
from .compat import log
from .node_refusals import is_early
from .steady_grid import SteadyGrid

EARLY_SECONDS = 60
"""How long data owners are asked again whose chain is behind: a settlement reaches some nodes some blocks later than others."""

_MOST_PAUSES = 4


class Evaluations:
    """Asks data owners to evaluate, in one round after the other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._content = RecordDict()
        self._began = 0.0

    def messages(self, content: RecordDict, nodes: Iterable[int]) -> list[Message]:
        """The messages that ask nodes to evaluate."""
        self._content, self._began = content, self._clock.now()
        return self._messages(nodes)

    def replies(self, grid: SteadyGrid | None, replies: Iterable[Message], timeout_seconds: float) -> Iterator[Message]:
        """All replies; those that come too early only if nodes that are asked again still say so when the time is over.

        Parameters
        ----------
        timeout_seconds : float
            Of the whole exchange, from its `messages` on.
        """
        until, ends_at = None, self._began + timeout_seconds
        for times in count():
            early = []
            for reply in replies:
                if is_early(reply):
                    early.append(reply)
                else:
                    yield reply
            until = min(self._clock.now() + EARLY_SECONDS, ends_at) if until is None else until
            if not early or grid is None or self._clock.now() >= until:
                break
            self._clock.wait(min(2**times, _MOST_PAUSES) * self._clock.poll_seconds)
            asked = self._messages(reply.metadata.src_node_id for reply in early)
            replies = grid.replies(grid.send(asked), ends_at - self._clock.now())
        if early:
            log(WARNING, "\t> %s nodes do not evaluate: their chain does not show the settlement", len(early))
        yield from early

    def _messages(self, nodes: Iterable[int]) -> list[Message]:
        return [Message(self._content, node, MessageType.EVALUATE) for node in nodes]
