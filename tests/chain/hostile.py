"""What hostile or broken nodes and files may say: any JSON, with the forms that nodes really use among it, and spoiled real ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from omnilytics_flwr.errors import OmnilyticsError

REAL = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
"""For tests that ask a running node."""
PURE = settings(max_examples=200, deadline=None)

HEX = st.one_of(
    st.integers(min_value=0, max_value=2**300).map(hex),
    st.binary(max_size=70).map(lambda raw: "0x" + raw.hex()),
    st.sampled_from(["0x", "0x0", "0X1", "0xg", "-0x1", "0x" + "f" * 64, "0x" + "0" * 40, "0x1_0", "٠x١"]),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20), HEX)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def spoiled(draw: st.DrawFn, value: Any, depth: int = 3) -> Any:
    """A JSON value of which some part, or all, is another or gone."""
    if depth == 0 or not isinstance(value, (dict, list)) or not value or draw(st.integers(0, 5)) == 0:
        return draw(JSON)
    place = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    fresh = value.copy()
    if draw(st.integers(0, 3)) == 0:
        del fresh[place]
    else:
        fresh[place] = draw(spoiled(value[place], depth - 1))
    return fresh


def spoil(value: Any, lies: list[Any], random: Random) -> Any:
    """A JSON value of which some part, or all, is one of the lies or gone."""
    if not isinstance(value, (dict, list)) or not value or random.random() < 0.2:
        return random.choice(lies)
    place = random.choice(sorted(value) if isinstance(value, dict) else range(len(value)))
    fresh = value.copy()
    if random.random() < 0.25:
        del fresh[place]
    else:
        fresh[place] = spoil(value[place], lies, random)
    return fresh


def survives(action: Callable[[], object]) -> None:
    """Run it; an error of ours is fine."""
    with suppress(OmnilyticsError):
        action()
