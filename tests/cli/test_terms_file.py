"""Terms in a file: what a person writes is what the market gets, and every wrong entry is told."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from omnilytics_flwr.cli.terms_file import bounds_of, read_terms, template
from omnilytics_flwr.errors import BadTerms, TermsError
from omnilytics_flwr.market.terms import Address, Terms, bounds
from omnilytics_flwr.market.terms_bounds import norm_bound_steps
from tests.support.builders import VERIFICATION

from .command_line import CommandLine

COMPUTED = Address("0x90F79bf6EB2c4f870365E785982E1f101E93b906")
OTHER = Address("0x8ba1f109551bD432803012645Ac136ddd64DBA72")
PLAIN = {
    "reward": '"0.001 ether"',
    "stake": '"0.01 ether"',
    "bond": "27",
    "most-owners": "20",
    "group-size": "4",
    "weights": "20_000",
    "clip": "0.5",
    "norm": "2",
    "rounds-per-epoch": "8",
}


def read(folder: Path, **changes: str | None) -> Terms:
    entries = PLAIN | {name.replace("_", "-"): value for name, value in changes.items()}
    path = folder / "terms.toml"
    path.write_text("\n".join(f"{name} = {value}" for name, value in entries.items() if value is not None))
    return read_terms(path, VERIFICATION, COMPUTED)


def test_file_is_the_terms_it_says(tmp_path: Path) -> None:
    terms = read(
        tmp_path,
        accuse_fee='"3 gwei"',
        metrics='["accuracy", "loss"]',
        admission=f'"{OTHER}"',
        app_hash=f'"0x{"ab" * 32}"',
        update_bits="12",
    )
    assert terms == Terms(
        verification=VERIFICATION,
        admission=OTHER,
        reward_wei=10**15,
        stake_wei=10**16,
        bond_wei=27,
        accuse_fee_wei=3 * 10**9,
        most_owners=20,
        group_size=4,
        weights=20_000,
        update_bits=12,
        clip_nano=500_000_000,
        norm_bound=norm_bound_steps(2, clip=0.5, update_bits=12),
        rounds_per_epoch=8,
        app_hash=b"\xab" * 32,
        metrics=("accuracy", "loss"),
    )
    terms = read(tmp_path, clip=None, norm=None, clip_nano="123456789", norm_bound="987654321", verification=f'"{OTHER}"')
    assert (terms.clip_nano, terms.norm_bound, terms.verification) == (123_456_789, 987_654_321, OTHER)


def test_token_market_has_amounts_in_units(tmp_path: Path) -> None:
    in_units = {"reward": "1_000", "stake": '"9000 units"', "bond": "25"}
    terms = read(tmp_path, token=f'"{OTHER}"', accuse_fee='"1 gwei"', **in_units)
    assert (terms.token, terms.reward_wei, terms.stake_wei, terms.accuse_fee_wei) == (OTHER, 1_000, 9_000, 10**9)
    with pytest.raises(TermsError, match="pays in a token"):
        read(tmp_path, token=f'"{OTHER}"')


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reward": None}, "lacks reward"),
        ({"weights": None, "bond": None}, "lacks bond, weights"),
        ({"colour": "1"}, "unknown entries colour"),
        ({"reward": '"0.001"'}, "is no amount"),
        ({"reward": '"1 units"'}, "pays in ether"),
        ({"reward": "0.5"}, "reward is 0.5"),
        ({"reward": "true"}, "reward is True"),
        ({"weights": '"many"'}, "weights is 'many'"),
        ({"weights": "1.5"}, "weights is 1.5"),
        ({"clip_nano": "5"}, "expected one of clip and clip-nano"),
        ({"norm": None}, "gives neither; expected one of norm and norm-bound"),
        ({"clip": "0"}, "above 0"),
        ({"norm": "-1"}, "above 0"),
        ({"clip": "inf"}, "cannot convert"),
        ({"token": '"0x12"'}, "is not an address"),
        ({"projected": "2"}, "projected is 2; expected 0 or 1"),
        ({"projected": "1.0"}, "projected is 1.0; expected 0 or 1"),
        ({"app_hash": '"xy"'}, "non-hexadecimal"),
        ({"metrics": '"accuracy"'}, "metrics"),
        ({"reward": '"1 ether'}, "does not parse"),
    ],
)
def test_wrong_entry_is_told(tmp_path: Path, changes: dict[str, str | None], said: str) -> None:
    with pytest.raises(TermsError, match=re.escape(said)):
        read(tmp_path, **changes)


def test_every_broken_bound_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadTerms) as caught:
        read(tmp_path, bond="0", group_size="2", rounds_per_epoch="0")
    assert len(caught.value.faults) == 3


@pytest.mark.parametrize(
    ("owners", "weights", "group_size"), [(20, 20_000, 4), (15, 1, 3), (254, 24_576, 10), (20, 368_640, 4), (80, 100, 16)]
)
def test_template_is_terms_that_fit_with_the_bounds_of_each(tmp_path: Path, owners: int, weights: int, group_size: int) -> None:
    text = template(owners=owners, weights=weights, group_size=group_size)
    path = tmp_path / "terms.toml"
    path.write_text(text)
    terms = read_terms(path, VERIFICATION, COMPUTED)
    assert (terms.most_owners, terms.weights, terms.group_size) == (owners, weights, group_size)
    assert type(terms.projected) is bool, "what a contract takes for one"
    entries = tomllib.loads(text)
    for name, (_, least, most) in bounds(terms).items():
        if name not in ("scoringSteps", "settlementBytes", "clipNano", "normBound", "weights"):
            own = "".join("-" + c.lower() if c.isupper() else c for c in name).removesuffix("-wei")
            assert own in entries
            comment = text.partition(f"\n{own} = ")[0].rpartition("\n\n")[2]
            assert f"{least:,} .. " in comment
            assert f".. {most:,}" in comment or f".. 2^{most.bit_length() - 1}" in comment
    assert bounds_of(terms)["settlement-bytes"] == "at most 131,072 bytes"
    exact, projected = re.findall(r"[\d,]+", bounds_of(terms)["weights"])[1:]
    assert terms.weights <= int((projected if terms.projected else exact).replace(",", ""))


def test_printed_template_is_the_template_or_every_reason_against_it(bare: CommandLine) -> None:
    said = bare.refused("market", "terms-template", "--owners", "254", "--weights", "4000000", "--group-size", "2")
    assert "settlementBytes" in said
    assert "groupSize" in said
    assert bare("market", "terms-template") == template(owners=24, weights=20_000, group_size=None)
    assert bare.json("market", "terms-template")["toml"] == template(owners=24, weights=20_000, group_size=None)


def test_template_of_a_computed_market_is_read_as_one(tmp_path: Path) -> None:
    path = tmp_path / "terms.toml"
    path.write_text(template(owners=15, weights=3_000, group_size=3, verification="computed"))

    terms = read_terms(path, VERIFICATION, COMPUTED)

    assert (terms.verification, terms.projected, terms.answer_seconds) == (COMPUTED, False, 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"weights": "20_000"}, "settlementBytes"), ({"projected": "true"}, "projected"), ({"answer_seconds": "3600"}, "answerSeconds")],
)
def test_terms_that_cannot_be_computed_are_refused(tmp_path: Path, changes: dict[str, str], reason: str) -> None:
    small = {"verification": '"computed"', "weights": "1_000", "answer_seconds": "0"}
    assert read(tmp_path, **small).verification == COMPUTED

    with pytest.raises(BadTerms, match=reason):
        read(tmp_path, **(small | changes))
