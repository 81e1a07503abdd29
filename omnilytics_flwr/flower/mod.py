"""The data owner's side of a round as a Flower mod; the user's own functions stay as they are.

The mod fails closed: a message without our record, of another market, or of a task that is not anchored never reaches the user's
functions. Nothing leaves but digest, signature, masked vector and the metrics that the terms name. Metrics of training wait in
`Context.state` and leave with the vector: before the round is open, nobody has to pay for them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from logging import ERROR
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, Error, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp.typing import ClientAppCallable

from ..data_owner.owner_agent import OwnerAgent
from ..data_owner.owner_config import agent_folder, read_config
from ..data_owner.remote_agent import RemoteAgent
from ..errors import ChainError, Malformed, OmnilyticsError, Refused, UpdateError
from ..market.task import TaskId, TaskParts, config_hash
from .compat import REFUSED_BY_MOD, log
from .weights import difference, flatten
from .wire import (
    RECORD,
    CommitReply,
    DeliverReply,
    DeliverRequest,
    Exchange,
    TaskHeader,
    exchange_of,
    hash_of_arrays,
    hash_of_task_config,
    our_record,
)

PRIVATE_STATE = "omnilytics.private"
"""Key of the private part in `Context.state`."""

METRICS_STATE = "omnilytics.metrics"
"""Key in `Context.state` of the round whose metrics are kept under keys that begin with it."""

HOME_KEY, HOME_VARIABLE = "omnilytics-home", "OMNILYTICS_OWNER_HOME"
RUN_FOLDER_KEY, RUN_FOLDER_VARIABLE = "omnilytics-run-folder", "OMNILYTICS_RUN_FOLDER"


class OmnilyticsMod:
    """Mod of a data owner.

    Parameters
    ----------
    initial_model : callable, optional
        ``(context) -> ArrayRecord``: the whole model as this data owner starts it. The parameters that the model owner does not
        send are this data owner's private part. By default the whole model is public.
    agent : callable, optional
        ``(context) -> OwnerAgent``; by default the agent of the owner home that the operator names, see `agent_of_operator`.
    """

    def __init__(
        self,
        *,
        initial_model: Callable[[Context], ArrayRecord] | None = None,
        agent: Callable[[Context], OwnerAgent] | None = None,
    ) -> None:
        self._initial_model = initial_model
        self._agent = agent or agent_of_operator

    def __call__(self, msg: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Answer one message."""
        try:
            record = our_record(msg.content)
            exchange = exchange_of(record)
            expected = MessageType.EVALUATE if exchange is Exchange.EVALUATE else MessageType.TRAIN
            if msg.metadata.message_type != expected:
                raise Malformed(f"exchange {exchange.value} came as {msg.metadata.message_type}, expected {expected}")
            if exchange is Exchange.DELIVER:
                return self._deliver(msg, context, DeliverRequest.from_record(record))
            header = TaskHeader.from_record(record)
            answer = self._train if exchange is Exchange.TRAIN else self._evaluate
            return answer(msg, context, call_next, header)
        except UpdateError as error:  # its text tells of the update
            return _silenced(msg, str(error))
        except ChainError as error:  # its text tells where this data owner's node and wallet are
            log(ERROR, "the chain fails this data owner: %s: %s", type(error).__name__, error)
            return _refusal(msg, f"{type(error).__name__}: the data owner's node or wallet fails it; its log says how")
        except OmnilyticsError as error:
            return _refusal(msg, f"{type(error).__name__}: {error}")
        except Exception as error:  # Flower would send its text, which may come from the app's model or from what it replied
            return _silenced(msg, repr(error))

    def _train(self, msg: Message, context: Context, call_next: ClientAppCallable, header: TaskHeader) -> Message:
        agent = self._agent(context)
        task, public = _read_task(msg, context, header)
        admission = agent.admit(task)
        commitment = admission.commitment
        if commitment is None:
            reply, whole = self._run(msg, context, call_next, public)
            if reply.has_error():
                return _silenced(msg, str(reply.error.reason))
            trained = self._trained(reply, whole)
            new_public = ArrayRecord({name: trained[name] for name in public})
            commitment = agent.commit(task, flatten(new_public) - flatten(public))
            self._keep_private(context, public, trained)
            _keep_metrics(context, task, _allowed_metrics(reply.content, admission.metrics))
        answer = CommitReply(commitment.owner, commitment.digest, commitment.signature)
        return Message(RecordDict({RECORD: answer.to_record()}), reply_to=msg)

    def _evaluate(self, msg: Message, context: Context, call_next: ClientAppCallable, header: TaskHeader) -> Message:
        task, public = _read_task(msg, context, header)
        allowed = self._agent(context).admit_evaluation(task)
        reply, _ = self._run(msg, context, call_next, public)
        if reply.has_error():
            return _silenced(msg, str(reply.error.reason))
        return Message(_allowed_metrics(reply.content, allowed), reply_to=msg)

    def _deliver(self, msg: Message, context: Context, request: DeliverRequest) -> Message:
        delivery = self._agent(context).deliver(request.chain_id, request.market, request.epoch, request.round, request.digests)
        content = _allowed_metrics(_kept_metrics(context, request), delivery.metrics)
        content[RECORD] = DeliverReply(delivery.owner, delivery.vector, delivery.points, delivery.projected, delivery.signature).to_record()
        return Message(content, reply_to=msg)

    def _run(self, msg: Message, context: Context, call_next: ClientAppCallable, public: ArrayRecord) -> tuple[Message, ArrayRecord]:
        """Call the user's function with the whole model in place of the public part."""
        whole = self._whole(context, public)
        content = RecordDict(
            {key: whole if isinstance(record, ArrayRecord) else record for key, record in msg.content.items() if key != RECORD}
        )
        msg.content = content
        try:
            return call_next(msg, context), whole
        except Exception as error:  # what the user's function says of its data stays here
            return _silenced(msg, repr(error)), whole

    def _whole(self, context: Context, public: ArrayRecord) -> ArrayRecord:
        """The whole model: the task's public part with this data owner's private part."""
        if self._initial_model is None:
            return public
        model = self._initial_model(context)
        kept = context.state.array_records.get(PRIVATE_STATE, ArrayRecord())
        unknown = [name for name in public if name not in model]
        if unknown:
            raise UpdateError(f"the task has parameters {unknown} that this client's model has not; use the app that the market is for")
        return ArrayRecord({name: public.get(name) or kept.get(name) or initial for name, initial in model.items()})

    def _trained(self, reply: Message, whole: ArrayRecord) -> ArrayRecord:
        records = list(reply.content.array_records.values())
        wrong = difference(records[0], whole) if len(records) == 1 else f"there are {len(records)} records of arrays"
        if wrong:
            raise UpdateError(
                "the train function must reply with one ArrayRecord of the same names, shapes and dtypes as it was sent; "
                f"{wrong}; return the whole model's arrays"
            )
        return records[0]

    def _keep_private(self, context: Context, public: ArrayRecord, trained: ArrayRecord) -> None:
        private = {name: array for name, array in trained.items() if name not in public}
        if private:
            context.state[PRIVATE_STATE] = ArrayRecord(private)


