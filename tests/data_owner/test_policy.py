"""The operator's policy: what it allows, and what it says when it does not."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.errors import Refused, TermsError
from omnilytics_flwr.market.terms import ZERO_ADDRESS, Address
from tests.support.builders import MARKET, VERIFICATION, make_terms


@pytest.mark.parametrize(
    ("policy", "terms", "reason"),
    [
        ({"least_group_size": 4}, {}, "groups of 3, at least 4 wanted"),
        ({"most_clip": 0.5}, {}, "clip 1.0, at most 0.5 allowed"),
        ({"least_reward_wei": 1_001}, {}, "reward 1000 wei, at least 1001 wanted"),
        ({"app_hashes": (b"\1" * 32,)}, {}, "another client app"),
        ({"tokens": (MARKET,)}, {}, "pay in token 0x0000000000000000000000000000000000000000"),
        ({}, {"token": MARKET}, f"pay in token {MARKET}"),
        ({"most_stake_wei": 4_999}, {}, "stake 5000 wei, at most 4999 allowed"),
        ({"metrics": ()}, {"metrics": ("loss",)}, "metrics that may not leave"),
        ({"least_bond_wei": 10_008}, {}, "a bond of 10007 wei, at least 10008 wanted"),
        ({"least_accuse_fee_wei": 1}, {}, "fee of an accusation 0 wei, at least 1 wanted"),
        ({"most_unpaid_share": 0.19}, {}, "1 of 5 groups may go unpaid, at most a share of 0.19 allowed"),
        (
            {},
            {"faulty_groups": 7, "most_owners": 60, "answer_seconds": 3600, "accuse_seconds": 200, "prove_seconds": 200},
            "7 of 17 groups",
        ),
        ({"least_accuse_seconds": 81}, {}, "80 s to deliver, at least 81 wanted"),
        ({"confirmations": 2}, {}, "80 s to deliver, at least 84 wanted"),
        ({"least_answer_seconds": 1_801}, {}, "1800 s to answer an accusation, at least 1801 wanted"),
        ({"most_leave_seconds": 2_080}, {}, "a stake is back after 2081 s, at most 2080 allowed"),
        ({}, {"commit_seconds": 14 * 24 * 3600}, "a stake is back after"),
        ({"least_draw_delay_blocks": 3}, {}, "groups drawn 2 blocks after the freeze, at least 3 wanted"),
        ({"metrics": ("accuracy", "loss")}, {"metrics": ("loss", "num-examples")}, "metrics that may not leave"),
    ],
)
def test_broken_demand_is_refused_with_its_reason(policy: dict[str, object], terms: dict[str, object], reason: str) -> None:
    with pytest.raises(Refused, match=f"^policy refuses market {MARKET}: {reason}[^;]*$"):
        Policy(**policy).check_terms(MARKET, make_terms(**terms))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "terms"),
    [
        ({}, {}),
        ({"least_group_size": 3}, {}),
        ({"most_clip": 1.0}, {}),
        ({"least_reward_wei": 1_000}, {}),
        ({"app_hashes": (b"\2" * 32, b"\1" * 32)}, {"app_hash": b"\1" * 32}),
        ({"tokens": (ZERO_ADDRESS, MARKET)}, {"token": MARKET.lower()}),
        ({"tokens": None}, {"token": MARKET}),
        ({"most_stake_wei": 5_000}, {}),
        ({"metrics": ("accuracy", "loss")}, {"metrics": ("loss",)}),
        ({"metrics": None}, {"metrics": ("anything",)}),
        ({"least_bond_wei": 10_007, "most_unpaid_share": 0.2, "least_accuse_seconds": 80, "confirmations": 1}, {}),
        ({"least_answer_seconds": 1_800, "most_leave_seconds": 2_081, "least_draw_delay_blocks": 2}, {}),
        ({"least_answer_seconds": 1_800, "least_accuse_fee_wei": 1}, {"answer_seconds": 0}),
    ],
)
def test_demand_met_exactly_is_accepted(policy: dict[str, object], terms: dict[str, object]) -> None:
    Policy(**policy).check_terms(MARKET, make_terms(**terms))  # type: ignore[arg-type]


def test_known_peers_are_told_by_their_addresses_however_they_are_written() -> None:
    policy = Policy(known_peers=(MARKET, VERIFICATION), least_known_peers=2)
    policy.check_peers([Address(MARKET.lower()), VERIFICATION, ZERO_ADDRESS])
    with pytest.raises(Refused, match="1 known data owners in this group, at least 2 wanted"):
        policy.check_peers([MARKET, ZERO_ADDRESS])


def test_all_broken_demands_are_told_at_once() -> None:
    with pytest.raises(Refused, match=r"groups of 3, .*; clip 1\.0, .*; reward 1000 wei, "):
        Policy(least_group_size=9, most_clip=0.1, least_reward_wei=10**9).check_terms(MARKET, make_terms())


@pytest.mark.parametrize(("group_size", "most"), [(3, 1), (4, 2), (5, 3), (6, 4)])
def test_peer_sets_not_named_are_two_fewer_than_a_group(group_size: int, most: int) -> None:
    room = {"stake_wei": 50_000, "most_owners": 30, "accuse_seconds": 3600, "answer_seconds": 3600, "prove_seconds": 7200}
    terms = make_terms(group_size=group_size, **room)
    assert Policy().peer_sets_for(terms) == most
    assert Policy(most_peer_sets=7).peer_sets_for(terms) == 7


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"chain_ids": (1, 5)}, "policy refuses chain 31337; allowed are \\[1, 5\\]"),
        ({"chain_ids": ()}, "policy refuses chain 31337"),
        ({"markets": (ZERO_ADDRESS,)}, "policy refuses market 0x5FbDB2315678afecb367f032d93F642f64180aa3: it is not among those allowed"),
    ],
)
def test_market_or_chain_that_is_not_allowed_is_refused(policy: dict[str, object], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        Policy(**policy).check_market(31337, MARKET)  # type: ignore[arg-type]


def test_market_and_chain_that_are_allowed_are_accepted() -> None:
    Policy().check_market(31337, MARKET)
    Policy(chain_ids=(1, 31337), markets=(ZERO_ADDRESS, MARKET)).check_market(31337, Address(MARKET.lower()))


def test_entries_that_depend_on_the_chain_are_strict_but_on_a_local_one() -> None:
    strict, local = Policy().for_chain(is_local=False), Policy().for_chain(is_local=True)
    assert (strict.known_verification, strict.confirmations, strict.keep_blocks) == (True, 1, 64)
    assert (strict.least_draw_delay_blocks, strict.stress_price_wei) == (64, 20 * 10**9)
    assert (local.known_verification, local.confirmations, local.keep_blocks) == (False, 0, 0)
    assert (strict.public_sums, local.public_sums) == (False, True)
    assert (strict.poll_seconds, local.poll_seconds) == (12, 4)
    assert Policy().for_chain(is_local=False, is_rollup=True).least_draw_delay_blocks == 1300
    assert (local.least_draw_delay_blocks, local.stress_price_wei, local.claim_after_wei) == (0, 0, 1)
    named = Policy(
        known_verification=True,
        public_sums=True,
        confirmations=5,
        keep_blocks=2,
        poll_seconds=3.0,
        least_draw_delay_blocks=3,
        stress_price_wei=4,
        claim_after_wei=5,
    )
    assert named.for_chain(is_local=True) == named.for_chain(is_local=False, is_rollup=True) == named


@pytest.mark.parametrize("allowed", [None, False])
def test_market_with_public_sums_is_refused_unless_they_are_allowed(allowed: bool | None) -> None:
    policy = Policy(public_sums=allowed).for_chain(is_local=False)
    policy.check_sums(MARKET, public=False)
    Policy(public_sums=True).check_sums(MARKET, public=True)

    with pytest.raises(Refused, match="public-sums"):
        policy.check_sums(MARKET, public=True)


def test_mapping_takes_names_as_in_the_configuration_file() -> None:
    hashes = ["0x" + "ab" * 32, "cd" * 32]
    policy = Policy.from_mapping({"most-clip": 2, "metrics": ["loss"], "app-hashes": hashes, "markets": [MARKET.lower()], "tokens": []})
    assert policy == Policy(most_clip=2.0, metrics=("loss",), app_hashes=(b"\xab" * 32, b"\xcd" * 32), markets=(MARKET,), tokens=())


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("least-group-size", True, "Expected `int`, got `bool`"),
        ("most-rounds", -1, "Expected `int` >= 0"),
        ("most-clip", float("nan"), "Expected `float` > 0"),
        ("most-clip", float("inf"), "Expected `float` <= 1e"),
        ("poll-seconds", 0, "Expected `float` > 0"),
        ("markets", ["0x12"], "'0x12' is not an address"),
        ("tokens", [1], "1 is not an address"),
        ("app-hashes", ["ab"], "Expected `bytes` of length >= 32"),
        ("app-hashes", ["zz" * 32], "is no hash"),
        ("leastt-group-size", 5, "unknown field `leastt-group-size`"),
    ],
)
def test_mapping_with_a_value_of_another_kind_is_refused(name: str, value: object, expected: str) -> None:
    with pytest.raises(TermsError, match=re.escape(expected)):
        Policy.from_mapping({name: value})


def test_claims_of_a_token_are_not_measured_by_the_price_of_gas() -> None:
    """Nobody tells what a token is worth in ether; the operator can."""
    for rounds, rewards in ((4, 4), (5000, 10)):
        token = make_terms(token=MARKET, rounds_per_epoch=rounds)
        assert Policy().claim_after(token, gas_price_wei=10**9) == rewards * token.reward_wei
    assert Policy().claim_after(make_terms(), gas_price_wei=10**9) == 10 * 70_000 * 10**9
    assert Policy(claim_after_wei=0).claim_after(make_terms(), gas_price_wei=10**9) == 1


NAMES = st.sampled_from([field.encode_name for field in structs.fields(Policy)])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=70), st.binary(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
)


@settings(max_examples=300)
@given(st.dictionaries(NAMES, VALUES, max_size=3))
def test_any_mapping_is_a_policy_or_a_named_error(entries: dict[str, object]) -> None:
    with contextlib.suppress(TermsError, Refused):
        policy = Policy.from_mapping(entries)
        policy.check_market(31337, MARKET)
        policy.check_terms(MARKET, make_terms())
