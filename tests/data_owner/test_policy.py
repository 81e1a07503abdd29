"""The operator's policy: what it allows, and what it says when it does not."""

from __future__ import annotations

import pytest

from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.errors import (
    Refused,
    TermsError,
)
from omnilytics_flwr.market.terms import Address, Terms
from tests.builders import make_terms

MARKET = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")


def test_defaults_accept_ordinary_terms() -> None:
    Policy().check_terms(MARKET, make_terms())


@pytest.mark.parametrize(
    ("policy", "terms", "reason"),
    [
        ({"least_group_size": 4}, {}, "groups of 3, at least 4 wanted"),
        ({"most_clip": 0.5}, {}, "clip 1.0, at most 0.5 allowed"),
        ({"least_reward_wei": 1_001}, {}, "reward 1000 wei, at least 1001 wanted"),
        ({"app_hash": b"\1" * 32}, {}, "another client app"),
        ({"metrics": ()}, {"metrics": ("loss",)}, "metrics that may not leave"),
        ({"metrics": ("accuracy", "loss")}, {"metrics": ("loss", "num-examples")}, "metrics that may not leave"),
    ],
)
def test_broken_demand_is_refused_with_its_reason(policy: dict[str, object], terms: dict[str, object], reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        Policy(**policy).check_terms(MARKET, make_terms(**terms))  # type: ignore[arg-type]
    assert str(refusal.value) == f"policy refuses market {MARKET}: {reason}" or reason in str(refusal.value)
    assert MARKET in str(refusal.value)
    assert ";" not in str(refusal.value), "one demand is broken, one is told"


@pytest.mark.parametrize(
    ("policy", "terms"),
    [
        ({"least_group_size": 3}, {}),
        ({"most_clip": 1.0}, {}),
        ({"least_reward_wei": 1_000}, {}),
        ({"app_hash": b"\1" * 32}, {"app_hash": b"\1" * 32}),
        ({"metrics": ()}, {}),
        ({"metrics": ("accuracy", "loss")}, {"metrics": ("loss",)}),
        ({"metrics": None}, {"metrics": ("anything",)}),
    ],
)
def test_demand_met_exactly_is_accepted(policy: dict[str, object], terms: dict[str, object]) -> None:
    Policy(**policy).check_terms(MARKET, make_terms(**terms))  # type: ignore[arg-type]


def test_all_broken_demands_are_told_at_once() -> None:
    with pytest.raises(Refused) as refusal:
        Policy(least_group_size=9, most_clip=0.1, least_reward_wei=10**9).check_terms(MARKET, make_terms())
    assert str(refusal.value).count(";") == 2


def terms_of_groups(group_size: int) -> Terms:
    """Terms with room and time for groups of this size."""
    seconds = {"accuse_seconds": 3600, "answer_seconds": 3600, "prove_seconds": 7200}
    return make_terms(group_size=group_size, stake_wei=50_000, most_owners=5 * group_size, **seconds)


@pytest.mark.parametrize(("group_size", "most"), [(3, 1), (4, 2), (5, 3), (6, 4)])
def test_peer_sets_not_named_are_two_fewer_than_a_group(group_size: int, most: int) -> None:
    assert Policy().peer_sets_for(terms_of_groups(group_size)) == most


def test_peer_sets_named_are_as_named() -> None:
    assert [Policy(most_peer_sets=most).peer_sets_for(terms_of_groups(5)) for most in (1, 7)] == [1, 7]


def test_mapping_takes_names_as_in_the_configuration_file() -> None:
    policy = Policy.from_mapping({"least-group-size": 5, "most-peer-sets": 1, "metrics": ["loss"], "app-hash": "0x" + "ab" * 32})
    assert policy == Policy(least_group_size=5, most_peer_sets=1, metrics=("loss",), app_hash=b"\xab" * 32)


def test_mapping_with_an_unknown_entry_is_refused() -> None:
    with pytest.raises(TermsError, match="unknown policy entries \\['leastt_group_size'\\]"):
        Policy.from_mapping({"leastt-group-size": 5})
