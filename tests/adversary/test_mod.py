"""The mod of attackers in a Flower client app, alone and inside a market's mod."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import Mod
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr.adversary.adversary_mod import AdversaryMod
from omnilytics_flwr.adversary.knowledge import Update
from omnilytics_flwr.adversary.updates import Noise, SignFlip
from omnilytics_flwr.data_owner.owner_agent import OwnerAgent
from omnilytics_flwr.errors import TermsError
from omnilytics_flwr.flower.mod import OmnilyticsMod
from omnilytics_flwr.flower.strategy import Omnilytics
from tests.data_owner.owners import make_owners_scene
from tests.flower.clients import FakeGrid, make_context, wire
from tests.flower.markets import waiter

START: dict[str, np.ndarray] = {"w": np.float32([[1, 2], [3, 4]]), "count": np.array([5]), "b": np.float16([0.5])}
STEP: dict[str, np.ndarray] = {"w": np.float32([[0.5, -0.5], [1, 0]]), "count": np.array([1]), "b": np.float16([0.25])}
HONEST = np.array([0.5, -0.5, 1.0, 0.0, 0.25])


def record(arrays: dict[str, np.ndarray]) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def app_with(*mods: Mod, reply: Callable[[Message], Message] | None = None, more: float = 0.0) -> ClientApp:
    """An app that adds `STEP`, and `more`, to what it gets."""
    app = ClientApp(mods=list(mods))

    @app.train()
    def train(msg: Message, context: Context) -> Message:
        if reply is not None:
            return reply(msg)
        got = {name: array.numpy() for name, array in msg.content["arrays"].items()}
        trained = {name: np.asarray(array + STEP[name] + more, dtype=array.dtype) for name, array in got.items()}
        return Message(RecordDict({"arrays": record(trained), "metrics": MetricRecord({"num-examples": 3})}), reply_to=msg)

    @app.evaluate()
    def evaluate(msg: Message, context: Context) -> Message:
        return Message(RecordDict({"metrics": MetricRecord({"loss": 1.0})}), reply_to=msg)

    return app


def ask(app: ClientApp, context: Context, arrays: dict[str, np.ndarray] = START, number: int = 1, kind: str = MessageType.TRAIN) -> Message:
    content = RecordDict({"arrays": record(arrays), "config": ConfigRecord({"server-round": number})})
    return wire(app(wire(Message(content, 11, kind)), context))


def sent_by(reply: Message, arrays: dict[str, np.ndarray] = START) -> dict[str, np.ndarray]:
    """By how much each array moved."""
    return {name: array.numpy().astype(np.float64) - arrays[name] for name, array in reply.content["arrays"].items()}


def flat(moved: dict[str, np.ndarray]) -> Update:
    return np.concatenate([moved["w"].ravel(), moved["b"].ravel()])


def test_attackers_update_is_poisoned_in_its_own_dtypes_and_the_rest_stays() -> None:
    reply = ask(app_with(AdversaryMod("sign-flip", attackers=[2], scale=2.0)), make_context(11, **{"partition-id": 2}))
    moved = sent_by(reply)
    np.testing.assert_allclose(flat(moved), -2 * HONEST)
    assert moved["count"].tolist() == [1], "a counter is no weight"
    assert {name: array.numpy().dtype for name, array in reply.content["arrays"].items()} == {n: a.dtype for n, a in START.items()}
    assert dict(reply.content["metrics"]) == {"num-examples": 3}


@pytest.mark.parametrize("attackers", [[2], (), lambda context: context.node_config["partition-id"] == 2])
def test_who_is_no_attacker_is_left_alone(attackers: Any) -> None:
    reply = ask(app_with(AdversaryMod("zero", attackers=attackers)), make_context(11, **{"partition-id": 3}))
    np.testing.assert_allclose(flat(sent_by(reply)), HONEST)


def test_evaluation_and_errors_pass() -> None:
    context = make_context(11, **{"partition-id": 0})
    evaluated = ask(app_with(AdversaryMod("zero", attackers=[0])), context, kind=MessageType.EVALUATE)
    assert dict(evaluated.content["metrics"]) == {"loss": 1.0}
    failing = app_with(AdversaryMod("zero", attackers=[0]), reply=lambda msg: Message(Error(7, "no data"), reply_to=msg))
    assert ask(failing, context).error.code == 7


def test_noise_differs_by_partition_and_round_and_repeats_with_the_seed() -> None:
    def noise(partition: int, number: int, seed: int) -> bytes:
        app = app_with(AdversaryMod(Noise(1.0), attackers=[0, 1], seed=seed))
        return flat(sent_by(ask(app, make_context(11, **{"partition-id": partition}), number=number))).tobytes()

    assert noise(0, 1, 5) == noise(0, 1, 5)
    assert len({noise(0, 1, 5), noise(1, 1, 5), noise(0, 2, 5), noise(0, 1, 6)}) == 4


def test_stale_and_echo_remember_the_round_before_in_the_context() -> None:
    later = {name: np.asarray(array + 3 * STEP[name], dtype=array.dtype) for name, array in START.items()}
    for name, strength, expected in (("stale", {}, HONEST), ("echo", {"noise": 0.0}, 3 * HONEST)):
        context = make_context(11, **{"partition-id": 0})
        first = ask(app_with(AdversaryMod(name, attackers=[0], **strength)), context)
        # Another app object, as another process would have it.
        second = ask(app_with(AdversaryMod(name, attackers=[0], **strength)), context, later, number=2)
        assert not flat(sent_by(first)).any()
        np.testing.assert_allclose(flat(sent_by(second, later)), expected, atol=1e-3)


def test_nan_and_wrong_length_leave_the_client_as_they_are() -> None:
    context = make_context(11, **{"partition-id": 0})
    assert np.isnan(flat(sent_by(ask(app_with(AdversaryMod("nan", attackers=[0])), context)))).all()
    short = ask(app_with(AdversaryMod("wrong-length", attackers=[0], missing=2)), context)
    assert {name: array.numpy().size for name, array in short.content["arrays"].items()} == {"w": 3, "count": 1, "b": 0}


def test_attack_that_colludes_is_given_what_others_have() -> None:
    seen = [HONEST + 0.1, HONEST - 0.1]
    others = Mock(return_value=seen)
    app, context = app_with(AdversaryMod("inner-product", attackers=[0], seen=others, epsilon=1.0)), make_context(11, **{"partition-id": 0})
    reply = ask(app, context, number=4)
    np.testing.assert_allclose(flat(sent_by(reply)), -HONEST, atol=1e-3)
    others.assert_called_once_with(context, 4)


def test_attack_knows_how_many_there_are() -> None:
    spy = Mock(side_effect=lambda known: known.honest)
    ask(app_with(AdversaryMod(spy, attackers=[0, 4], owners=9)), make_context(11, **{"partition-id": 4}))
    (known,) = spy.call_args.args
    assert (known.owners, known.attackers) == (9, 2)
    np.testing.assert_allclose(known.honest, HONEST)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("inner-product", "pass them as `seen`"), ("label-flip", "is no attack that can"), ("late", "is no attack that can")],
)
def test_attack_that_no_mod_can_run_is_refused_before_anything_runs(name: str, reason: str) -> None:
    with pytest.raises(TermsError, match=reason):
        AdversaryMod(name, attackers=[0])


def test_attacker_in_a_market_is_dropped_and_unpaid(tmp_path: Path) -> None:
    """The whole way: strategy, both mods, agents, proof and market; the attacker's group is the one left out."""
    scene, owners = make_owners_scene(tmp_path, num_owners=15, weights=5)
    agents = {number: owner.agent() for number, owner in owners.items()}
    attacker = scene.owners_of(1 << 2)[0]
    apps = {100 + number: app_in_market(number, agents[number], attacker) for number in owners}
    strategy = Omnilytics(FedAvg(fraction_evaluate=0.0), ledger=scene.ledger(), wait=waiter(scene))
    start = ArrayRecord({"w": Array(START["w"]), "b": Array(np.float32([0.5]))})
    strategy.start(FakeGrid(apps), start, num_rounds=1)
    report = strategy.reports[0]
    assert report.settled
    assert report.dropped == (2,)
    owed = {number: scene.market.claimable_wei(owner.address) for number, owner in owners.items()}
    assert [number for number, amount in owed.items() if not amount] == sorted(scene.owners_of(1 << 2))


def app_in_market(number: int, agent: OwnerAgent, attacker: int) -> ClientApp:
    """An app with both mods, whose training moves everybody by nearly the same."""
    mods = OmnilyticsMod(agent=lambda context: agent), AdversaryMod(SignFlip(3.0), attackers=[attacker])
    return app_with(*mods, more=number / 1000)
