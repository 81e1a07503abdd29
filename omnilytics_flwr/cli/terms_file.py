"""Terms as a person writes them: a TOML file with amounts in ether, the clip in weights and the norm as a length."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ..crypto.address import parse_address
from ..errors import BadTerms, Malformed, TermsError
from ..market.amount import amount_for, format_amount, parse_amount
from ..market.terms import ABOUT, ZERO_ADDRESS, Address, Terms, bounds, solidity_name
from ..market.terms_bounds import ETHEREUM, most_weights, norm_bound_steps
from .settings import VERIFICATIONS

_CLIP_NANO, _NORM_BOUND = "clip-nano", "norm-bound"
_IN_UNITS_OF_WEIGHTS = {
    "clip_nano": ("clip", "c: entries of an update are clipped to [-c, c]; or write `clip-nano`, in 1e-9."),
    "norm_bound": ("norm", "Longest acceptable mean update of a group (L2 norm); or write `norm-bound`, its square in quantisation steps."),
}
"""Entry and text of the fields that a person writes as a length."""
_ENTRIES = {
    name: _IN_UNITS_OF_WEIGHTS[name][0] if name in _IN_UNITS_OF_WEIGHTS else name.removesuffix("_wei").replace("_", "-") for name in ABOUT
}
"""What each field of the terms is called in a file."""
_FIELDS = {entry: name for name, entry in _ENTRIES.items()} | {_CLIP_NANO: "clip_nano", _NORM_BOUND: "norm_bound"}
_MONEY = {entry for name, entry in _ENTRIES.items() if name.endswith("_wei")}
_DEFAULTS = {field.name: field.default for field in fields(Terms)}
_COMPUTED = VERIFICATIONS[-1]
_ANY_VERIFICATION = Address("0x" + "00" * 19 + "01")


def read_terms(path: Path, verification: Address, computed: Address) -> Terms:
    """Terms from a file; `verification` is taken if the file names none, and `computed` if it says so in place of an address.

    Raises
    ------
    TermsError
        The file does not parse, or an entry is unknown, missing or of the wrong kind.
    BadTerms
        With every bound that is broken.
    """
    try:
        entries = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TermsError(f"{path} does not parse: {error}; write it as TOML, see `omnilytics market terms-template`") from error
    unknown = sorted(set(entries) - set(_FIELDS))
    if unknown:
        raise TermsError(f"{path} has unknown entries {', '.join(unknown)}; known are {', '.join(sorted(_FIELDS))}")
    try:
        if entries.get("verification") == _COMPUTED:
            entries["verification"] = computed
        terms = _terms(entries, verification)
        terms.check(computed=terms.verification == computed)
        return terms
    except BadTerms:
        raise
    except (TermsError, Malformed, ValueError, TypeError, OverflowError) as error:
        raise TermsError(f"{path}: {error}") from error


def template(
    *,
    owners: int,
    weights: int,
    group_size: int | None,
    verification: str | None = None,
    clip: float | None = None,
    longest_mean: float | None = None,
    examples: Iterable[int] = (),
) -> str:
    """A commented file of terms that fit Ethereum, with the bounds of each entry given the others; raises `BadTerms` if none fit.

    `verification` is one of `VERIFICATIONS`; by default the first of them with proofs that fits. The others are as for `Terms.for_model`.
    """
    computed = verification == _COMPUTED
    terms = Terms.for_model(
        weights,
        verification=_ANY_VERIFICATION,
        owners=owners,
        group_size=group_size,
        rounds=10,
        projected=None if verification is None else verification == "projected",
        computed=computed,
        clip=clip,
        longest_mean=longest_mean,
        examples=examples,
        metrics=["num-examples"],
    )
    limits = bounds_of(terms, computed=computed)
    lines = [
        "# Terms of a market, which never change once it is created: omnilytics market create --terms THIS-FILE",
        "# Bounds are those that hold while the other entries stand as they are here.",
        f"# A settlement takes {limits['settlement-bytes']}.",
    ]
    for name, about in ABOUT.items():
        if name == "verification":
            if computed:
                lines += ["", f"# {about.text} This one computes distances itself: everybody sees the sum of each group."]
                lines += [f'verification = "{_COMPUTED}"']
            continue
        entry, text = _ENTRIES[name], _IN_UNITS_OF_WEIGHTS.get(name, ("", about.text))[1]
        lines += ["", f"# {text}" + (f" {limits[entry]}." if entry in limits else ""), _line(entry, _written(terms, name))]
    return "\n".join(lines) + "\n"


def bounds_of(terms: Terms, *, computed: bool = False) -> dict[str, str]:
    """Bounds of each entry of a file, in words; `computed` as for `omnilytics_flwr.market.terms.bounds`."""
    found = bounds(terms, computed=computed)
    entries = {solidity_name(name): entry for name, entry in _ENTRIES.items() if name not in _IN_UNITS_OF_WEIGHTS}
    texts = {
        entries[name]: f"{_bound(least)} .. {_bound(most)}" + (" wei" if entries[name] in _MONEY else "")
        for name, (_, least, most) in found.items()
        if name in entries
    }
    texts["clip"] = "1e-9 .. 1000"
    texts["metrics"] += " bytes together"
    texts["settlement-bytes"] = f"at most {_bound(found['settlementBytes'].most)} bytes"
    if not computed:
        sizes = {"owners": terms.most_owners, "group_size": terms.group_size, "update_bits": terms.update_bits}
        exact, projected = (most_weights(**sizes, projected=projected, limits=ETHEREUM) for projected in (False, True))
        texts["weights"] = f"1 .. {exact:,}, or .. {projected:,} if projected"
    return texts


def _terms(entries: dict[str, Any], verification: Address) -> Terms:
    values: dict[str, Any] = {"verification": verification}
    in_ether = parse_address(entries.get("token", ZERO_ADDRESS)) == ZERO_ADDRESS
    for entry, value in entries.items():
        name = _FIELDS[entry]
        if entry in _MONEY:
            values[name] = _money(entry, value, in_ether=in_ether or entry == "accuse-fee")
        elif ABOUT[name].abi_type == "address":
            values[name] = parse_address(value)
        elif ABOUT[name].abi_type == "bool":
            values[name] = _flag(entry, value)
        elif entry not in ("clip", "norm"):
            values[name] = value
    if "app_hash" in values:
        values["app_hash"] = bytes.fromhex(values["app_hash"].removeprefix("0x"))
    values["metrics"] = tuple(values.get("metrics", ()))
    values |= _clip_and_norm(entries, values.get("update_bits", _DEFAULTS["update_bits"]))
    missing = [_ENTRIES[name] for name, default in _DEFAULTS.items() if default is MISSING and name not in values]
    if missing:
        raise TermsError(f"lacks {', '.join(missing)}; expected every entry without a default; see `omnilytics market terms-template`")
    wrong = [name for name, value in values.items() if ABOUT[name].abi_type.startswith("uint") and type(value) is not int]
    if wrong:
        raise TermsError(f"{wrong[0].replace('_', '-')} is {values[wrong[0]]!r}; expected a whole number")
    return Terms(**values)


def _flag(entry: str, value: object) -> bool:
    if type(value) not in (bool, int) or value not in (0, 1):
        raise TermsError(f"{entry} is {value!r}; expected 0 or 1")
    return bool(value)


def _clip_and_norm(entries: dict[str, Any], update_bits: int) -> dict[str, int]:
    """Clip and norm in the terms' units, from the one form of each that is given."""
    for names in (("clip", _CLIP_NANO), ("norm", _NORM_BOUND)):
        if sum(name in entries for name in names) != 1:
            raise TermsError(f"gives {' and '.join(n for n in names if n in entries) or 'neither'}; expected one of {' and '.join(names)}")
    clip = entries["clip"] if "clip" in entries else entries[_CLIP_NANO] / 1e9
    found = {"clip_nano": entries.get(_CLIP_NANO, round(float(clip) * 1e9))}
    if not clip > 0 or ("norm" in entries and not float(entries["norm"]) > 0):
        raise TermsError("clip and norm must be above 0; write larger ones")
    steps = norm_bound_steps(float(entries["norm"]), clip=float(clip), update_bits=update_bits) if "norm" in entries else 0
    return found | {"norm_bound": entries.get(_NORM_BOUND, steps)}


def _money(name: str, value: object, *, in_ether: bool) -> int:
    if type(value) is int:
        return value
    if not isinstance(value, str):
        raise TermsError(f'{name} is {value!r}; expected an amount such as "0.001 ether", or a whole number of the smallest unit')
    return amount_for(parse_amount(value), in_ether=in_ether)


def _written(terms: Terms, name: str) -> Any:
    """A field's value as the file has it."""
    value = getattr(terms, name)
    if name == "norm_bound":
        return round(terms.longest_mean, 6)
    if name == "clip_nano":
        return terms.clip
    return format_amount(value) if name.endswith("_wei") else value


def _line(entry: str, value: Any) -> str:
    if ABOUT[_FIELDS[entry]].abi_type in ("address", "bytes32"):
        return f'# {entry} = "0x..."'
    if isinstance(value, (tuple, str)):
        return f"{entry} = {json.dumps(value)}"
    return f"{entry} = {value:_}" if isinstance(value, int) else f"{entry} = {value}"


def _bound(number: int) -> str:
    return f"2^{number.bit_length() - 1}" if number > 2**40 and number.bit_count() == 1 else f"{number:,}"
