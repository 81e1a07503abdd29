"""`omnilytics market terms-propose`: from an app to a file of terms that `market create` takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnilytics_flwr.cli.terms_file import read_terms
from tests.support.builders import VERIFICATION
from tests.trial.test_local_round import MANY_METRICS, write_app

from .command_line import CommandLine
from .test_terms_file import COMPUTED

QUICKSTART = str(Path(__file__).resolve().parents[2] / "runs" / "examples" / "quickstart")


def test_proposal_for_an_app_is_written_as_terms_with_its_clip_and_norm(bare: CommandLine) -> None:
    pytest.importorskip("sklearn")
    arguments = ["market", "terms-propose", QUICKSTART, "--owners", "15", "--train", "2", "--output", "terms.toml"]
    found = bare.json(*arguments)
    terms = read_terms(bare.folder / "terms.toml", VERIFICATION, COMPUTED)
    assert (terms.weights, terms.most_owners) == (650, 15)
    assert terms.clip == pytest.approx(found["clip"])
    assert terms.longest_mean == pytest.approx(found["longest_mean"], rel=1e-3)
    assert found["metrics_reported"] == ["accuracy", "num-examples"]
    assert len(found["norms"]) == 2
    said = bare(*arguments)
    assert f"Proposal: clip = {found['clip']:g}, norm = {found['longest_mean']:g}, weights = 650" in said
    assert "omnilytics market create --terms terms.toml" in said


def test_terms_that_do_not_fit_leave_no_file_and_name_the_options(bare: CommandLine) -> None:
    pytest.importorskip("sklearn")
    refused = bare.refused("market", "terms-propose", QUICKSTART, "--owners", "9", "--train", "1", "--output", "terms.toml")
    assert "change --owners (9) or --group-size (not given)" in refused
    assert not (bare.folder / "terms.toml").exists()


def test_metrics_that_terms_have_no_room_for_are_told(bare: CommandLine) -> None:
    app = write_app(bare.folder, metrics=MANY_METRICS)
    said = bare("market", "terms-propose", str(app), "--train", "1", "--node-config", "scale=3")
    assert "have no room in the terms, which hold 256 bytes of metrics' names" in " ".join(said.split())
