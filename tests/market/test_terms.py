"""Terms: each bound one inside and one outside, the headroom, the digest, the ABI tuple."""

from __future__ import annotations

import pickle
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Crypto.Hash import keccak
from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.errors import BadTerms, TermsError, UpdateError
from omnilytics_flwr.market.terms import ABI_TYPE, ABOUT, ZERO_ADDRESS, Terms, bounds, faults, solidity_name
from omnilytics_flwr.market.terms_bounds import ETHEREUM, ChainLimits, most_weights, norm_bound_steps
from tests.support.builders import VERIFICATION, make_terms

MONTH = 30 * 24 * 3600
LONG = {"accuse_seconds": 2000, "answer_seconds": 9999, "prove_seconds": 9999}
# Of the terms that `make_terms` gives: h = 3, f = 1, B = 1, 20 data owners at most, reward 1000.
WIDE = {"accuse_seconds": 9999, "answer_seconds": 10**6, "prove_seconds": 10**6}
BOUNDS = [
    ("reward_wei", 1, 1250, {}),  # the stake of 5000 covers four rewards of 1250 at most
    ("reward_wei", 1, 2**96, {"stake_wei": 2**104}),
    ("stake_wei", 4_000, 2**104, {}),
    ("bond_wei", 20, 2**104, {}),
    ("accuse_fee_wei", 0, 2**96, {}),
    ("most_owners", 144, 254, {"group_size": 16, "faulty_groups": 3, "stake_wei": 10**6, **LONG}),
    # One settling transaction holds 128 KiB: n (96 P + 64) of members, 16 G (G + 1) of distances, 32 G P of evaluations, 2048 besides.
    ("most_owners", 15, 224, LONG),
    ("most_owners", 15, 164, {"weights": 4 * 8192, **LONG}),
    ("most_owners", 15, 224, {"weights": 4 * 8192, "projected": True, **LONG}),
    ("group_size", 3, 4, {}),  # 5 groups of 4 are the 20 data owners
    ("group_size", 3, 16, {"most_owners": 80, "stake_wei": 10**6, **LONG}),
    ("faulty_groups", 1, 1, {}),  # 7 groups of 3 are more than 20 data owners
    ("faulty_groups", 1, 12, {"most_owners": 81, **LONG}),  # 27^2 x 12 scoring steps, at most 10,000
    ("outlier_percent", 110, 200, {}),
    ("weights", 1, 60 * 8192, LONG),  # 2112 B + 4000 <= 131072
    ("weights", 1, 2**26, {"projected": True, "update_bits": 14, **LONG, "answer_seconds": 0}),
    ("update_bits", 3, 31, {}),  # 4096 (4 x 3 x 2^31)^2 < 2^82 <= 4096 (4 x 3 x 2^32)^2
    ("update_bits", 3, 29, {"projected": True}),  # with s = 4
    ("clip_nano", 1, 10**12, {}),
    ("norm_bound", 1, 2**100, {}),
    ("rounds_per_epoch", 1, 10_000, {}),
    ("commit_seconds", 60, MONTH, {}),
    ("accuse_seconds", 80, MONTH, {}),
    ("answer_seconds", 1800, MONTH, {}),
    ("answer_seconds", 60 + 12 * 20 * 10, MONTH, {"weights": 60 * 8192, "prove_seconds": 10**6}),
    ("prove_seconds", 141, MONTH, {}),
    ("draw_delay_blocks", 2, 4096, {}),
]


@pytest.mark.parametrize("changes", [{"answer_seconds": 0}, {"outlier_percent": 0}])
def test_terms_without_accusations_or_by_the_papers_rule_are_accepted(changes: dict[str, int]) -> None:
    make_terms(**changes)


def test_faults_depend_on_the_chain() -> None:
    terms, silent = make_terms(), make_terms(answer_seconds=0)
    assert faults(terms, ETHEREUM) == []
    assert faults(terms, ChainLimits(blobs=0)) == ["answerSeconds is 1800, it must lie in 0 .. 0"]
    assert faults(silent, ChainLimits(blobs=0)) == []
    (fault,) = faults(silent, ChainLimits(settlement_bytes=6_000))
    assert fault.startswith("settlementBytes is 6112, it must lie in 0 .. 6000; ")
    assert faults(make_terms(weights=60 * 8192, answer_seconds=2460, prove_seconds=10**6), ChainLimits(blobs=2)) != []


@pytest.mark.parametrize("crowd", [{"owners": 15}, {"owners": 252, "group_size": 4, "faulty_groups": 1}], ids=["by bytes", "by gas"])
def test_largest_model_of_each_kind_is_told_and_is_the_largest(crowd: dict[str, Any]) -> None:
    with pytest.raises(BadTerms) as caught:
        Terms.for_model(2**26 + 1, verification=VERIFICATION, computed=True, **crowd)
    told = str(caught.value)
    largest = {kind: int(re.search(rf"([0-9,]+) if {kind}", told)[1].replace(",", "")) for kind in ("exact", "projected", "computed")}  # type: ignore[index]
    assert f"this one has {2**26 + 1:,}" in told
    for kind, most in largest.items():
        kinds: dict[str, Any] = crowd | {"verification": VERIFICATION, "computed": kind == "computed", "projected": kind == "projected"}
        assert Terms.for_model(most, **kinds).weights == most
        with pytest.raises(BadTerms):
            Terms.for_model(most + 1, **kinds)


