"""The data owner's side of a round as a Flower mod; the user's own functions stay as they are.

The mod fails closed: a message without our record, of another market, or of a task that is not anchored never reaches the user's
functions. Nothing leaves but digest, signature, masked vector and the metrics that the terms name. Metrics of training wait with the
owner agent and leave with the vector: before the round is open, nobody has to pay for them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from logging import ERROR, INFO, WARNING
from pathlib import Path

from flwr.app import ArrayRecord, Context, Error, Message, MessageType, RecordDict
from flwr.clientapp.typing import ClientAppCallable

from ..data_owner.owner_agent import OwnerAgent
from ..data_owner.owner_config import agent_folder, read_config
from ..data_owner.remote_agent import RemoteAgent
from ..errors import ChainError, Malformed, OmnilyticsError, Refused, TermsError, UpdateError
from ..market.task import TaskId, TaskParts, config_hash
from .app_name import app_name
from .compat import REFUSED_BY_MOD, log
from .kept_state import keep_metrics, keep_private, kept_metrics, kept_private
from .metrics import CLIPPED, allowed_metrics, tell_kept_back, with_clipped
from .mod_order import check_place
from .weights import LISTED, check_finite, cut_by, difference, shares_cut, update_of
from .wire import (
    CHAIN_FAILED,
    FUNCTION_FAILED,
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

HOME_KEY, HOME_VARIABLE = "omnilytics-home", "OMNILYTICS_OWNER_HOME"
RUN_FOLDER_KEY, RUN_FOLDER_VARIABLE = "omnilytics-run-folder", "OMNILYTICS_RUN_FOLDER"
MUCH_CUT = 0.01
"""Share of a parameter's changes from which a data owner is warned that the clip cuts them; less hardly matters."""


class OmnilyticsMod:
    """Mod of a data owner.

    Parameters
    ----------
    initial_model : callable, optional
        ``(context) -> ArrayRecord``: the whole model as this data owner starts it. The parameters that the model owner does not
        send are this data owner's private part, kept for the Flower app that the function is from. By default the whole model is public.
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
        self._app = "" if initial_model is None else app_name(initial_model)
        self._agent = agent or agent_of_operator

    def __call__(self, msg: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Answer one message."""
        check_place(self)  # its refusal is raised: a mod around this one may not survive a reply that is an error
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
            return _refusal(msg, f"{type(error).__name__}: {CHAIN_FAILED}")
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
            whole = self._whole(context, agent, task, public)
            reply = _run(msg, context, call_next, whole)
            if reply.has_error():
                return _silenced(msg, str(reply.error.reason))
            trained = _trained(reply, whole)
            new_public = ArrayRecord({name: trained[name] for name in public})
            check_finite(new_public)
            update = update_of(new_public, public)
            commitment = agent.commit(task, update)
            cut = cut_by(admission.clip, update, public) if admission.clip else []
            tell_cut(admission.clip, cut)
            keep_private(agent, task, ArrayRecord({name: array for name, array in trained.items() if name not in public}), self._app)
            reported = reply.content
            tell_kept_back(reported, admission.metrics, context.state)
            if any(name.startswith(CLIPPED) for name in admission.metrics):
                reported = with_clipped(reported, *shares_cut(cut, new_public))
            keep_metrics(agent, task, allowed_metrics(reported, admission.metrics))
        answer = CommitReply(commitment.owner, commitment.digest, commitment.signature)
        return Message(RecordDict({RECORD: answer.to_record()}), reply_to=msg)

    def _evaluate(self, msg: Message, context: Context, call_next: ClientAppCallable, header: TaskHeader) -> Message:
        task, public = _read_task(msg, context, header)
        agent = self._agent(context)
        allowed = agent.admit_evaluation(task)
        reply = _run(msg, context, call_next, self._whole(context, agent, task, public))
        if reply.has_error():
            return _silenced(msg, str(reply.error.reason))
        tell_kept_back(reply.content, allowed, context.state)
        return Message(allowed_metrics(reply.content, allowed), reply_to=msg)

    def _deliver(self, msg: Message, context: Context, request: DeliverRequest) -> Message:
        agent = self._agent(context)
        delivery = agent.deliver(request.chain_id, request.market, request.epoch, request.round, request.digests)
        metrics = allowed_metrics(kept_metrics(agent, request), delivery.metrics)
        answer = DeliverReply(delivery.owner, delivery.vector, delivery.points, delivery.projected, delivery.signature)
        return Message(RecordDict({**metrics, **answer.to_content()}), reply_to=msg)

    def _whole(self, context: Context, agent: OwnerAgent, task: TaskId, public: ArrayRecord) -> ArrayRecord:
        """The whole model: the task's public part with this data owner's private part."""
        if self._initial_model is None:
            return public
        model = self._initial_model(context)
        unknown = [name for name in public if name not in model]
        if unknown:
            raise UpdateError(f"the task has parameters {unknown} that this client's model has not; use the app that the market is for")
        private = kept_private(agent, task, ArrayRecord({name: array for name, array in model.items() if name not in public}), self._app)
        return ArrayRecord({name: public[name] if name in public else private[name] for name in model})


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
    try:
        folder = agent_folder(path, read_config(path))
        if folder is not None:
            return RemoteAgent(folder)
        from ..data_owner.owner_home import OwnerHome  # pulls in the chain adapter, which only this way of finding an agent needs

        return OwnerHome.open(path).agent()
    except (TermsError, Refused) as error:  # its text tells where on this machine the home is
        log(ERROR, "the owner home cannot be used: %s", error)
        raise Refused("the data owner's home cannot be used; its log says how") from None


