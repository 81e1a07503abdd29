"""Which parameters are private, by name."""

from __future__ import annotations

import pytest

from omnilytics_flwr.errors import TermsError
from omnilytics_flwr.market.public_part import select_private

NAMES = ("conv1.weight", "conv1.bias", "conv10.weight", "fc.weight", "fc.bias")


@pytest.mark.parametrize(
    ("patterns", "private"),
    [
        ((), set()),
        (("conv1.*",), {"conv1.weight", "conv1.bias"}),
        (("conv*",), {"conv1.weight", "conv1.bias", "conv10.weight"}),
        (("*.bias",), {"conv1.bias", "fc.bias"}),
        (("fc.bias", "fc.bias", "fc.*"), {"fc.weight", "fc.bias"}),
        (("conv?.weight",), {"conv1.weight"}),
        (("conv[0-9].weight",), {"conv1.weight"}),
        (("*", "!fc.*"), {"conv1.weight", "conv1.bias", "conv10.weight"}),
        (("*", "!fc.*", "*.bias"), {"conv1.weight", "conv1.bias", "conv10.weight", "fc.bias"}),
    ],
)
def test_select_private_matches_shell_patterns(patterns: tuple[str, ...], private: set[str]) -> None:
    assert select_private(NAMES, patterns) == private


def test_select_private_is_exact_about_upper_and_lower_case() -> None:
    with pytest.raises(TermsError):
        select_private(NAMES, ["FC.*"])


def test_select_private_of_plain_flower_arrays_goes_by_number() -> None:
    assert select_private((str(n) for n in range(11)), ["1"]) == {"1"}


def test_select_private_pattern_without_a_match_names_the_parameters() -> None:
    with pytest.raises(TermsError, match=r"'head\.\*' matches none.*conv1\.weight, conv1\.bias"):
        select_private(NAMES, ["fc.*", "head.*"])
    with pytest.raises(TermsError, match=r"'!head\.\*' matches none"):
        select_private(NAMES, ["*", "!head.*"])
    for patterns in (("!conv1.bias",), ("!conv1.bias", "conv1.bias")):
        with pytest.raises(TermsError, match=r"'!conv1\.bias' takes out nothing"):
            select_private(NAMES, patterns)


@pytest.mark.parametrize("patterns", [["*"], ["conv*", "fc*"]])
def test_select_private_everything_is_refused(patterns: list[str]) -> None:
    with pytest.raises(TermsError, match="leave at least one public"):
        select_private(NAMES, patterns)
