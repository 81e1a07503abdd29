"""A local round runs the app's own functions as Flower would, in a market already or not, and asks no market."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAvg
from flwr.supercore.task_identity import TaskIdentity

import omnilytics_flwr
from omnilytics_flwr.errors import BadTerms, TermsError
from omnilytics_flwr.market.terms import Terms
from omnilytics_flwr.trial.app_folder import asks_registry_for_us
from omnilytics_flwr.trial.local_round import local_round
from tests.support.builders import VERIFICATION

PROJECT = """
[tool.flwr.app.components]
serverapp = "tried_app:server"
clientapp = "tried_app:client"
[tool.flwr.app.config]
rate = 0.5
"""
APP = """
import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
{imports}
server, client = ServerApp(), ClientApp(mods={mods})

@server.main()
def main(grid, context):
    model = ArrayRecord({{"w": Array(np.zeros(2)), "own": Array(np.zeros(2))}})
    strategy = {strategy}
    strategy.start(grid=grid, initial_arrays=model, num_rounds=2, train_config=ConfigRecord({{"lr": 0.25}}), evaluate_fn={evaluate_fn})

@client.train()
def train(message, context):
    print("training")
    settings, node = message.content["config"], context.node_config
    by = [settings["lr"] * settings["server-round"] * context.run_config["rate"] * node["scale"], node["partition-id"] / node["num-partitions"]]
    arrays = ArrayRecord({{name: Array(array.numpy() + by) for name, array in message.content["arrays"].items()}})
    return Message(RecordDict({{"arrays": {reply}, "metrics": MetricRecord({{"num-examples": 3 + node["partition-id"], "losses": [0.5, 0.25]{metrics}}})}}), reply_to=message)

@client.evaluate()
def evaluate(message, context):
    return Message(RecordDict({{"metrics": MetricRecord({{"accuracy": {accuracy}, "two words": 1.0}})}}), reply_to=message)
