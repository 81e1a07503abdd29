"""Terms as a person writes them: a TOML file with amounts in ether, the clip in weights and the norm as a length."""

from __future__ import annotations

import json
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ..crypto.address import parse_address
from ..errors import BadTerms, Malformed, TermsError
from ..market.terms import ZERO_ADDRESS, Address, Terms, bounds, headroom_bits, norm_bound_steps, polynomials_for
from .amounts import amount_for, format_amount, parse_amount

_MONEY = ("reward", "stake", "bond", "accuse-fee")
_ADDRESSES = ("token", "admission", "verification")
_CLIP_NANO, _NORM_BOUND = "clip-nano", "norm-bound"
_ANY_VERIFICATION = Address("0x" + "00" * 19 + "01")
_REWARD_WEI = 10**15
_MOST_BITS = 16

_ABOUT = {
    "token": "ERC-20 in which everything is paid; leave it out for ether. Fee-on-transfer tokens are refused when\n"
    "# they are paid in; rebasing tokens must not be used. Amounts are then whole numbers of its smallest unit.",
    "admission": "Contract that says who may join; leave it out for a market that is open to all.",
    "reward": "Paid for each accepted update.",
    "stake": "What a data owner pays in and gets back; at least one reward more than a group has members.",
    "bond": "What the model owner locks in a round, shared out if a round times out.",
    "accuse-fee": "What an accusation pays to the accused; always ether.",
    "most-owners": "Most data owners at a time; with `weights` it decides whether a settlement fits a transaction.",
    "group-size": "h: groups have h or h + 1 members. A group is the set that a data owner hides in.",
    "faulty-groups": "f: faulty groups that a round tolerates; an epoch needs 2 f + 3 groups.",
    "weights": "d: weights of the public part of the model.",
    "update-bits": "b: bits of a quantised weight.",
    "clip": "c: entries of an update are clipped to [-c, c]; or write `clip-nano`, in 1e-9.",
    "norm": "Longest acceptable mean update of a group (L2 norm); or write `norm-bound`, its square in quantisation steps.",
    "rounds-per-epoch": "Rounds that may open before groups are drawn anew.",
    "commit-seconds": "From the anchored task to the opening of the round.",
    "accuse-seconds": "From the opening: time to accuse who does not deliver.",
    "answer-seconds": "Then: time of the accused to answer on chain.",
    "prove-seconds": "Then: time to settle.",
    "draw-delay-blocks": "From the freeze to the block whose randomness draws the groups.",
    "app-hash": "Hash of the client app that the model owner publishes, 0x and 64 digits; leave it out if there is none.",
    "metrics": "Names of the metrics that may leave a data owner, sorted.",
}


