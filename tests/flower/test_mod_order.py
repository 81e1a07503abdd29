"""Where the mod stands: wrong orders are refused by name at the first message, and Flower's own mods work in the right one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp import mod as flowers_mods
from flwr.clientapp.mod import LocalDpMod, arrays_size_mod, message_size_mod

from omnilytics_flwr.errors import Refused
from omnilytics_flwr.flower.mod import OmnilyticsMod
from omnilytics_flwr.flower.wire import RECORD, CommitReply
from tests.flower.clients import Client, make_model, step_towards

FITTING: dict[str, Callable[[], Any]] = {
    "LocalDpMod": lambda: LocalDpMod(clipping_norm=1.0, sensitivity=1e-3, epsilon=10.0, delta=0.1),
    "arrays_size_mod": lambda: arrays_size_mod,
    "message_size_mod": lambda: message_size_mod,
}
"""Mods of Flower's that work behind the market's."""
CENTRAL = {"adaptiveclipping_mod", "fixedclipping_mod"}
"""Those that need a strategy which a market refuses."""


def app_of(client: Client, *, mods: list[Any], of_train: list[Any] | None = None) -> ClientApp:
    """The client's app with these mods."""
    app = ClientApp(mods=mods)

    @app.train(mods=of_train)
    def train(message: Message, context: Context) -> Message:
        (arrays,) = message.content.array_records.values()
        new: ArrayRecord = step_towards(client.trainer.target, arrays)
        client.trainer.trained.append(message)
        return Message(RecordDict({"arrays": new, "metrics": MetricRecord({"loss": 0.5})}), reply_to=message)

    return app


def ours(client: Client) -> OmnilyticsMod:
    return OmnilyticsMod(agent=lambda context: client.owner.agent())


def test_every_mod_of_flowers_is_decided() -> None:
    assert {*FITTING, *CENTRAL} == set(flowers_mods.__all__)


@pytest.mark.parametrize("of_train", [False, True], ids=["of the app", "of its train function"])
@pytest.mark.parametrize("name", FITTING)
def test_flowers_mod_behind_the_markets_trains_commits_and_delivers(client: Client, name: str, of_train: bool) -> None:
    other = [FITTING[name]()]
    client.app = app_of(client, mods=[ours(client)], of_train=other) if of_train else app_of(client, mods=[ours(client), *other])
    reply = client.train(make_model())
    assert not reply.has_error(), reply
    assert CommitReply.from_record(reply.content.config_records[RECORD]).owner == client.owner.address
    assert not client.deliver(client.commit_and_open()).has_error()


@pytest.mark.parametrize("name", FITTING)
def test_mod_before_the_markets_is_refused_by_name_with_the_right_order(client: Client, name: str) -> None:
    client.app = app_of(client, mods=[FITTING[name](), ours(client)])
    order = rf"{name} stands before omnilytics_mod; expected it to be the first: ClientApp\(mods=\[omnilytics_mod, {name}\]\)"
    with pytest.raises(Refused, match=order):
        client.train(make_model())
    assert client.trainer.untouched


def test_mod_of_one_function_alone_is_refused_before_anything_is_trained(client: Client) -> None:
    """Its evaluate function would answer anybody."""
    client.app = app_of(client, mods=[], of_train=[ours(client)])
    with pytest.raises(Refused, match="is given to one function of the app, which leaves the others unguarded"):
        client.train(make_model())
    assert client.trainer.untouched
