"""Clients of Flower in one process: a small model, apps that train it, a grid that calls them, and the messages of a round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from omnilytics_flwr.flower.compat import REFUSED_BY_MOD
from omnilytics_flwr.flower.mod import OmnilyticsMod
from omnilytics_flwr.flower.wire import RECORD, CommitReply, DeliverRequest, Exchange, TaskHeader, hash_of_arrays
from omnilytics_flwr.market.task import TaskId, TaskParts, named_config_hash
from tests.data_owner.owners import Owner, anchor, live_task, open_with
from tests.support.builders import Scene

SERVER_NODE = 1


@contextmanager
def as_server() -> Iterator[None]:
    """Messages can be made as a server app makes them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"_task_id": 1, "_run_id": 1, "_node_id": SERVER_NODE}.items():
            patch.setattr(TaskIdentity, name, value)
        yield


Tamper = Callable[[int, Message], Message | None]
"""Gets the node and the message on its way; gives the message that goes on, or None if it is lost."""


def exchange_in(message: Message) -> str:
    """What a request asks for."""
    return str(message.content.config_records[RECORD]["exchange"])


def lose(exchange: str, *nodes: int) -> Tamper:
    """Requests of an exchange to these nodes get lost."""
    return lambda node, message: None if node in nodes and exchange_in(message) == exchange else message


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
    """Nodes that answer at once; `on_request` and `on_reply` see and change what travels, `requests` and `replies` remember it."""

    def __init__(self, apps: Mapping[int, ClientApp], *, on_request: Tamper | None = None, on_reply: Tamper | None = None) -> None:
        self.apps = dict(apps)
        self.contexts = {node: make_context(node, **{"partition-id": place}) for place, node in enumerate(self.apps)}
        self.on_request = on_request or (lambda node, message: message)
        self.on_reply = on_reply or (lambda node, message: message)
        self.requests: list[tuple[int, Message]] = []
        self.replies: list[tuple[int, Message]] = []
        self._waiting: dict[str, Message] = {}

    def _not_here(self, *args: object, **kwargs: object) -> Message:
        raise NotImplementedError

    set_run, create_message, run = _not_here, _not_here, property(_not_here)  # type: ignore[assignment]

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


SHAPES = {"body.weight": (4, 5), "body.bias": (4,), "head.weight": (3, 6)}
"""42 weights."""

Config = Mapping[str, object]
TRAIN_CONFIG: dict[str, object] = {"server-round": 1, "lr": 0.25, "layers": ["a", "b"]}
EVALUATE_CONFIG: dict[str, object] = {"server-round": 0, "batch": 8}

ModelMaker = Callable[[Context], ArrayRecord]


def make_model(seed: int = 0, dtype: str = "float32", names: tuple[str, ...] = tuple(SHAPES)) -> ArrayRecord:
    """Arrays of the model, or of the part of it that `names` are."""
    rng = np.random.default_rng(seed)
    whole = {name: rng.normal(0.0, 0.5, shape).astype(dtype) for name, shape in SHAPES.items()}
    return ArrayRecord({name: Array(whole[name]) for name in names})


def plain_model(seed: int = 0) -> ArrayRecord:
    """The same as plain Flower arrays: named "0", "1", "2"."""
    return ArrayRecord([array.numpy() for array in make_model(seed).values()])


def arrays_of(record: ArrayRecord) -> dict[str, np.ndarray]:
    return {name: array.numpy() for name, array in record.items()}


def parts_of(arrays: ArrayRecord, config: Config = TRAIN_CONFIG, evaluate_config: Config = EVALUATE_CONFIG) -> TaskParts:
    """Hashes of a task."""
    return TaskParts(hash_of_arrays(arrays), hash_of(config), hash_of(evaluate_config))


def hash_of(config: Config) -> bytes:
    return named_config_hash(config, name="config", arrays_name="arrays")  # type: ignore[arg-type]


def changed(arrays: ArrayRecord, change: Callable[[str, np.ndarray], np.ndarray]) -> ArrayRecord:
    """`arrays` with each array changed, in its own dtype."""
    return ArrayRecord({name: Array(np.asarray(change(name, array), dtype=array.dtype)) for name, array in arrays_of(arrays).items()})


