"""What a node's reply says that is an error: that it would say the same again, that it may pass, or that its chain is behind.

Whoever is asked again and again says the same again and again; it is told once, and once more when it is over.
"""

from __future__ import annotations

from logging import INFO, WARNING

from flwr.app import Message

from ..data_owner.remote_agent import NO_REPLY
from ..errors import OutOfTurn, Refused
from .compat import log
from .wire import CHAIN_FAILED, FUNCTION_FAILED

WITHOUT_MOD = "it runs the app without omnilytics_mod, and has sent its update in clear; start it with the mod of the market's app"

FOR_GOOD = (FUNCTION_FAILED, "omnilytics_mod; expected", "omnilytics_mod is given to one function")
"""Parts of refusals that stay as they are: the app fails, or has its mods in a wrong order."""

PASSING = (NO_REPLY, *(f"{kind}: {CHAIN_FAILED}" for kind in ("Unreachable", "NodeError", "BadAnswer", "TransactionLost", "ChainError")))
"""Parts of refusals that may pass: the agent is started again, or its node is."""

TOO_EARLY = OutOfTurn.__name__
"""First word of a data owner's refusal while its chain does not show the round as it was asked about, not yet or no longer."""

_OWN_ERRORS = f"{Refused.__module__}."
"""How a traceback names them."""


class NodeRefusals:
    """The refusals of one round.

    Attributes
    ----------
    reasons : dict of int to str
        By node.
    for_good : set of int
        Nodes whose app cannot take part: asked again, one without the mod would send its update in clear once more.
    """

    def __init__(self) -> None:
        self.reasons: dict[int, str] = {}
        self.for_good: set[int] = set()

    def clear(self) -> None:
        """Forget all, for the next round."""
        self.reasons.clear()
        self.for_good.clear()

    def note_error(self, reply: Message) -> None:
        """Take in a reply that is an error.

        The reason in a traceback, which a simulation sends, is the sentence of our own error, where there is one.
        """
        said = str(reply.error.reason)
        own = [line for line in said.splitlines() if line.startswith(_OWN_ERRORS)]
        reason = own[-1].removeprefix(_OWN_ERRORS) if own else said
        self._note(reply, "does not take part", reason, for_good=any(words in reason for words in FOR_GOOD))

    def note_invalid(self, reply: Message, error: Exception) -> None:
        """Take in a reply that holds no commitment, and what was wrong with it."""
        without_mod = bool(reply.content.array_records)
        self._note(reply, "sent no valid commitment", WITHOUT_MOD if without_mod else str(error), for_good=without_mod)

    def note_commitment(self, node: int) -> None:
        """A node has committed."""
        if self.reasons.pop(node, None) is not None:
            log(INFO, "\t> node %s takes part after all", node)

    def _note(self, reply: Message, what: str, reason: str, *, for_good: bool) -> None:
        node = reply.metadata.src_node_id
        if self.reasons.get(node) != reason:
            log(WARNING, "\t> node %s %s: %s", node, what, reason)
        self.reasons[node] = reason
        if for_good:
            self.for_good.add(node)


class NotDelivered:
    """The nodes that have not delivered in one exchange."""

    def __init__(self) -> None:
        self._reasons: dict[int, str] = {}
        self._told: set[int] = set()

    def note(self, node: int, reason: str, seconds: float) -> None:
        """A node has not delivered; it is asked again for so many seconds, with 0 not because of this."""
        if seconds > 0:
            if node not in self._reasons:
                log(WARNING, "\t> node %s does not deliver yet: %s; it is asked again for %.0f s at most", node, reason, seconds)
            self._reasons[node] = reason
        elif node not in self._told:
            self._told.add(node)
            log(WARNING, "\t> node %s did not deliver: %s", node, reason)

    def note_delivery(self, node: int) -> None:
        """A node has delivered."""
        if self._reasons.pop(node, None) is not None:
            log(INFO, "\t> node %s has delivered after all", node)

    def end(self) -> None:
        """Nobody is asked any more."""
        for node, reason in self._reasons.items():
            self.note(node, reason, 0)
        self._reasons.clear()
        self._told.clear()


def is_early(reply: Message) -> bool:
    """Whether a reply says that the data owner's chain does not show the round as it was asked about."""
    return reply.has_error() and (reply.error.reason or "").startswith(TOO_EARLY)


def is_passing(reply: Message) -> bool:
    """Whether a reply says that the data owner's agent, or its node, is not there."""
    return reply.has_error() and any(words in (reply.error.reason or "") for words in PASSING)
