"""A grid in this process: serialises every message both ways and calls real client apps, one context for each node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.serverapp import Grid

Tamper = Callable[[int, Message], Message | None]
"""Gets the node and the message on its way; gives the message that goes on, or None if it is lost."""


def wire(message: Message) -> Message:
    """`message` as it arrives: through Flower's own serialisation, so that nothing is shared."""
    proto = message_to_proto(message)
    return message_from_proto(type(proto).FromString(proto.SerializeToString()))


def raw(message: Message) -> bytes:
    """The bytes that travel."""
    return bytes(message_to_proto(message).SerializeToString())


def make_context(node: int, **node_config: str | int) -> Context:
    """Context of a client."""
    return Context(run_id=1, node_id=node, node_config=dict(node_config), state=RecordDict(), run_config={})


class FakeGrid(Grid):
    """Nodes that answer at once.

    Parameters
    ----------
    apps : mapping of int to ClientApp
        By node.
    on_request, on_reply : Tamper, optional
        See and change what travels.

    Attributes
    ----------
    contexts : dict of int to Context
        By node; lives as long as the grid.
    requests, replies : list of (int, Message)
        Everything that travelled, with the client's node.
    """

    def __init__(self, apps: Mapping[int, ClientApp], *, on_request: Tamper | None = None, on_reply: Tamper | None = None) -> None:
        self.apps = dict(apps)
        self.contexts = {node: make_context(node, **{"partition-id": place}) for place, node in enumerate(self.apps)}
        self.on_request = on_request or (lambda node, message: message)
        self.on_reply = on_reply or (lambda node, message: message)
        self.requests: list[tuple[int, Message]] = []
        self.replies: list[tuple[int, Message]] = []
        self._waiting: dict[str, Message] = {}

    def set_run(self, run: object) -> None:
        raise NotImplementedError

    @property
    def run(self) -> None:  # type: ignore[override]
        raise NotImplementedError

    def create_message(self, *args: object, **kwargs: object) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return list(self.apps)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        names = []
        for message in messages:
            names.append(str(len(self.requests)))
            reply = self._answer(message)
            if reply is not None:
                self._waiting[names[-1]] = reply
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._waiting.pop(name) for name in message_ids if name in self._waiting]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return self.pull_messages(self.push_messages(messages))

    def _answer(self, message: Message) -> Message | None:
        node = message.metadata.dst_node_id
        request = self.on_request(node, wire(message))
        if request is None:
            return None
        self.requests.append((node, wire(request)))
        try:
            reply = self.apps[node](request, self.contexts[node])
        except Exception as error:  # as Flower does with whatever a client app raises
            reply = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, repr(error)), reply_to=request)
        sent = self.on_reply(node, wire(reply))
        if sent is not None:
            self.replies.append((node, wire(sent)))
        return sent