def read_terms(path: Path, verification: Address) -> Terms:
    """Terms from a file; `verification` is taken if the file names none.

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
    known = {*_ABOUT, "verification", _CLIP_NANO, _NORM_BOUND}
    unknown = sorted(set(entries) - known)
    if unknown:
        raise TermsError(f"{path} has unknown entries {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    try:
        return _terms(entries, verification)
    except BadTerms:
        raise
    except (TermsError, Malformed, ValueError, TypeError, OverflowError) as error:
        raise TermsError(f"{path}: {error}") from error


def template(*, owners: int, weights: int, group_size: int) -> str:
    """A commented file of terms that fit, with the bounds of each entry given the others.

    Raises
    ------
    BadTerms
        So many owners, weights and members of a group do not go together.
    """
    terms = _fitting(owners, weights, group_size)
    lines = [
        "# Terms of a market, fixed for ever when it is created: omnilytics market create --terms THIS-FILE",
        "# Bounds are those that hold while the other entries stand as they are here.",
        f"# A settlement takes {bounds_of(terms)['settlement-bytes']}.",
    ]
    for name, about in _ABOUT.items():
        limits = bounds_of(terms).get(name)
        lines += ["", f"# {about}" + (f" {limits}." if limits else "")]
        lines.append(_line(name, _value(terms, name)))
    return "\n".join(lines) + "\n"


def bounds_of(terms: Terms) -> dict[str, str]:
    """Bounds of each entry of a file, in words."""
    texts = {}
    for field, (least, most) in bounds(terms).items():
        name = "".join("-" + letter.lower() if letter.isupper() else letter for letter in field).removesuffix("-wei")
        texts[name] = f"{_bound(least)} .. {_bound(most)}" + (" wei" if name in _MONEY else "")
    texts["clip"] = "1e-9 .. 1000"
    texts["metrics"] += " bytes together"
    texts["settlement-bytes"] = f"at most {_bound(bounds(terms)['settlementBytes'][1])} bytes"
    return texts


def _terms(entries: dict[str, Any], verification: Address) -> Terms:
    values: dict[str, Any] = {"verification": verification}
    in_ether = parse_address(entries.get("token", ZERO_ADDRESS)) == ZERO_ADDRESS
    for name, value in entries.items():
        field = name.replace("-", "_")
        if name in _MONEY:
            values[f"{field}_wei"] = _money(name, value, in_ether=in_ether or name == "accuse-fee")
        elif name in _ADDRESSES:
            values[field] = parse_address(value)
        elif name not in ("clip", "norm"):
            values[field] = value
    if "app_hash" in values:
        values["app_hash"] = bytes.fromhex(values["app_hash"].removeprefix("0x"))
    values["metrics"] = tuple(values.get("metrics", ()))
    values |= _clip_and_norm(entries, values.get("update_bits", _default("update_bits")))
    missing = [name for name in _required() if name.replace("-", "_") not in values and f"{name.replace('-', '_')}_wei" not in values]
    if missing:
        raise TermsError(f"lacks {', '.join(missing)}; expected every entry without a default; see `omnilytics market terms-template`")
    wrong = [field for field, value in values.items() if isinstance(_default(field), int) and type(value) is not int]
    if wrong:
        raise TermsError(f"{wrong[0].replace('_', '-')} is {values[wrong[0]]!r}; expected a whole number")
    return Terms(**values)


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


def _required() -> list[str]:
    names = [field.name.replace("_", "-").removesuffix("-wei") for field in fields(Terms) if field.default is MISSING]
    return [name for name in names if name != "verification"]


def _default(field: str) -> object:
    """Default of a field; 0 of a number that has none."""
    found = next(f for f in fields(Terms) if f.name == field)
    if found.default is not MISSING:
        return found.default
    return 0 if found.type == "int" else None


def _usual(field: str) -> int:
    return int(str(_default(field)))


def _fitting(owners: int, weights: int, group_size: int) -> Terms:
    """Terms for so many, as near to the defaults as their bounds allow."""
    polynomials = polynomials_for(weights)
    bits = max(
        (b for b in range(2, _MOST_BITS + 1) if headroom_bits(polynomials=polynomials, group_size=group_size, update_bits=b) <= 82),
        default=2,
    )
    return Terms(
        verification=_ANY_VERIFICATION,
        reward_wei=_REWARD_WEI,
        stake_wei=2 * (group_size + 1) * _REWARD_WEI,
        bond_wei=owners * _REWARD_WEI,
        most_owners=owners,
        group_size=group_size,
        weights=weights,
        update_bits=bits,
        clip_nano=500_000_000,
        norm_bound=norm_bound_steps(10.0, clip=0.5, update_bits=bits),
        rounds_per_epoch=10,
        metrics=("num-examples",),
        accuse_seconds=max(_usual("accuse_seconds"), 60 + owners),
        answer_seconds=max(_usual("answer_seconds"), 60 + 12 * owners * -(-polynomials // 6)),
        prove_seconds=max(_usual("prove_seconds"), 120 + owners * polynomials),
    )


def _norm(terms: Terms) -> float:
    return float(round(float(terms.norm_bound) ** 0.5 * terms.clip / (2 ** (terms.update_bits - 1) - 1), 6))


def _value(terms: Terms, name: str) -> Any:
    if name == "norm":
        return _norm(terms)
    field = name.replace("-", "_")
    return format_amount(getattr(terms, f"{field}_wei")) if name in _MONEY else getattr(terms, field)


def _line(name: str, value: Any) -> str:
    if name in _ADDRESSES or name == "app-hash":
        return f'# {name} = "0x..."'
    if isinstance(value, (tuple, str)):
        return f"{name} = {json.dumps(value)}"
    return f"{name} = {value:_}" if isinstance(value, int) else f"{name} = {value}"


def _bound(number: int) -> str:
    return f"2^{number.bit_length() - 1}" if number > 2**40 and number.bit_count() == 1 else f"{number:,}"