def agent_of_operator(context: Context) -> OwnerAgent:
    """The agent of the owner home, or at the run folder, that the operator of this client names.

    The path of the home comes from ``omnilytics-home`` in the node config or from the environment variable ``OMNILYTICS_OWNER_HOME``,
    never from the run config, which is the model owner's. ``{partition-id}`` in it is replaced from the node config, so that the clients
    of a simulation have different homes. The home's ``owner.toml`` says whether the agent is a process (``agent = "process"``).
    A client whose user may not read the home names the agent's run folder instead, by ``omnilytics-run-folder`` or
    ``OMNILYTICS_RUN_FOLDER``.

    Raises
    ------
    Refused
        No home is named, or there is none at the path.
    """
    if shared := _named(context, RUN_FOLDER_KEY, RUN_FOLDER_VARIABLE):
        return RemoteAgent(shared)
    home = _named(context, HOME_KEY, HOME_VARIABLE)
    if home is None:
        raise Refused(
            f"no owner home is named; start the SuperNode with --node-config '{HOME_KEY}=\"PATH\"' or set {HOME_VARIABLE}; "
            f"for an agent of another user, its run folder by {RUN_FOLDER_KEY} or {RUN_FOLDER_VARIABLE}"
        )
    return _agent_at(home)


def _named(context: Context, key: str, variable: str) -> Path | None:
    named = context.node_config.get(key) or os.environ.get(variable)
    return Path(str(named).replace("{partition-id}", str(context.node_config.get("partition-id", "")))) if named else None


