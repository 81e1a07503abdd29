"""A message on its way between Flower's client process and its SuperNode: in files, so that neither's memory holds what has passed."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from flwr.app import Context, Message
from flwr.proto.message_pb2 import PushObjectRequest, PushObjectResponse
from flwr.proto.runtime_pb2 import PushAppMessagesRequest, PushAppMessagesResponse
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_utils import pull_and_inflate_object_from_tree
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.runtime.run_clientapp import push_message


class Passage:
    """A folder that a message is sent to, object by object, by Flower's own function; it takes the calls of Flower's connection."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def send(self, message: Message, context: Context) -> None:
        """Send as Flower's client process does."""
        push_message(cast(RuntimeHttpClient, self), message, context)

    def receive(self) -> Message:
        """The message as it arrives in Flower's client process."""
        (tree,) = PushAppMessagesRequest.FromString((self._folder / "message").read_bytes()).message_object_trees
        message = pull_and_inflate_object_from_tree(tree, self._object, lambda name: None, return_type=Message)
        message.metadata.__dict__["_message_id"] = tree.object_id
        return message

    def sent_bytes(self) -> int:
        """Length of all that was sent."""
        return sum(file.stat().st_size for file in self._folder.iterdir())

    def PushMessages(self, request: PushAppMessagesRequest) -> PushAppMessagesResponse:
        """Flower's call before the objects: a message without its content."""
        (self._folder / "message").write_bytes(request.SerializeToString())
        (tree,) = request.message_object_trees
        return PushAppMessagesResponse(objects_to_push=[part.object_id for part in iterate_object_tree(tree)])

    def PushObject(self, request: PushObjectRequest) -> PushObjectResponse:
        """Flower's call for each object."""
        (self._folder / request.object_id).write_bytes(request.SerializeToString(deterministic=True))
        return PushObjectResponse(stored=True)

    def _object(self, name: str) -> bytes:
        return bytes(PushObjectRequest.FromString((self._folder / name).read_bytes()).object_content)