def step_towards(target: ArrayRecord, arrays: ArrayRecord, rate: float = 0.25) -> ArrayRecord:
    """One step of "training": a share of the way from `arrays` to a data owner's target."""
    return changed(arrays, lambda name, array: array + rate * (target[name].numpy() - array))


def shifted(arrays: ArrayRecord, by: float) -> ArrayRecord:
    """`arrays` with `by` added to every weight."""
    return changed(arrays, lambda name, array: array + by)


def filled(arrays: ArrayRecord, value: float) -> ArrayRecord:
    """`arrays` with one weight replaced."""
    third = np.arange(4) == 2
    return changed(arrays, lambda name, array: np.where(third, value, array) if name == "body.bias" else array)


@dataclass
class Trainer:
    """A user's client app, whose data pull the model towards `target`; remembers what its functions got.

    `reply` and `evaluate_reply` make the replies of the train and of the evaluate function instead.
    """

    target: ArrayRecord
    metrics: dict[str, float] = field(default_factory=lambda: {"loss": 0.5, "num-examples": 10, "secret": 7.0})
    reply: Callable[[Message, ArrayRecord], Message] | None = None
    evaluate_reply: Callable[[Message], Message] | None = None
    trained: list[Message] = field(default_factory=list)
    evaluated: list[Message] = field(default_factory=list)

    @property
    def untouched(self) -> bool:
        """Whether none of the user's functions was ever called."""
        return not self.trained and not self.evaluated

    def app(self, mod: OmnilyticsMod | None) -> ClientApp:
        """The client app, with the mod or plain."""
        app = ClientApp(mods=[] if mod is None else [mod])

        @app.train()
        def train(message: Message, context: Context) -> Message:
            self.trained.append(message)
            (arrays,) = message.content.array_records.values()
            new = step_towards(self.target, arrays)
            if self.reply is not None:
                return self.reply(message, new)
            return Message(RecordDict({"arrays": new, "metrics": MetricRecord(dict(self.metrics))}), reply_to=message)

        @app.evaluate()
        def evaluate(message: Message, context: Context) -> Message:
            self.evaluated.append(message)
            if self.evaluate_reply is not None:
                return self.evaluate_reply(message)
            (arrays,) = message.content.array_records.values()
            gaps = [np.abs(array - self.target[name].numpy()).mean() for name, array in arrays_of(arrays).items()]
            metrics = MetricRecord({**self.metrics, "loss": float(np.mean(gaps))})
            return Message(RecordDict({"metrics": metrics}), reply_to=message)

        @app.query()
        def query(message: Message, context: Context) -> Message:
            self.evaluated.append(message)
            return Message(RecordDict(), reply_to=message)

        return app


@dataclass
class Client:
    """One data owner's client app in a market."""

    owner: Owner
    trainer: Trainer
    initial_model: ModelMaker | None = None

    def __post_init__(self) -> None:
        self.context = make_context(11)
        mod = OmnilyticsMod(initial_model=self.initial_model, agent=lambda context: self.owner.agent())
        self.app = self.trainer.app(mod)

    @property
    def scene(self) -> Scene:
        return self.owner.scene

    def ask(self, content: RecordDict, message_type: str = MessageType.TRAIN) -> Message:
        """The reply to a request, both serialised."""
        return wire(self.app(wire(Message(content, 11, message_type)), self.context))

    def train(self, arrays: ArrayRecord, **changes: object) -> Message:
        """The reply to a train request for the live task."""
        return self.ask(train_content(self.scene, arrays, **changes))  # type: ignore[arg-type]

    def evaluate(self, arrays: ArrayRecord, **changes: object) -> Message:
        """The reply to an evaluate request for the live task."""
        return self.ask(evaluate_content(self.scene, arrays, **changes), MessageType.EVALUATE)  # type: ignore[arg-type]

    def commit(self) -> CommitReply:
        """The commitment to the live task of `make_model()`."""
        return CommitReply.from_record(self.train(make_model()).content.config_records[RECORD])

    def commit_and_open(self) -> tuple[bytes, ...]:
        """Commit, and open the round with that; the digests of its roster."""
        return open_with(self.scene, self.commit())  # type: ignore[arg-type]

    def deliver(self, digests: tuple[bytes, ...], **changes: object) -> Message:
        """The reply to a deliver request for the live round."""
        request = DeliverRequest(**(round_of(self.scene) | changes), digests=digests)  # type: ignore[arg-type]
        return self.ask(RecordDict({RECORD: request.to_record()}))