def _run(msg: Message, context: Context, call_next: ClientAppCallable, whole: ArrayRecord) -> Message:
    """Call the user's function with the whole model in place of the public part."""
    msg.content = RecordDict(
        {key: whole if isinstance(record, ArrayRecord) else record for key, record in msg.content.items() if key != RECORD}
    )
    try:
        return call_next(msg, context)
    except Exception as error:  # what the user's function says of its data stays here
        return _silenced(msg, repr(error))


def _trained(reply: Message, whole: ArrayRecord) -> ArrayRecord:
    records = list(reply.content.array_records.values())
    wrong = difference(records[0], whole) if len(records) == 1 else f"there are {len(records)} records of arrays"
    if wrong:
        raise UpdateError(
            "the train function must reply with one ArrayRecord of the same names, shapes and dtypes as it was sent; "
            f"{wrong}; return the whole model's arrays"
        )
    return records[0]


def tell_cut(clip: float, cut: Sequence[tuple[str, float, float]]) -> None:
    """Tell the data owner what of its training is not learnt from; `clip` is that of an `Admission`."""
    if cut:
        listed = ", ".join(f"{share:.1%} of {name} (largest change {most:.3g})" for name, share, most in cut[:LISTED])
        more = f" and of {len(cut) - LISTED} more parameters" if len(cut) > LISTED else ""
        log(
            WARNING if any(share >= MUCH_CUT for _, share, _ in cut) else INFO,
            "a change of this data owner's may be %.3g at most, which cuts %s%s: lower the learning rate, or ask the model owner for a "
            "larger clip (`--clip` of omnilytics local)",
            clip,
            listed,
            more,
        )


def _refusal(msg: Message, reason: str) -> Message:
    return Message(Error(REFUSED_BY_MOD, reason), reply_to=msg)


def _silenced(msg: Message, reason: str) -> Message:
    """A refusal that tells nothing: a text that depends on the data could carry an update past masks and payment."""
    if reason != FUNCTION_FAILED:  # said already
        log(ERROR, "the data owner's function failed: %s", reason)
    return _refusal(msg, FUNCTION_FAILED)


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


omnilytics_mod = OmnilyticsMod()
"""The mod for a model that is public as a whole: ``ClientApp(mods=[omnilytics_mod])``."""