"""
PLAIN = {"imports": "", "mods": "[]", "strategy": "FedAvg()", "reply": "arrays", "evaluate_fn": "None", "accuracy": "0.5", "metrics": ""}
IN_A_MARKET = {
    "imports": "from omnilytics_flwr import Omnilytics, OmnilyticsMod, open_market",
    "mods": "[OmnilyticsMod(initial_model=lambda context: 1 / 0)]",
    "strategy": 'Omnilytics(FedAvg(), ledger=open_market(), private=("own",))',
    "reply": "arrays",
}


def write_app(folder: Path, **parts: str) -> Path:
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "tried_app.py").write_text(APP.format(**(PLAIN | parts)))
    return folder


@pytest.mark.parametrize("parts", [PLAIN, IN_A_MARKET], ids=["plain", "in a market"])
def test_clients_get_what_the_server_would_send_and_their_own_settings(
    parts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, mod = set(sys.modules), omnilytics_flwr.omnilytics_mod
    told: list[int] = []
    found = local_round(
        write_app(tmp_path, **parts), owners=4, trained=2, run_config="rate=2.0", node_config="scale=3", on_client=told.append
    )
    assert [one["w"].numpy().tolist() for one in found.trained] == [[1.5, 0.0], [1.5, 0.25]]
    assert np.all(found.start.arrays["w"].numpy() == 0)
    assert found.start.private == (("own",) if parts is IN_A_MARKET else ())
    assert found.start.rounds == 2
    assert found.start.in_market == found.has_mod == (parts is IN_A_MARKET)
    assert found.metrics == ("accuracy", "num-examples"), "no list, and no name that terms cannot hold"
    assert found.trouble == ""
    assert found.examples == (3, 4)
    assert told == [1, 2]
    assert "training" not in capsys.readouterr().out, "standard output is the command's own"
    assert "tried_app" not in set(sys.modules) - before
    assert omnilytics_flwr.omnilytics_mod is mod
    assert vars(TaskIdentity)["_node_id"] is None
    assert FedAvg().start.__name__ == "start"


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (
            IN_A_MARKET | {"mods": "[lambda message, context, call_next: call_next(message, context), OmnilyticsMod()]"},
            "is refused in a market: <lambda> stands before omnilytics_mod; expected it to be the first",
        ),
        ({"strategy": "FedAvg(min_available_nodes=5)"}, "waits for 5 nodes; expected at most 4"),
        ({"strategy": "FedAvg(fraction_train=0.0)"}, "asks nobody to train in round 1"),
        (
            {"imports": "from flwr.serverapp.strategy import FedMedian", "strategy": "FedMedian()"},
            "FedMedian cannot run in a market: it needs every data owner's own update",
        ),
        ({"evaluate_fn": "lambda number, arrays: 1 / 0"}, "the evaluate_fn of .* fails: ZeroDivisionError"),
        (
            {"reply": "1 / 0"},
            r"fails at tried_app.py, line 22: ZeroDivisionError: division by zero; it was tried as partition 0 of 4; --owners changes how many",
        ),
        ({"reply": "FedAvg().aggregate_train(1)"}, "fails at tried_app.py, line 22: TypeError"),
        ({"reply": "nope"}, "line 22: NameError: name 'nope' is not defined; see whether it runs without a market$"),
        ({"reply": "node['x']"}, "partition 0 of 4, with the node config partition-id, num-partitions, scale; --owners"),
        ({"mods": "[lambda message, context: None]"}, "fails: TypeError: .*; see whether it runs without a market$"),
        ({"reply": "ArrayRecord()"}, "replies with another model: 0 parameters came, expected 2"),
    ],
)
def test_app_that_cannot_be_tried_is_refused_by_a_sentence(
    parts: dict[str, str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TermsError, match=sentence):
        local_round(write_app(Path(), **parts), owners=4, node_config="scale=3")


def test_everybody_is_asked_for_its_examples_and_what_the_others_trained_is_not_kept(tmp_path: Path) -> None:
    found = local_round(write_app(tmp_path), owners=4, trained=1, count_all=True, node_config="scale=3")
    assert (found.examples, len(found.trained)) == ((3, 4, 5, 6), 1)


def test_client_that_fails_to_evaluate_is_told_and_proposes_none_of_its_metrics(tmp_path: Path) -> None:
    found = local_round(write_app(tmp_path, accuracy="1 / 0"), owners=4, trained=1, node_config="scale=3")
    assert "fails to evaluate: ZeroDivisionError: division by zero; a run goes on" in found.trouble
    assert found.metrics == ("num-examples",)


MANY_METRICS = "".join(f', "{"long" * count}": 1.0' for count in range(1, 14))


def test_metrics_that_terms_have_no_room_for_stay_and_are_told(tmp_path: Path) -> None:
    found = local_round(write_app(tmp_path, metrics=MANY_METRICS), owners=4, trained=1, node_config="scale=3")
    with pytest.raises(BadTerms, match="metrics is 398, it must lie in 0"):
        Terms.for_model(4, verification=VERIFICATION, metrics=found.metrics)
    terms = Terms.for_model(4, verification=VERIFICATION, metrics=found.fitting)
    assert terms.metrics == ("accuracy", *("long" * count for count in range(1, 11)), "num-examples")
    assert found.no_room.startswith(
        f"{', '.join('long' * count for count in range(11, 14))} have no room in the terms, which hold 256 bytes"
    )


@pytest.mark.parametrize(
    ("dependency", "is_told"),
    [
        ("omnilytics_flwr", True),
        ("Omnilytics-Flwr >= 0.1", True),
        ("omnilytics-flwr[all]", True),
        ("omnilytics-flwr @ file:///checkout", False),
        ("omnilytics-flwr-apps", False),
        ("flwr", False),
    ],
)
def test_app_that_would_get_this_package_from_a_registry_is_told(dependency: str, is_told: bool, tmp_path: Path) -> None:
    assert asks_registry_for_us(write_app(tmp_path)) == ""
    (tmp_path / "pyproject.toml").write_text(f"[project]\ndependencies = ['numpy', '{dependency}']")
    assert ("on the public registry that name is not ours" in asks_registry_for_us(tmp_path)) == is_told
