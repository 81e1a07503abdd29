"""Times and refusals as a person reads them."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from omnilytics_flwr.cli.main import main
from omnilytics_flwr.cli.printer import Printer, format_span, format_time, refusals_as_sentences
from omnilytics_flwr.errors import LedgerError
from omnilytics_flwr.market.refusals import TooEarly, TooLate
from omnilytics_flwr.system import NO_POSIX


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (5400, "1 h 30 min"), (90_061, "1 d 1 h"), (86_400, "1 d")]
)
def test_format_span_names_the_two_largest_units(seconds: int, text: str) -> None:
    assert format_span(seconds) == text


def test_format_time_tells_how_far_it_is() -> None:
    assert format_time(0) == "1970-01-01 00:00:00 UTC"
    assert format_time(3600, 0) == "1970-01-01 01:00:00 UTC (in 1 h)"
    assert format_time(0, 90) == "1970-01-01 00:00:00 UTC (1 min 30 s ago)"


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (TooLate(1_700_000_001, 1_700_000_000), "it is 2023-11-14 22:13:21 UTC; the deadline was 2023-11-14 22:13:20 UTC"),
        (TooEarly(1_700_000_000, 1_700_000_001), "it is 2023-11-14 22:13:20 UTC; this is allowed from 2023-11-14 22:13:21 UTC on"),
        (TooEarly(8, 8200), "it is 8; this is allowed from 8200 on (Unix seconds, or blocks if a frozen market is to be closed)"),
    ],
)
def test_refusal_shows_moments_as_dates_and_blocks_as_they_are(refusal: LedgerError, said: str) -> None:
    @click.command()
    def command() -> None:
        with refusals_as_sentences(as_json=False):
            raise refusal

    assert said in CliRunner().invoke(command).stderr


def test_refusal_on_a_system_without_posix_is_one_sentence() -> None:
    @click.command()
    def command() -> None:
        with refusals_as_sentences(as_json=False):
            raise ModuleNotFoundError("No module named 'fcntl'", name="fcntl")

    assert CliRunner().invoke(command).stderr == f"refused: {NO_POSIX}\n"


def test_facts_leave_empty_values_out_and_give_each_address_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    addresses = ["0x" + "12" * 20, "0x" + "34" * 20]

    Printer(as_json=False).facts({"seats": [1, 2], "accused": [], "open_by": 0, "owners": addresses})

    assert capsys.readouterr().out == f"seats   1, 2\nowners  {addresses[0]}\n        {addresses[1]}\n"


ROWS = [{"market": "0x" + "12" * 20, "owners": 15}, {"market": "0x" + "34" * 20, "owners": 3}]


@pytest.mark.parametrize(("columns", "in_terminal", "is_table"), [("51", True, False), ("100", True, True), ("51", False, True)])
def test_table_is_shown_below_each_other_in_a_terminal_that_is_too_narrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str, in_terminal: bool, is_table: bool
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("sys.stdout.isatty", lambda: in_terminal)

    Printer(as_json=False).rows(ROWS)

    said = capsys.readouterr().out
    assert all(str(row["market"]) in said for row in ROWS), "an address can be copied"
    assert ("- market  0x1212" in said) != is_table


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_is_not_sent_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    arguments = ["market", "terms-template", "--owners", "1"]
    assert "\x1b[31m" in CliRunner().invoke(main, arguments, color=True).stderr
    monkeypatch.setenv(variable, value)

    assert "\x1b" not in CliRunner().invoke(main, arguments, color=True).stderr
