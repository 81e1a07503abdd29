"""A run whose rounds teach nothing ends loudly, with the reason that matters, before it pays again."""

from __future__ import annotations

from pathlib import Path

import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr.errors import NothingLearnt
from omnilytics_flwr.market.terms_bounds import norm_bound_steps
from tests.flower.clients import exchange_in, lose, make_model, shifted
from tests.flower.markets import FIRST_NODE, MemoryRun, memory_run
from tests.support.builders import address_of


def ended(run: MemoryRun, rounds: int) -> str:
    """Why a run ended."""
    with pytest.raises(NothingLearnt) as caught:
        run.strategy.start(run.grid, make_model(), rounds)
    assert run.scene.surplus_wei() == 0
    return str(caught.value)


def test_one_silent_member_of_each_group_is_named_with_nodes_time_and_reasons(tmp_path: Path) -> None:
    run = memory_run(tmp_path)
    silent = [group[0] for group in run.groups()]

    def refuse(node: int, message: Message) -> Message:
        if node - FIRST_NODE in silent[1:]:
            return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, "the disk is full"), reply_to=run.grid.requests[-1][1])
        return message

    run.grid.on_request, run.grid.on_reply = lose("train", FIRST_NODE + silent[0]), refuse
    reason = ended(run, 2)
    assert [report.settled for report in run.reports] == [False, False]
    assert "no round of this run taught anything" in reason
    assert "no group is whole. 10 of 15 data owners committed before the time-out of" in reason
    assert "nodes that are there: 15" in reason
    assert all(address_of(number) in reason for number in silent)
    assert "4 nodes" in reason
    assert "the disk is full" in reason


def test_run_stops_after_the_first_round_in_which_nobody_delivered(tmp_path: Path) -> None:
    """As where a mod of the app stands before the market's: everybody commits, and nobody delivers."""
    run = memory_run(tmp_path)
    run.grid.on_request = lose("deliver", *run.grid.apps)
    assert "settled and paid 15 data owners, and taught nothing: no group delivered whole" in ended(run, 3)
    (report,) = run.reports
    assert (report.settled, report.waived, len(report.paid), len(report.undelivered)) == (True, (0, 1, 2, 3, 4), 15, 15)
    assert len([node for node, message in run.grid.requests if exchange_in(message) == "train"]) == 15, "a second round is not even begun"


def test_norm_that_is_too_small_is_named_after_one_round(tmp_path: Path) -> None:
    run = memory_run(tmp_path, norm_bound=10_000)
    reason = ended(run, 3)
    assert f"beyond the norm bound of the terms, a mean update of length {run.scene.terms.longest_mean:g}" in reason
    assert len(run.reports) == 1
    needed = float(reason.partition("A norm of ")[2].split()[0])
    (tmp_path / "larger").mkdir()
    larger = memory_run(tmp_path / "larger", norm_bound=norm_bound_steps(1.1 * needed, clip=run.scene.terms.clip, update_bits=16))
    larger.strategy.start(larger.grid, make_model(), 1)
    assert larger.reports[0].learnt, "at the norm that was named a round teaches something"


def test_strategy_that_trains_nobody_gives_the_model_back(tmp_path: Path) -> None:
    run = memory_run(tmp_path, inner=FedAvg(fraction_train=0.0))
    result = run.strategy.start(run.grid, make_model(), 1)
    assert {n: a.data for n, a in result.arrays.items()} == {n: a.data for n, a in make_model().items()}


def test_clip_that_leaves_hardly_anything_ends_the_run_after_one_round_unless_that_is_wanted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("usual", "wanted"):
        (tmp_path / name).mkdir()
    reason = ended(run := memory_run(tmp_path / "usual", clip_nano=1000), 3)
    assert "and the clip of 1e-06 cut every data owner's change of 100% of the weights that move" in reason
    assert len(run.reports) == 1
    assert "the clip of 1e-06 has cut every data owner's change of 100.0 % of the weights that move; a market with a larger" in caplog.text
    (tmp_path / "last").mkdir()
    last = memory_run(tmp_path / "last", clip_nano=1000)
    assert len(last.strategy.start(last.grid, make_model(), 1).arrays), "after the last round there is none to be paid for nothing"
    wanted = memory_run(tmp_path / "wanted", clip_nano=1000, options={"most_cut": 1.0})
    wanted.strategy.start(wanted.grid, shifted(make_model(), 9.0), 2)  # from where everybody trains the same way
    assert "100.0 % of the entries of the accepted mean sit at the clip of 1e-06, so that updates are cut" in caplog.text
    assert [report.settled for report in wanted.reports] == [True, True]
