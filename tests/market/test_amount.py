"""Amounts: read and written exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.market.amount import UNITS_OF_TOKEN, Amount, Currency, amount_for, format_amount, parse_amount


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
    assert parse_amount(format_amount(number, UNITS_OF_TOKEN)) == Amount(number, "units")


def test_amount_for_unit_of_the_other_kind_raises() -> None:
    assert amount_for(Amount(7, "wei"), in_ether=True) == 7
    assert amount_for(Amount(7, "units"), in_ether=False) == 7
    with pytest.raises(ValueError, match="pays in a token"):
        amount_for(Amount(7, "ether"), in_ether=False)
    with pytest.raises(ValueError, match="pays in ether"):
        amount_for(Amount(7, "units"), in_ether=True)


@pytest.mark.parametrize(("number", "text"), [(0, "0 USD"), (5, "0.000005 USD"), (1_500_000, "1.5 USD"), (2_000_000, "2 USD")])
def test_format_amount_of_a_token_has_its_decimals_and_symbol(number: int, text: str) -> None:
    assert format_amount(number, Currency("USD", 6)) == text