def test_more_than_512_polynomials_know_no_accusations() -> None:
    changes = {"projected": True, "prove_seconds": 10**5, "answer_seconds": 10**6}
    make_terms(weights=512 * 8192, **changes)
    with pytest.raises(BadTerms, match="answerSeconds"):
        make_terms(weights=512 * 8192 + 1, **changes)


@pytest.mark.parametrize(("field", "least", "most", "others"), BOUNDS)
def test_terms_at_the_bounds_are_accepted_and_one_beyond_refused(field: str, least: int, most: int, others: dict[str, int]) -> None:
    for value in (least, most):
        assert getattr(make_terms(**others | {field: value}), field) == value
    for value in (least - 1, most + 1):
        with pytest.raises(BadTerms):
            make_terms(**others | {field: value})


def test_norm_out_of_its_bounds_is_told_as_a_length_with_the_largest_one() -> None:
    with pytest.raises(
        BadTerms, match=r"longest mean update of a group, here .*; with this clip that may be .* `omnilytics market terms-propose`"
    ):
        make_terms(norm_bound=2**100 + 1)


def test_terms_several_faults_are_all_told() -> None:
    with pytest.raises(BadTerms) as caught:
        make_terms(bond_wei=0, clip_nano=0, app_hash=b"", verification=ZERO_ADDRESS, metrics=("b", "a"))
    assert len(caught.value.faults) == 5
    assert "bondWei is 0, it must lie in 20 .. 20282409603651670423947251286016" in str(caught.value)


@pytest.mark.parametrize("metrics", [("b", "a"), ("a", "a"), ("a b",), ("",), ("x" * 257,)])
def test_terms_metrics_unsorted_repeated_spaced_empty_or_long_are_refused(metrics: tuple[str, ...]) -> None:
    assert make_terms(metrics=("x" * 256,)).abi_tuple()[-1] == "x" * 256
    with pytest.raises(BadTerms, match="metrics"):
        make_terms(metrics=metrics)


