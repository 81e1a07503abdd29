"""Flower's SecAgg+ around an app of the Message API.

Flower has SecAgg+ for its older API only: under the Message API its mod fails for want of ``fitres.parameters``. So the server runs the
older workflow, step by step, and a mod translates what reaches the app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp.typing import ClientAppCallable
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.compat.common import recorddict_compat as compat

from .recipe import SecAgg

if TYPE_CHECKING:
    from .nodes import Nodes


class OlderMessages:
    """A mod between Flower's `secaggplus_mod` and an app of the Message API, whose model has these array names and is of float32."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def __call__(self, msg: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Train as a message of the Message API asks."""
        ins = compat.recorddict_to_fitins(msg.content, keep_input=True)
        received = [np.asarray(array, np.float32) for array in parameters_to_ndarrays(ins.parameters)]
        arrays = ArrayRecord({name: Array(array) for name, array in zip(self._names, received, strict=True)})
        msg.content = RecordDict({"arrays": arrays, "config": ConfigRecord({"server-round": int(msg.metadata.group_id)})})
        reply = call_next(msg, context)
        trained = reply.content.array_records["arrays"]
        result = FitRes(
            status=Status(Code.OK, ""),
            parameters=ndarrays_to_parameters([trained[name].numpy() for name in self._names]),
            num_examples=int(cast("int", reply.content.metric_records["metrics"]["num-examples"])),
            metrics={},
        )
        return Message(compat.fitres_to_recorddict(result, keep_input=False), reply_to=msg)


def train_secagg(nodes: Nodes, start: ArrayRecord, *, rounds: int, settings: SecAgg) -> ArrayRecord:
    """The model after some rounds; as it was, after a round that Flower halts."""
    from flwr.server import LegacyContext, ServerConfig, SimpleClientManager
    from flwr.server.compat.grid_client_proxy import GridClientProxy
    from flwr.server.strategy import FedAvg
    from flwr.server.workflow import SecAggPlusWorkflow
    from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key

    manager = SimpleClientManager()
    for node in nodes.get_node_ids():
        manager.register(GridClientProxy(node, nodes, run_id=1))
    owners = manager.num_available()
    context = LegacyContext(
        Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={}),
        config=ServerConfig(num_rounds=rounds),
        strategy=FedAvg(min_fit_clients=owners, min_available_clients=owners, fraction_evaluate=0.0),
        client_manager=manager,
    )
    initial = ndarrays_to_parameters([array.numpy() for array in start.values()])
    context.state.array_records[MAIN_PARAMS_RECORD] = compat.parameters_to_arrayrecord(initial, keep_input=True)
    workflow = SecAggPlusWorkflow(settings.shares, settings.threshold, max_weight=settings.max_weight)
    for number in range(1, rounds + 1):
        context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({Key.CURRENT_ROUND: number})
        workflow(nodes, context)
    final = compat.arrayrecord_to_parameters(context.state.array_records[MAIN_PARAMS_RECORD], keep_input=True)
    arrays = [array.astype(np.float32) for array in parameters_to_ndarrays(final)]
    return ArrayRecord({name: Array(array) for name, array in zip(start, arrays, strict=True)})
