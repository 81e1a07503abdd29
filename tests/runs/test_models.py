"""The run of models of four sizes: what is federated of each, what is measured, one short training, and what its record must show."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from omnilytics_flwr import Address, RoundReport
from omnilytics_flwr.market.ledger import Receipt
from omnilytics_flwr.market.public_part import select_private
from runs.gas.rounds import Cost
from runs.models.app import shares_of
from runs.models.networks import NETWORKS, made
from runs.models.recipe import MODELS, load_recipe
from runs.models.result import broken_promises, row_of
from runs.models.run import HERE
from runs.models.tables import PLAIN, models_table
from runs.models.trainings import Trained, starting_model, train_in_market
from runs.recipes import RecipeError
from runs.spending import MIB, measured, note, noted

OWN_APP = HERE.parents[1] / "docs" / "start" / "own-app.md"
NORMALISATION = ("bn1.*", "*.bn?.*", "*.downsample.1.*")


def public_of(model: nn.Module, patterns: tuple[str, ...]) -> set[str]:
    """What is federated under patterns that the documents show."""
    assert f"`{json.dumps(patterns)}`".replace("[", "(").replace("]", ")") in OWN_APP.read_text(encoding="utf-8").replace(",)", ")")
    return set(model.state_dict()) - select_private(model.state_dict(), patterns)


def test_adapters_and_head_are_what_is_trained_of_the_transformer_and_the_base_is_the_seeds() -> None:
    network = NETWORKS["lora"]
    model, again = made(network, 3), made(network, 3)
    public = public_of(model, network.private)
    assert public == {name for name, value in model.named_parameters() if value.requires_grad}
    assert {name.rsplit(".", 1)[-1] for name in public} == {"lora_a", "lora_b", "weight", "bias"}
    assert all(value.equal(again.state_dict()[name]) for name, value in model.state_dict().items())


def test_head_only_and_all_but_the_head() -> None:
    model = made(NETWORKS["lora"], 3)
    head = {"head.weight", "head.bias"}
    assert public_of(model, ("*", "!head.*")) == head
    assert public_of(model, ("head.*",)) == set(model.state_dict()) - head


def test_all_but_normalisation_is_every_other_parameter_of_resnet18() -> None:
    resnet = made(NETWORKS["resnet18"], 3).resnet
    assert isinstance(resnet, nn.Module)
    norms = [name for name, module in resnet.named_modules() if isinstance(module, nn.GroupNorm)]
    assert len(norms) == 20
    assert public_of(resnet, NORMALISATION) == {name for name in resnet.state_dict() if name.rpartition(".")[0] not in norms}


def test_shares_are_different_digits_of_the_seed() -> None:
    recipe = load_recipe()
    shares = shares_of(recipe, "cnn")
    assert [len(share.labels) for share in (*shares.owners, shares.test)] == [recipe.cnn.samples] * recipe.owners + [recipe.test_samples]
    assert not shares.owners[0].images.equal(shares.owners[1].images)


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"owners": 14}, "owners"), ({"attackers": (15,)}, "attackers"), ({"test_samples": 10_000}, "cnn.samples")],
)
def test_recipes_that_make_no_sense_are_refused(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(RecipeError, match=name):
        replace(load_recipe(), **changes)
    with pytest.raises(RecipeError, match="whole batches"):
        replace(load_recipe().cnn, samples=201)


def test_memory_is_measured_above_what_was_there(tmp_path: Path) -> None:
    kept = b"1" * (64 * MIB)
    with measured() as found:
        note(tmp_path / "lines", {"size": len(b"1" * (32 * MIB)) + len(kept)})
    assert 31 < found["mib"] < 64, "the kernel counts some pages late"
    assert noted(tmp_path / "lines") == [{"size": 96 * MIB}]


def line(owner: int, *, cpu: float, training: float = 0.0, mib: float = 50.0) -> dict[str, Any]:
    """What a client notes of one message."""
    spent = {"cpu_seconds": cpu, "training_cpu_seconds": training, "mib": mib}
    return {"owner": owner, "received_bytes": 2 * MIB, "sent_bytes": MIB, **spent}


def test_what_a_client_spends_is_told_of_the_honest_without_training() -> None:
    recipe = load_recipe()
    recipe = replace(recipe, cnn=replace(recipe.cnn, rounds=2))
    of_a_round = [answer for owner in range(3) for answer in (line(owner, cpu=3.0, training=2.0), line(owner, cpu=0.5))]
    attacker = [line(recipe.attackers[0], cpu=100.0, mib=1000.0)]
    trained = Trained([0.5], {"seconds": 4.0, "cpu_seconds": 2.0, "mib": 7.0}, [*of_a_round, *of_a_round, *attacker])
    row = row_of(recipe, "cnn", PLAIN, trained, weights=15)
    expected = {"cpu_seconds": 1.5, "training_cpu_seconds": 2.0, "mib": 50.0, "exchanges": 2.0, "received_mib": 4.0, "sent_mib": 2.0}
    assert row["client"] == expected
    assert row["server"] == {"seconds": 2.0, "cpu_seconds": 1.0, "mib": 7.0}


REFERENCE = HERE / "reference" / "result.json"


@pytest.mark.skipif(not REFERENCE.exists(), reason="no record of runs.models is kept yet")
def test_reference_has_every_model_in_each_market_of_the_recipe_and_held_every_promise() -> None:
    recipe, reference = load_recipe(), json.loads(REFERENCE.read_text(encoding="utf-8"))
    wanted = [(model, kind) for model in MODELS for kind in (PLAIN, *recipe.training(model).verifications)]
    assert [(row["model"], row["verification"]) for row in reference["trainings"]] == wanted
    assert broken_promises(reference) == []


def record() -> dict[str, Any]:
    """A record of one round in which all is well."""
    recipe = load_recipe()
    recipe = replace(recipe, resnet18=replace(recipe.resnet18, rounds=1))
    spent = {"seconds": 1.0, "cpu_seconds": 1.0, "mib": 5.0}
    owners = tuple(Address(f"0x{owner:040x}") for owner in range(15))
    groups = tuple(owners[place : place + 3] for place in range(0, 15, 3))
    receipts = tuple(Receipt(event, f"0x{place}", 1, 100_000) for place, event in enumerate(("open", "settle")))
    report = RoundReport(1, 1, True, owners, owners, groups, (0, 1, 3, 4), receipts=receipts, seconds={"chain": 1.0})
    plain = Trained([0.5, 0.9], spent, [line(0, cpu=1.0, training=1.0)])
    market = Trained([0.5, 0.9], spent, [line(0, cpu=2.0, training=1.0)], (report,), owners, ({"work": "commit", "seconds": 1.0},))
    rows = [row_of(recipe, "resnet18", PLAIN, plain, weights=15)]
    rows.append(row_of(recipe, "resnet18", "projected", market, weights=15, gas=Cost(1, 100_000, 3)))
    facts = {"attackers": [7], "promises": asdict(recipe.promises), "settle_gas_of_smallest": 100_000}
    return {"trainings": rows, **facts}


def test_record_in_which_all_is_well_breaks_no_promise_and_has_its_tables() -> None:
    assert broken_promises(record()) == []
    assert "| resnet18, projected | 15 | 90.0% | 1.00 | 50 | 1.00 | 1.0 | 5 | 100,000 | 100,000 |" in models_table(record()).splitlines()
    assert "| resnet18, projected | data owner | commit | 1.000 |  |  |" in models_table(record()).splitlines()


def _paid_attacker(row: dict[str, Any]) -> None:
    row["paid"][0] = [7]


def _two_settlements(row: dict[str, Any]) -> None:
    row["transactions"][0].append("settle")


def _gas_that_grows(row: dict[str, Any]) -> None:
    row["gas_of_20_owners"]["settle_gas"] *= 2


def _less_learnt(row: dict[str, Any]) -> None:
    row["accuracy"][-1] -= 0.5


def _more_spent(row: dict[str, Any]) -> None:
    for side in ("client", "server"):
        row[side] |= {"cpu_seconds": 1e6, "mib": 1e6}


@pytest.mark.parametrize(
    ("breaks", "number"),
    [(_paid_attacker, 1), (_two_settlements, 1), (_gas_that_grows, 1), (_less_learnt, 1), (_more_spent, 4)],
)
def test_broken_promise_is_named(breaks: Any, number: int) -> None:
    result = record()
    breaks(result["trainings"][-1])
    broken = broken_promises(result)
    assert len(broken) == number
    assert all(claim.startswith("resnet18") for claim in broken)


@pytest.mark.slow
def test_short_training_in_a_market_pays_no_attacker() -> None:
    """A chain, a simulation and 15 data owners take some twenty seconds."""
    recipe = load_recipe()
    recipe = replace(recipe, cnn=replace(recipe.cnn, rounds=1, samples=40))
    told: list[str] = []
    trained = train_in_market(recipe, "cnn", starting_model(recipe, "cnn"), "projected", on_round=told.append)
    row = row_of(recipe, "cnn", "projected", trained, weights=20_522, gas=Cost(1, 2, 3))
    assert len(told) == len(row["accuracy"]) == 2
    assert row["settled"] == [True]
    assert not set(row["paid"][0]) & set(recipe.attackers)
    assert row["client"]["exchanges"] == 2
    assert row["gas"]["settle"] > 100_000