@given(h=st.integers(3, 16), weights=st.integers(1, 2**26), bits=st.integers(3, 32), projected=st.booleans())
def test_update_bits_bound_keeps_both_halves_apart(h: int, weights: int, bits: int, projected: bool) -> None:
    polynomials = -(-weights // 8192)
    # Two group means on the common scale differ by less than (h + 1) h 2^b in each of the 4096 B entries of a half; in a projection by
    # s B times as much in each of 4096.
    entries, each = (4096, 4 * polynomials) if projected else (4096 * polynomials, 1)
    fits = entries * (each * (h + 1) * h * 2**bits) ** 2 < 2**82
    loose = _unchecked(make_terms(), group_size=h, weights=weights, update_bits=bits, projected=projected)
    _, least, most = bounds(loose)["updateBits"]
    assert (least <= bits <= most) == fits


def test_digest_is_keccak_of_the_abi_encoding() -> None:
    terms = make_terms(metrics=("accuracy", "loss"), app_hash=b"\x07" * 32)
    encoded = abi_encode([ABI_TYPE], [terms.abi_tuple()])
    assert len(terms.abi_tuple()) == len(fields(Terms))
    assert terms.digest() == keccak.new(digest_bits=256, data=encoded).digest()


@given(reward=st.integers(1, 1250), rounds=st.integers(1, 10_000), names=st.sets(st.sampled_from("abcdef")))
def test_from_abi_undoes_abi_tuple(reward: int, rounds: int, names: set[str]) -> None:
    terms = make_terms(reward_wei=reward, rounds_per_epoch=rounds, metrics=tuple(sorted(names)))
    (decoded,) = abi_decode([ABI_TYPE], abi_encode([ABI_TYPE], [terms.abi_tuple()]))
    # Addresses come out of the codec in lower case.
    again = Terms.from_abi((*decoded[:2], terms.verification, *decoded[3:]))
    assert again == terms
    assert again.digest() == terms.digest()


def test_terms_windows_add_up() -> None:
    terms = make_terms()
    assert terms.round_seconds == 80 + 1800 + 141
    assert terms.leave_seconds == 60 + 80 + 1800 + 141
    assert (terms.least_groups, terms.polynomials, terms.clip) == (5, 1, 1.0)


MODEL = {"conv.weight": np.zeros((20, 8), np.float32), "conv.count": np.zeros(3, np.int64), "head.weight": np.zeros(7, np.float16)}


def test_for_model_chooses_terms_that_fit_and_counts_weights() -> None:
    terms = Terms.for_model(MODEL, verification=VERIFICATION, private=["head.*"], metrics=["loss", "accuracy"])
    assert terms == Terms(
        verification=VERIFICATION,
        reward_wei=10**15,
        stake_wei=10**16,
        bond_wei=24 * 10**15,
        most_owners=24,
        group_size=4,
        weights=160,
        clip_nano=500_000_000,
        norm_bound=norm_bound_steps(10.0, clip=0.5, update_bits=16),
        rounds_per_epoch=8,
        metrics=("accuracy", "loss"),
    )
    assert terms.escrow_wei(3) == 3 * 24 * 10**15 + 24 * 10**15


@pytest.mark.parametrize(("owners", "group_size", "weights", "faulty_groups"), [(100, 5, 10**4, 4), (254, 10, 24_576, 5), (80, 16, 1, 1)])
def test_for_model_tolerates_a_fifth_of_the_groups_and_gives_each_owner_time(
    owners: int, group_size: int, weights: int, faulty_groups: int
) -> None:
    terms = Terms.for_model(weights, verification=VERIFICATION, owners=owners, group_size=group_size)
    assert terms.faulty_groups == faulty_groups


@pytest.mark.parametrize(("owners", "group_size", "spare"), [(15, 3, 0), (18, 3, 1), (20, 3, 1), (24, 4, 1), (40, 4, 3), (254, 4, 56)])
def test_for_model_leaves_a_group_to_spare_if_it_can(owners: int, group_size: int, spare: int) -> None:
    terms = Terms.for_model(1, verification=VERIFICATION, owners=owners)
    assert (terms.group_size, owners // group_size - terms.least_groups) == (group_size, spare)


def test_for_model_measures_clip_and_norm_by_a_round_of_training() -> None:
    trained = {**MODEL, "conv.weight": MODEL["conv.weight"] + np.float32(0.25)}
    terms = Terms.for_model(MODEL, verification=VERIFICATION, private=["head.*"], trained=trained)
    assert terms.clip == 2 * 0.25
    assert terms.longest_mean == pytest.approx(3 * 0.25 * 160**0.5, rel=1e-4)
    assert Terms.for_model(MODEL, verification=VERIFICATION, trained=trained, clip=7.0).clip == 7.0
    for wrong in (MODEL, {**MODEL, "conv.weight": np.zeros(3)}, {**MODEL, "conv.weight": MODEL["conv.weight"] + np.inf}):
        with pytest.raises(TermsError):
            Terms.for_model(MODEL, verification=VERIFICATION, trained=wrong)


@pytest.mark.parametrize("limits", [ETHEREUM, ChainLimits(60_000, 2)])
@pytest.mark.parametrize("projected", [False, True])
def test_largest_model_that_a_refusal_names_fits_and_the_next_does_not(limits: ChainLimits, projected: bool) -> None:
    sizes = {"owners": 20, "group_size": 3, "update_bits": 16}
    most = most_weights(**sizes, projected=projected, limits=limits)
    kind = {"projected": projected, "owners": 20, "verification": VERIFICATION, "limits": limits}
    assert Terms.for_model(most, **kind).weights == most
    with pytest.raises(BadTerms, match=f"{most:,} if {'projected' if projected else 'exact'}"):
        Terms.for_model(most + 1, **kind)


def test_for_model_proves_exact_distances_of_small_models_and_projections_of_others() -> None:
    small, large, huge = (Terms.for_model(weights, verification=VERIFICATION) for weights in (4 * 8192, 5 * 8192, 513 * 8192))
    assert (small.projected, large.projected, huge.projected) == (False, True, True)
    assert small.answer_seconds == 3600
    assert (huge.answer_seconds, huge.prove_seconds) == (0, 3600)
    assert Terms.for_model(MODEL, verification=VERIFICATION, projected=True).projected


def test_for_model_that_cannot_be_tells_why() -> None:
    with pytest.raises(BadTerms, match="mostOwners is 12, it must lie in 20"):
        Terms.for_model(1, verification=VERIFICATION, owners=12, group_size=4)
    with pytest.raises(TermsError, match="is no amount"):
        Terms.for_model(1, verification=VERIFICATION, reward="much")
    with pytest.raises(UpdateError, match="'w' is complex128"):
        Terms.for_model({"w": np.zeros(2, complex)}, verification=VERIFICATION)


def test_every_field_is_described_as_the_protocol_has_it() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \|", (Path(__file__).parents[2] / "docs" / "specification" / "protocol.md").read_text(), re.MULTILINE
    )
    assert [(solidity_name(name), about.abi_type) for name, about in ABOUT.items()] == rows[: len(ABOUT)]


def test_norm_bound_steps_counts_squared_quantisation_steps() -> None:
    # A norm of half the clip is 63 of the 126 steps that 8 bits have on each side.
    assert norm_bound_steps(0.5, clip=1.0, update_bits=8) == 63**2
    assert norm_bound_steps(1e-9, clip=1.0, update_bits=8) == 1


def test_bad_terms_survive_pickling() -> None:
    with pytest.raises(BadTerms) as caught:
        make_terms(bond_wei=0)
    assert pickle.loads(pickle.dumps(caught.value)).faults == caught.value.faults


def _unchecked(terms: Terms, **changes: object) -> Terms:
    """Terms with other values, whatever the bounds say."""
    other = object.__new__(Terms)
    for field in fields(Terms):
        object.__setattr__(other, field.name, changes.get(field.name, getattr(terms, field.name)))
    return other
