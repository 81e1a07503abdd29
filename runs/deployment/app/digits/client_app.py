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

from omnilytics_flwr import omnilytics_mod

from .arrays import arrays_of, model_of
from .task import read_digits, train

USAGE_VARIABLE = "DIGITS_USAGE"
SHARES_VARIABLE = "DIGITS_SHARES"


class DigitsApp(ClientApp):
    """The app in a market, or without one in the plain run that the overhead is measured against."""

    def __call__(self, message: Message, context: Context) -> Message:
        """Serve one message, and note what this process, which lives for one message, has used."""
        in_market, had_arrays = bool(context.run_config["market"]), bool(message.content.array_records)
        reply = super().__call__(message, context) if in_market else plain(message, context)
        path = os.environ.get(USAGE_VARIABLE)
        if path:
            used = resource.getrusage(resource.RUSAGE_SELF)
            facts: dict[str, object] = {"kind": ("train" if had_arrays else "deliver") if in_market else "plain"}
            facts |= {"peak_memory_kib": used.ru_maxrss, "cpu_seconds": used.ru_utime + used.ru_stime, "error": reply.has_error()}
            with open(path, "a") as file:
                file.write(json.dumps(facts) + "\n")
        return reply


plain = ClientApp()
app = DigitsApp(mods=[omnilytics_mod])


def _share(context: Context) -> Path:
    """Where this data owner has its digits: the operator names them in the node config or, where many share a machine, by a pattern."""
    named = context.node_config.get("digits") or os.environ[SHARES_VARIABLE]
    return Path(str(named).replace("{partition-id}", str(context.node_config["partition-id"])))


@plain.train()
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
