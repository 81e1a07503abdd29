"""The run of the alternatives: each trains over the same nodes, what it came to is judged, and the tables show it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord

from runs.peers.lessons import NAME, Blocks, Noise, digits_of
from runs.peers.nodes import Workers
from runs.peers.parties import train
from runs.peers.recipe import DEFAULT_PATH, PEERS, load_recipe
from runs.peers.result import accuracies, broken_promises, sees_updates
from runs.peers.tables import NAMES, peers_table, screen_tables
from runs.recipes import RecipeError
from runs.reference import ROOT

from ..flower.clients import as_server

RECIPE = load_recipe()
SMALL = Blocks(weights=8_000, owners=5)


@pytest.fixture
def workers() -> Iterator[Workers]:
    """One thread of this process in place of processes."""
    inline = Workers(1)
    with as_server(), ThreadPoolExecutor(1) as thread:
        inline.processes = (thread,)  # type: ignore[assignment]
        yield inline


def trained(peer: str, lesson: Any, workers: Workers, silent: tuple[int, int] | None = None) -> dict[str, Any]:
    return train(peer, lesson, workers, secagg=RECIPE.secagg, silent=silent)


@pytest.mark.parametrize(
    ("peer", "learnt_from", "exchanges", "seen"), [("fedavg", 5, 1, True), ("multikrum", 4, 1, True), ("secagg+", 5, 4, False)]
)
def test_peer_of_flowers_learns_from_whom_it_says_and_is_metered(
    peer: str, learnt_from: int, exchanges: int, seen: bool, workers: Workers
) -> None:
    row = trained(peer, SMALL, workers)

    assert (row["learnt_from"], row["exchanges"], sees_updates(row)) == (learnt_from, exchanges, seen)
    assert min(row["up_bytes"], row["down_bytes"]) > 5 * 4 * SMALL.weights
    assert row["failures"] == []


def test_secagg_halts_without_the_keys_of_one_and_goes_on_without_its_vector(workers: Workers) -> None:
    before, after = (trained("secagg+", SMALL, workers, silent=(3, exchange)) for exchange in (1, 3))

    assert before["learnt_from"] == 0
    assert "Not enough shares" in before["failures"][0]
    assert after["learnt_from"] == 4


def test_market_learns_from_all_with_two_exchanges_and_a_stranger_confirms_it(workers: Workers) -> None:
    row = trained("projected", Blocks(SMALL.weights, 15), workers)

    assert (row["learnt_from"], row["exchanges"], row["audited_rounds"], sees_updates(row)) == (15, 2, 1, False)
    assert row["earned_wei"] == 15 * [row["reward_wei"]]


def test_noise_is_judged_by_the_distance_to_the_honest_mean() -> None:
    lesson = Noise(RECIPE.noise, 0.01)
    start = lesson.start()[NAME].numpy()
    others = [owner for owner in range(lesson.owners) if owner != lesson.case.poisoner]
    honest = np.mean([lesson._change(owner) for owner in others], axis=0)

    def error(change: np.ndarray) -> float:
        return lesson.judge(ArrayRecord({NAME: Array((start + change).astype(np.float32))}))["error"]

    assert error(honest) == pytest.approx(0, abs=1e-3)
    assert error(honest + lesson._change(lesson.case.poisoner)) == pytest.approx(RECIPE.noise.loudness, rel=0.05)


def test_recipe_names_its_peers_and_its_digits_are_those_of_the_case(tmp_path: Path) -> None:
    digits = digits_of(RECIPE.digits, attacked=True).recipe
    assert (digits.data.owners, digits.attack.attackers) == (RECIPE.digits.owners, (RECIPE.digits.poisoner,))
    path = tmp_path / "config.toml"
    path.write_text(DEFAULT_PATH.read_text().replace('peers = ["fedavg"', 'peers = ["fedsgd"', 1))
    with pytest.raises(RecipeError, match="fedsgd"):
        load_recipe(path)


def record() -> dict[str, Any]:
    """A record in which everything was as it should be."""

    def row(peer: str, **facts: object) -> dict[str, Any]:
        market = peer in ("exact", "projected")
        seen = 0.01 if peer in ("fedavg", "multikrum") else 1.0
        made = {"peer": peer, "rounds": 1, "exchanges": 2, "down_bytes": 30e6, "up_bytes": 15e6, "client_seconds": 30.0}
        made |= {"server_seconds": 1.0, "seconds": 4.0, "compressed_to": seen, "failures": []}
        paid = {"gas": {"open": 1, "settle": 2}, "earned_wei": [5] * 15, "reward_wei": 5, "audited_rounds": 1}
        return made | (paid if market else {}) | facts

    spoilt = {"fedavg": 0.1, "secagg+": 0.1}
    made: dict[str, Any] = {"poisoner": 7, "published": [{"system": "another", "source": "https://x", "owners": 3, "gas": 901_265}]}
    made["costs"] = [row(peer, weights=20_000, owners=15, learnt_from=15 - (peer == "multikrum")) for peer in PEERS]
    made["digits"] = [row(peer, attacked=bad, accuracy=spoilt.get(peer, 0.9) if bad else 0.9) for peer in PEERS for bad in (False, True)]
    for one in made["digits"]:
        if one["attacked"] and "earned_wei" in one:
            one["earned_wei"][7] = 0
    made["noise"] = [row(peer, spread=spread, error=0.67 if peer == "fedavg" else 0.2) for peer in PEERS for spread in (0.01, 0.00001)]
    made["silence"] = [row(peer, owners=18, silent_from=at, learnt_from=15) for peer in PEERS for at in (1, 2)]
    return made


def test_record_without_fault_breaks_no_promise_and_each_fault_is_named() -> None:
    assert broken_promises(record()) == []
    bad = record()
    bad["costs"][0]["learnt_from"] = 3
    bad["digits"][-1]["earned_wei"][7] = 5
    bad["noise"][-1]["error"] = 0.67  # what one of 15 moves the mean by
    bad["silence"][-1]["audited_rounds"] = 0
    assert len(broken_promises(bad)) == 4


def test_tables_say_what_happened_and_the_gas_of_the_paper_is_that_of_its_record() -> None:
    onchain = json.loads((ROOT / "runs" / "onchain" / "reference" / "result.json").read_text())
    made = record()
    made["costs"].append({"peer": "exact", "weights": 1_000_000, "owners": 15, "refused": "too large"})
    made["silence"][0] |= {"learnt_from": 0, "failures": ["the keys are gone"]}

    table = peers_table(made, onchain)

    assert "| 1,000,000 | 15 | market, exact | refused |" in table
    assert "| learns from, one silent from exchange 1 on | nobody (the keys are gone), 4 s | 15, 4 s |" in table
    assert "| paid | nothing is | nothing is | nothing is | 14 of 15, not the poisoner |" in table
    assert "| confirmed by an outsider | nothing is | nothing is | nothing is | 1 of 1 rounds |" in table
    assert [one.title for one in screen_tables(made)] == ["What a round costs", "What it protects against"]
    computed = onchain["largest"][2]
    assert f"| 15 | 3,192 | {computed['open_gas'] + computed['settle_gas']:,} |" in table
    assert "901,265 | [theirs](https://x)" in table


@pytest.mark.skipif(not (ROOT / "runs/peers/reference/result.json").exists(), reason="no record is kept yet")
def test_reference_record_kept_its_promises_and_has_every_peer() -> None:
    kept = json.loads((ROOT / "runs/peers/reference/result.json").read_text())
    assert broken_promises(kept) == []
    assert {row["peer"] for row in kept["costs"]} == set(NAMES)
    assert accuracies(kept, "exact")[0] > 0.8
