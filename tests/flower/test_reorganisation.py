"""Reorganisations of a real chain: three blocks are gone, right after the opening or right after the settlement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omnilytics_flwr.market.stage import Stage
from tests.flower.clients import arrays_of
from tests.flower.markets import NUM_OWNERS, REWARD_WEI, ChainRun, chain_run


@pytest.fixture
def run(tmp_path: Path) -> Iterator[ChainRun]:
    """A chain for each test: anvil loses its snapshots in a reorganisation."""
    with chain_run(tmp_path) as made:
        yield made


def two_rounds(run: ChainRun, stage: tuple[int, str] | None, blocks: int) -> tuple[dict[str, bytes], list[str]]:
    """Two rounds, with a reorganisation when a stage begins: the model at the end, and the transactions that were sent."""
    grid, struck = run.grid(), []

    def strike(number: int, name: str) -> None:
        if (number, name) == stage and not struck:
            struck.append(name)
            run.market.anvil.endpoint.request("anvil_reorg", blocks, [])

    before = len(run.market.transactions)
    result, strategy = run.start(grid, on_stage=strike)
    assert bool(struck) == (stage is not None)
    assert [(report.round, report.settled) for report in strategy.reports] == [(1, True), (2, True)]
    model = {name: array.tobytes() for name, array in arrays_of(result.arrays).items()}
    return model, [record.event for record in run.market.transactions[before:]]


@pytest.mark.parametrize(
    ("stage", "again"),
    [
        pytest.param((1, "deliver"), ["anchor", "open"], marks=pytest.mark.slow),
        pytest.param((1, "done"), ["anchor", "open", "settle"], marks=pytest.mark.slow),
        ((2, "deliver"), ["open", "settle", "open"]),
    ],
)
def test_three_blocks_gone_are_made_up_for(run: ChainRun, stage: tuple[int, str], again: list[str]) -> None:
    undisturbed, steps = two_rounds(run, None, 0)
    assert steps == ["anchor", "open", "settle", "open", "settle"]
    run.rewind()
    model, sent = two_rounds(run, stage, 3)
    done = steps[: 2 * stage[0] + (stage[1] == "done")]
    assert sent == [*done, *again, *steps[len(done) :]]
    assert model == undisturbed
    state = run.state
    assert (state.stage, state.round) == (Stage.ANCHORED, 3)
    assert state.owed_wei == 2 * 12 * REWARD_WEI == run.claimable_wei(), "both rounds are paid, once"
    assert run.surplus_wei() == 0
    assert [len(trainer.trained) for trainer in run.trainers] == [2] * NUM_OWNERS, "who has trained does not train again"
