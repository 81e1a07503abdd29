"""What `omnilytics local` chooses, so that one client that fails holds nobody up for long; what it says to do next."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import click
import pytest

from omnilytics_flwr.cli.local_command import LEAST_COMMIT_SECONDS, OWNERS, commit_seconds, local, no_spare, ways_to_look
from omnilytics_flwr.market.terms import Terms
from omnilytics_flwr.market.terms_bounds import MONTH_SECONDS
from tests.support.builders import VERIFICATION


def test_usual_number_of_data_owners_leaves_a_group_to_spare_and_the_least_number_is_told_not_to() -> None:
    assert no_spare(Terms.for_model(42, verification=VERIFICATION, owners=OWNERS)) == ""
    told = no_spare(Terms.for_model(42, verification=VERIFICATION, owners=15))
    assert "None of the 5 groups is to spare: a client that fails holds each round up for 3600 s; more --owners" in told


def test_round_is_kept_open_by_how_long_a_client_trains() -> None:
    assert commit_seconds(0.01, 18) == LEAST_COMMIT_SECONDS + 1
    assert commit_seconds(10.0, 18) == LEAST_COMMIT_SECONDS + 4 * 18 * 10
    assert commit_seconds(1e9, 18) == MONTH_SECONDS


@pytest.mark.parametrize("command", ways_to_look("0x" + "11" * 20, "http://127.0.0.1:1"))
def test_ways_to_look_work_in_a_terminal_that_has_nothing_activated(command: str, tmp_path: Path) -> None:
    done = subprocess.run([*shlex.split(command), "--help"], env={"PATH": ""}, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_help_says_why_there_is_a_least_number_of_data_owners() -> None:
    told = " ".join(local.get_help(click.Context(local)).split())
    assert "an epoch needs five groups of three" in told
