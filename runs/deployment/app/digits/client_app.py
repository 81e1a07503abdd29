"""The data owner's app: a train function that knows nothing of a market, and the mod that does."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path

import numpy as np
from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import ClientAppCallable

from omnilytics_flwr import omnilytics_mod

from .arrays import arrays_of, model_of
from .task import read_digits, train

USAGE_VARIABLE = "DIGITS_USAGE"
SHARES_VARIABLE = "DIGITS_SHARES"


def _usage_mod(msg: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Note what this process, which lives for one message, has used."""
    had_arrays = bool(msg.content.array_records)
    reply = call_next(msg, context)
    path = os.environ.get(USAGE_VARIABLE)
    if path:
        used = resource.getrusage(resource.RUSAGE_SELF)
        kind = ("train" if had_arrays else "deliver") if context.run_config["market"] else "plain"
        facts: dict[str, object] = {"kind": kind}
        facts |= {"peak_memory_kib": used.ru_maxrss, "cpu_seconds": used.ru_utime + used.ru_stime, "error": reply.has_error()}
        with open(path, "a") as file:
            file.write(json.dumps(facts) + "\n")
    return reply


def _market_mod(msg: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """The market's mod, unless the run is the plain one that the overhead is measured against."""
    return omnilytics_mod(msg, context, call_next) if context.run_config["market"] else call_next(msg, context)


app = ClientApp(mods=[_usage_mod, _market_mod])


def _share(context: Context) -> Path:
    """Where this data owner has its digits: the operator names them in the node config or, where many share a machine, by a pattern."""
    named = context.node_config.get("digits") or os.environ[SHARES_VARIABLE]
    return Path(str(named).replace("{partition-id}", str(context.node_config["partition-id"])))


@app.train()
def train_on_share(msg: Message, context: Context) -> Message:
    """Train on this data owner's own digits."""
    start = time.perf_counter()
    owner, settings = int(context.node_config["partition-id"]), context.run_config
    digits = read_digits(_share(context))
    config = msg.content.config_records["config"]
    model = model_of(msg.content.array_records["arrays"])
    trained, loss = train(
        model,
        digits,
        epochs=int(settings["local-epochs"]),
        lr=float(settings["learning-rate"]),
        batch_size=int(settings["batch-size"]),
        rng=np.random.default_rng([int(settings["seed"]), owner, int(str(config["server-round"]))]),
    )
    metrics = MetricRecord({"num-examples": len(digits.labels), "train-loss": loss, "train-seconds": time.perf_counter() - start})
    return Message(RecordDict({"arrays": arrays_of(trained), "metrics": metrics}), reply_to=msg)
