"""Amounts and times: read and written exactly."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.cli.printer import refusals_as_sentences
from omnilytics_flwr.cli.times import format_span, format_time
from omnilytics_flwr.market.amount import Amount, amount_for, format_amount, parse_amount
from omnilytics_flwr.market.refusals import TooEarly, TooLate


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.5 ether", 15 * 10**17),
        ("1ether", 10**18),
        ("20 gwei", 20 * 10**9),
        ("0.000000000000000001 ether", 1),
        ("1_000 wei", 1000),
        (" 10,007 wei ", 10_007),
        ("0 ether", 0),
    ],
)
def test_parse_amount_is_exact(text: str, number: int) -> None:
    assert parse_amount(text).number == number


@pytest.mark.parametrize("text", ["", "1", "ether", "1 eth", "-1 ether", "1e3 wei", "1..5 ether", "0.5 wei", "1e-19 ether", "1.5 units"])
def test_parse_amount_anything_else_raises_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_amount(text)


@given(st.integers(0, 2**128))
def test_format_amount_reads_back(number: int) -> None:
    assert parse_amount(format_amount(number)).number == number
    assert parse_amount(format_amount(number, in_ether=False)) == Amount(number, "units")


def test_amount_for_unit_of_the_other_kind_raises() -> None:
    assert amount_for(Amount(7, "wei"), in_ether=True) == 7
    assert amount_for(Amount(7, "units"), in_ether=False) == 7
    with pytest.raises(ValueError, match="pays in a token"):
        amount_for(Amount(7, "ether"), in_ether=False)
    with pytest.raises(ValueError, match="pays in ether"):
        amount_for(Amount(7, "units"), in_ether=True)


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
def test_refusal_shows_moments_as_dates_and_blocks_as_they_are(refusal: TooEarly | TooLate, said: str) -> None:
    @click.command()
    def command() -> None:
        with refusals_as_sentences(as_json=False):
            raise refusal

    assert said in CliRunner().invoke(command).stderr
