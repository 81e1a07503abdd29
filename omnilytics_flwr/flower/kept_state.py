"""What the mod keeps with the owner agent between messages: a data owner's private part, and a round's metrics until its vector leaves.

Both are kept by market, and the private part by the app and its layout too: a new run of the same app goes on with it.
"""

from __future__ import annotations

from logging import ERROR

from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict

from ..crypto.hashing import keccak256
from ..data_owner.kept_content import KeptArray, KeptMetrics, decode_arrays, decode_metrics, encode_kept
from ..data_owner.owner_agent import OwnerAgent
from ..errors import OmnilyticsError
from ..market.task import TaskId
from .compat import log
from .wire import DeliverRequest

METRICS_NAME = "metrics"


def keep_private(agent: OwnerAgent, task: TaskId, private: ArrayRecord, app: str) -> None:
    """Keep a data owner's own part of the model as it has been trained."""
    if private:
        arrays = [KeptArray(name, array.dtype, tuple(array.shape), array.stype, array.data) for name, array in private.items()]
        _keep(agent, task, private_name(private, app), encode_kept(arrays))


def kept_private(agent: OwnerAgent, task: TaskId, initial: ArrayRecord, app: str) -> ArrayRecord:
    """The private part as it was kept, in the layout of `initial`; `initial` itself if none was."""
    content = agent.kept(task.chain_id, task.market, private_name(initial, app)) if initial else b""
    if not content:
        return initial
    arrays = decode_arrays(content)
    return ArrayRecord({one.name: Array(one.dtype, one.shape, one.stype, one.data) for one in arrays})


def private_name(private: ArrayRecord, app: str) -> str:
    """Name of an app's private part: the same for the same names, shapes and dtypes."""
    layout = sorted((name, array.dtype, tuple(array.shape)) for name, array in private.items())
    return f"private-{keccak256(repr((app, layout)).encode()).hex()[:32]}"


def keep_metrics(agent: OwnerAgent, task: TaskId, metrics: RecordDict) -> None:
    """Keep a round's metrics, in place of those of an earlier round."""
    records = {key: dict(record.items()) for key, record in metrics.metric_records.items()}
    _keep(agent, task, METRICS_NAME, encode_kept(KeptMetrics(task.epoch, task.round, records)))


def kept_metrics(agent: OwnerAgent, request: DeliverRequest) -> RecordDict:
    """The metrics that were kept for the round of a request; none if they were lost, damaged, or of another round.

    Whatever became of them, the vector is delivered.
    """
    try:
        content = agent.kept(request.chain_id, request.market, METRICS_NAME)
        held = decode_metrics(content) if content else None
    except OmnilyticsError as error:
        log(ERROR, "round %s: its metrics do not leave: %s", request.round, error)
        return RecordDict()
    if held is None or (held.epoch, held.round) != (request.epoch, request.round):
        return RecordDict()
    return RecordDict({key: MetricRecord(record) for key, record in held.records.items()})


def _keep(agent: OwnerAgent, task: TaskId, name: str, content: bytes) -> None:
    """Keep something; what cannot be kept costs the client that, and not the round that is committed."""
    try:
        agent.keep(task.chain_id, task.market, name, content)
    except (OmnilyticsError, OSError) as error:
        log(ERROR, "round %s: %s is not kept: %r", task.round, name, error)
