"""Which commands a local market runs, and with what."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from omnilytics_flwr.errors import TermsError
from omnilytics_flwr.trial.app_run import FlwrRun


def test_flwr_run_is_read_as_flower_reads_it_and_ends_with_its_run() -> None:
    words = ["/somewhere/bin/flwr", "run", "-c", "rounds=2", "my-app", "--run-config", "step=0.5"]

    command = FlwrRun.parse(words)

    assert (command.app, command.run_config) == (Path("my-app"), "rounds=2 step=0.5")
    completed = command.complete(20)
    assert Path(completed[0]).name == "flwr"
    assert completed[1:] == [*words[1:], "--stream", "--federation-config", "num-supernodes=20"]
    assert FlwrRun.parse([*words, "--stream"]).complete(20).count("--stream") == 1
    assert FlwrRun.parse(["flwr", "run"]).app == Path(".")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["python", "app.py"], "python app.py is not `flwr run`; expected `flwr run PATH`"),
        (["flwr"], "flwr is not `flwr run`"),
        (["flwr", "run", ".", "mine"], "names a SuperLink mine; expected none"),
        (["flwr", "run", ".", "--federation", "@a/b"], "names a federation @a/b; expected none"),
        (["flwr", "run", ".", "--federation-config", "num-supernodes=3"], "names a number of nodes; expected none"),
        (["flwr", "run", "@a/b"], "@a/b is an app elsewhere; expected the folder of one"),
    ],
)
def test_command_that_brings_what_a_local_market_brings_is_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(TermsError, match=sentence):
        FlwrRun.parse(words)


def test_overrides_in_a_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('rounds = 2\n[data]\nname = "digits"\n')

    assert FlwrRun.parse(["flwr", "run", "-c", str(tmp_path / "mine.toml")]).run_config == 'rounds=2 data.name="digits"'


def test_option_that_flower_does_not_know_is_a_wrong_command_line() -> None:
    with pytest.raises(click.UsageError):
        FlwrRun.parse(["flwr", "run", "--none"])
