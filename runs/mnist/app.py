"""The Flower app of this run, as anybody would write it: a train function that knows nothing of a market.

In a market the client app takes one more mod; that is the whole difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import ClientAppCallable

from omnilytics_flwr import OmnilyticsMod
from omnilytics_flwr.adversary.labels import flip_labels

from ..digits import CLASSES
from .attacks import poison
from .data import load
from .model import PRIVATE, Net, initial_model, train
from .recipe import Recipe

__all__ = ["METRICS", "PRIVATE", "client_app", "load_model", "market_mod", "model_arrays"]

Mod = Callable[[Message, Context, ClientAppCallable], Message]

METRICS = ("num-examples", "train-loss", "train-seconds")
"""What a data owner tells besides its update; in a market the terms name these."""


def model_arrays(model: Net) -> ArrayRecord:
    """Arrays of a model, by parameter name."""
    return ArrayRecord(model.state_dict())


def load_model(arrays: ArrayRecord) -> Net:
    """Model of these arrays."""
    model = Net()
    model.load_state_dict(arrays.to_torch_state_dict())
    return model


def client_app(recipe: Recipe, *, mods: Sequence[Mod] = (), attacked: bool) -> ClientApp:
    """The app of a data owner.

    Parameters
    ----------
    recipe : Recipe
    mods : sequence of mods (default: none)
        What a market, or another way to aggregate, adds to the app.
    attacked : bool
        Whether the recipe's attackers poison.
    """
    app = ClientApp(mods=[*mods, _poisoning(recipe)] if attacked else [*mods])

    @app.train()
    def train_on_share(msg: Message, context: Context) -> Message:
        owner = int(context.node_config["partition-id"])
        server_round = _round_of(msg)
        digits = load(recipe)
        share = torch.from_numpy(digits.owners[owner])
        labels = digits.labels[share]
        if attacked and owner in recipe.attack.attackers and recipe.attack.kind == "label-flip":
            labels = torch.from_numpy(flip_labels(labels.numpy(), CLASSES))
        model = load_model(msg.content.array_records["arrays"])
        start = time.perf_counter()
        loss = train(
            model,
            digits.images[share],
            labels,
            epochs=recipe.training.local_epochs,
            lr=recipe.training.learning_rate,
            batch_size=recipe.training.batch_size,
            generator=torch.Generator().manual_seed(recipe.seed * 10_000 + server_round * 100 + owner),
        )
        facts = (len(share), loss, time.perf_counter() - start)
        metrics = MetricRecord(dict(zip(METRICS, facts, strict=True)))
        return Message(RecordDict({"arrays": model_arrays(model), "metrics": metrics}), reply_to=msg)

    return app


def market_mod(recipe: Recipe) -> OmnilyticsMod:
    """The mod of this run's market: the first convolution is a data owner's private part."""
    return OmnilyticsMod(initial_model=lambda context: model_arrays(initial_model(recipe.seed)))


def _round_of(msg: Message) -> int:
    return int(str(msg.content.config_records["config"]["server-round"]))


def _poisoning(recipe: Recipe) -> Mod:
    """A mod of the attackers' own: what honest training gave is replaced by the poison."""

    def poisoning_mod(msg: Message, context: Context, call_next: ClientAppCallable) -> Message:
        owner = int(context.node_config["partition-id"])
        received = msg.content.array_records["arrays"].to_numpy_ndarrays()
        reply = call_next(msg, context)
        if owner not in recipe.attack.attackers:
            return reply
        trained = reply.content.array_records["arrays"]
        rng = np.random.default_rng([recipe.seed, owner, _round_of(msg)])
        sent = poison(received, trained.to_numpy_ndarrays(), kind=recipe.attack.kind, scale=recipe.attack.scale, rng=rng)
        state = dict(zip(trained.keys(), (torch.from_numpy(part) for part in sent), strict=True))
        reply.content["arrays"] = ArrayRecord(state)
        return reply

    return poisoning_mod
