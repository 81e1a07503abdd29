"""The Flower client app of this run, with or without a market, and what each of its messages costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import ClientAppCallable
from flwr.common.serde import recorddict_to_proto
from torch import nn

from omnilytics_flwr import OmnilyticsMod
from omnilytics_flwr.adversary.adversary_mod import AdversaryMod

from ..mnist.model import train
from ..spending import measured, note
from .data import Shares, load_shares
from .networks import NETWORKS, made
from .recipe import Recipe

METRICS = ("num-examples", "train-loss")


def model_arrays(model: nn.Module) -> ArrayRecord:
    """Arrays of a model, by parameter name."""
    return ArrayRecord(model.state_dict())


def shares_of(recipe: Recipe, name: str) -> Shares:
    """Digits of everybody who trains this model."""
    each, own = recipe.training(name).samples, recipe.model_owner_samples
    return load_shares(owners=recipe.owners, each=each, model_owner=own, test=recipe.test_samples, seed=recipe.seed)


def client_app(recipe: Recipe, name: str, *, market: bool, spent: Path) -> ClientApp:
    """The app of a data owner.

    Parameters
    ----------
    recipe : Recipe
    name : str
        The model, of `networks.NETWORKS`.
    market : bool
        Whether it takes part in a market; there the recipe's attackers poison, and what the patterns name is private.
    spent : Path
        File to which each message adds a line: who, which exchange, what it cost.
    """
    network, training = NETWORKS[name], recipe.training(name)
    mods: list[Callable[[Message, Context, ClientAppCallable], Message]] = []
    if market:
        own_model = (lambda context: model_arrays(made(network, recipe.seed))) if network.private else None
        mods += [OmnilyticsMod(initial_model=own_model), AdversaryMod(recipe.attack, attackers=recipe.attackers, seed=recipe.seed)]
    app = _MeasuredApp(mods, spent, ready=lambda: shares_of(recipe, name))

    @app.train()
    def train_on_share(msg: Message, context: Context) -> Message:
        begun, owner = time.process_time(), int(context.node_config["partition-id"])
        number = int(str(msg.content.config_records["config"]["server-round"]))
        arrays, share, model = msg.content.array_records["arrays"], shares_of(recipe, name).owners[owner], made(network, recipe.seed)
        model.load_state_dict(arrays.to_torch_state_dict(), strict=False)
        loss = train(
            model,
            share.images,
            share.labels,
            epochs=training.local_epochs,
            lr=training.learning_rate,
            batch_size=training.batch_size,
            generator=torch.Generator().manual_seed(recipe.seed * 10_000 + number * 100 + owner),
        )
        state = model.state_dict()
        trained = ArrayRecord({key: state[key] for key in arrays})
        metrics = MetricRecord(dict(zip(METRICS, (len(share.labels), loss), strict=True)))
        app.training_cpu_seconds = time.process_time() - begun
        return Message(RecordDict({"arrays": trained, "metrics": metrics}), reply_to=msg)

    return app


class _MeasuredApp(ClientApp):
    """A client app that writes down what each message cost its process, mods included."""

    def __init__(
        self, mods: list[Callable[[Message, Context, ClientAppCallable], Message]], spent: Path, *, ready: Callable[[], object]
    ) -> None:
        super().__init__(mods=mods)
        self._spent, self._ready = spent, ready
        self.training_cpu_seconds = 0.0

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer a message."""
        self._ready()  # reading the data is no cost of a market
        received, self.training_cpu_seconds = _bytes_of(message.content), 0.0
        with measured() as found:
            reply = super().__call__(message, context)
        sent = 0 if reply.has_error() else _bytes_of(reply.content)
        facts = {"owner": context.node_config["partition-id"], "failed": reply.has_error()}
        work = {"training_cpu_seconds": self.training_cpu_seconds, "received_bytes": received, "sent_bytes": sent}
        note(self._spent, facts | work | found)
        return reply


def _bytes_of(content: RecordDict) -> int:
    return int(recorddict_to_proto(content).ByteSize())  # records' own `count_bytes` refuses an empty value