@lru_cache(maxsize=256)
def _agent_at(path: Path) -> OwnerAgent:
    folder = agent_folder(path, read_config(path))
    if folder is not None:
        return RemoteAgent(folder)
    from ..data_owner.owner_home import OwnerHome  # pulls in the chain adapter, which only this way of finding an agent needs

    return OwnerHome.open(path).agent()


def _refusal(msg: Message, reason: str) -> Message:
    return Message(Error(REFUSED_BY_MOD, reason), reply_to=msg)


def _silenced(msg: Message, reason: str) -> Message:
    """A refusal that tells nothing: a text that depends on the data could carry an update past masks and payment."""
    log(ERROR, "the data owner's function failed: %s", reason)
    return _refusal(msg, "the data owner's own function failed; its log says why")


def _read_task(msg: Message, context: Context, header: TaskHeader) -> tuple[TaskId, ArrayRecord]:
    """Identity of the task in a message, from its content alone, and the public part."""
    arrays = list(msg.content.array_records.values())
    configs = [record for key, record in msg.content.config_records.items() if key != RECORD]
    if len(arrays) != 1 or len(configs) > 1 or msg.content.metric_records:
        raise Malformed("a task is one ArrayRecord and at most one ConfigRecord; put all settings into the one that the strategy sends")
    own, training = hash_of_task_config(msg.content), header.exchange is Exchange.TRAIN
    parts = TaskParts(
        arrays=hash_of_arrays(arrays[0]),
        run_config=config_hash(dict(context.run_config)),
        train_config=own if training else header.other_config_hash,
        evaluate_config=header.other_config_hash if training else own,
    )
    return TaskId(header.chain_id, header.market, header.epoch, header.round, parts.task_hash(header.round)), arrays[0]


def _allowed_metrics(content: RecordDict, allowed: tuple[str, ...]) -> RecordDict:
    """Only the metrics that may leave."""
    records = RecordDict()
    for key, record in content.metric_records.items():
        kept = {name: value for name, value in record.items() if name in allowed}
        if kept:
            records[key] = MetricRecord(kept)
    return records


def _keep_metrics(context: Context, task: TaskId, metrics: RecordDict) -> None:
    """Keep a round's metrics in the client's state, in place of those of an earlier round."""
    for key in [key for key in context.state if key.startswith(METRICS_STATE)]:
        del context.state[key]
    context.state[METRICS_STATE] = ConfigRecord(_round_entries(task))
    for key, record in metrics.metric_records.items():
        context.state[f"{METRICS_STATE}/{key}"] = record


def _kept_metrics(context: Context, request: DeliverRequest) -> RecordDict:
    """The metrics that were kept for the round of a request; none if the state was lost or is of another round."""
    held = context.state.config_records.get(METRICS_STATE)
    if held is None or dict(held.items()) != _round_entries(request):
        return RecordDict()
    prefix = f"{METRICS_STATE}/"
    return RecordDict({key.removeprefix(prefix): r for key, r in context.state.metric_records.items() if key.startswith(prefix)})


def _round_entries(of: TaskId | DeliverRequest) -> dict[str, Any]:
    return {"chain-id": of.chain_id, "market": of.market, "epoch": of.epoch, "round": of.round}


omnilytics_mod = OmnilyticsMod()
"""The mod for a model that is public as a whole: ``ClientApp(mods=[omnilytics_mod])``."""