def make_client(owner: Owner, *, initial_model: ModelMaker | None = None, **trainer: object) -> Client:
    """A client of a data owner; every message gets a new agent, as a new process would make it."""
    target = make_model(100 + owner.number)
    return Client(owner, Trainer(target, **trainer), initial_model)  # type: ignore[arg-type]


def train_content(
    scene: Scene, arrays: ArrayRecord, config: Config = TRAIN_CONFIG, evaluate_config: Config = EVALUATE_CONFIG, **changes: object
) -> RecordDict:
    """Content of a train request for the live task; `changes` are fields of the header."""
    return _content(scene, Exchange.TRAIN, arrays, config, evaluate_config, changes)


def evaluate_content(
    scene: Scene, arrays: ArrayRecord, config: Config = EVALUATE_CONFIG, train_config: Config = TRAIN_CONFIG, **changes: object
) -> RecordDict:
    """Content of an evaluate request for the live task; `changes` are fields of the header."""
    return _content(scene, Exchange.EVALUATE, arrays, config, train_config, changes)


def _content(
    scene: Scene, exchange: Exchange, arrays: ArrayRecord, config: Config, other: Config, changes: Mapping[str, object]
) -> RecordDict:
    header = TaskHeader(exchange, **({**round_of(scene), "other_config_hash": hash_of(other)} | changes))  # type: ignore[arg-type]
    return RecordDict({"arrays": arrays, "config": ConfigRecord(dict(config)), RECORD: header.to_record()})  # type: ignore[arg-type]


def round_of(scene: Scene) -> dict[str, object]:
    """The live round, as requests name it."""
    state = scene.state
    return {"chain_id": scene.world.chain_id, "market": scene.market.address, "epoch": state.epoch, "round": state.round}


def settle_model(scene: Scene, arrays: ArrayRecord) -> TaskId:
    """Settle a round, whose verdict is dictated, and anchor the task of `arrays` for the next with it."""
    scene.open()
    scene.settle(next_task=parts_of(arrays).task_hash(scene.state.round + 1))
    return live_task(scene)


def anchor_model(scene: Scene, arrays: ArrayRecord) -> TaskId:
    """Anchor the task of `arrays` with the configurations of this module."""
    return anchor(scene, parts_of(arrays))


def is_within(array: np.ndarray, message: Message) -> bool:
    """Whether the bytes of an array are anywhere in a message."""
    return array.tobytes() in raw(message)


FAILED = "the data owner's own function failed; its log says why"
"""All that the mod tells of a failure whose text may depend on the data."""


def assert_tells_nothing(reply: Message, *secrets: str) -> None:
    """A failure was answered without a word of what it was."""
    assert reason_of(reply) == FAILED
    for secret in secrets:
        assert secret.encode() not in raw(reply), secret


def reason_of(reply: Message) -> str:
    """Why the mod refused; fails if it did not."""
    assert reply.has_error(), "the mod let it pass"
    assert reply.error.code == REFUSED_BY_MOD
    assert not reply.has_content()
    return str(reply.error.reason)


def assert_refused(client: Client, reply: Message, reason: str) -> None:
    assert reason in reason_of(reply)
    assert client.trainer.untouched
    assert client.scene.state.round not in {entry.task.round for entry in client.owner.journal.entries()}


def with_record(content: RecordDict, **changes: object) -> RecordDict:
    """`content` with fields of our record changed, or taken out where they are None."""
    fields = {**dict(content.config_records[RECORD].items()), **changes}
    content[RECORD] = ConfigRecord({key: value for key, value in fields.items() if value is not None})  # type: ignore[arg-type]
    return content
