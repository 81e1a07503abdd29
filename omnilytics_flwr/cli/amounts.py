"""Amounts and times as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

UNITS = {"wei": 1, "gwei": 10**9, "ether": 10**18, "units": 1}
"""Factor of each unit; ``units`` are a token's smallest."""

_AMOUNT = re.compile(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([a-z]+)\s*")
_LEAST_IN_ETHER_WEI = 10**12
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


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


def format_amount(number: int, *, in_ether: bool = True) -> str:
    """Text of an amount from 0 up, exact."""
    if not in_ether:
        return f"{number:,} units"
    if 0 < number < _LEAST_IN_ETHER_WEI:
        return f"{number:,} wei"
    whole, rest = divmod(number, 10**18)
    return f"{whole}.{rest:018}".rstrip("0").rstrip(".") + " ether"


def format_span(seconds: int) -> str:
    """Text of a time span in its two largest units, e.g. ``1 h 30 min``."""
    parts, rest = [], abs(seconds)
    for length, name in _SPANS:
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"


def format_time(timestamp: int, now: int | None = None) -> str:
    """Text of a moment, with how far it is from `now`; both in Unix seconds."""
    text = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if now is None:
        return text
    return f"{text} (in {format_span(timestamp - now)})" if timestamp >= now else f"{text} ({format_span(now - timestamp)} ago)"
