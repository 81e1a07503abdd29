"""Amounts of ether, or of a token's smallest unit, as people write and read them."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import TermsError

UNITS = {"wei": 1, "gwei": 10**9, "ether": 10**18, "units": 1}
"""Factor of each unit; ``units`` are a token's smallest."""

_AMOUNT = re.compile(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([a-z]+)\s*")
_LEAST_IN_ETHER_WEI = 10**12


class Currency(NamedTuple):
    """What a market pays in: its symbol, and how many decimals of it its smallest unit is."""

    symbol: str
    decimals: int


ETHER = Currency("ether", 18)
UNITS_OF_TOKEN = Currency("units", 0)
"""A token that does not say what it is called."""


class Amount(NamedTuple):
    """A number of wei, or of a token's smallest units, and the unit it was given in."""

    number: int
    unit: str


def parse_amount(text: str) -> Amount:
    """Amount from text such as ``1.5 ether``, ``20 gwei``, ``7 wei`` or, in a token, ``1000 units``.

    Raises
    ------
    ValueError
        With a sentence that says what was expected.
    """
    found = _AMOUNT.fullmatch(text)
    if found is None or found[2] not in UNITS:
        raise ValueError(f"{text!r} is no amount; expected a number and a unit: 1.5 ether, 20 gwei, 7 wei, or 1000 units of a token")
    whole, _, decimals = found[1].replace(",", "").replace("_", "").partition(".")
    number, rest = divmod(int(whole + decimals) * UNITS[found[2]], 10 ** len(decimals))
    if rest:
        raise ValueError(f"{text!r} is no whole number of the smallest unit; expected one; write fewer decimals")
    return Amount(number, found[2])


def amount_for(amount: Amount, *, in_ether: bool) -> int:
    """The number of an amount for a market that pays in ether, or in a token.

    Raises
    ------
    ValueError
        The unit is that of the other kind.
    """
    if in_ether == (amount.unit == "units"):
        expected = "wei, gwei or ether" if in_ether else "units (the token's smallest)"
        raise ValueError(f"the market pays in {'ether' if in_ether else 'a token'}, the amount is in {amount.unit}; expected {expected}")
    return amount.number


def wei_of(amount: str | int) -> int:
    """Wei of an amount of ether, written out or in wei already; raises `TermsError` if it does not read as one."""
    if isinstance(amount, int):
        return amount
    try:
        return amount_for(parse_amount(amount), in_ether=True)
    except ValueError as error:
        raise TermsError(str(error)) from error


def format_amount(number: int, currency: Currency = ETHER) -> str:
    """Text of an amount from 0 up, exact."""
    if not currency.decimals:
        return f"{number:,} {currency.symbol}"
    if currency == ETHER and 0 < number < _LEAST_IN_ETHER_WEI:
        return f"{number:,} wei"
    whole, rest = divmod(number, 10**currency.decimals)
    decimals = f"{rest:0{currency.decimals}}".rstrip("0")
    return f"{whole}.{decimals} {currency.symbol}" if decimals else f"{whole} {currency.symbol}"
