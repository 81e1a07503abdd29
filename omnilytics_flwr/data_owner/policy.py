"""The operator's policy: which tasks a data owner takes part in. Every refusal has a reason that the model owner sees."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

from ..crypto.address import parse_address
from ..errors import Malformed, Refused, TermsError
from ..market.terms import ZERO_ADDRESS, Address, Terms

FINAL_BLOCKS = 64
"""Two epochs of Ethereum: what lies that deep is final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator of a data owner allows.

    Parameters
    ----------
    markets : tuple of Address, or None (default: None)
        Markets to work for; None allows any.
    chain_ids : tuple of int, or None (default: None)
        Chains to work on; None allows any.
    tokens : tuple of Address, or None (default: ether only)
        What to be paid in: addresses of ERC-20 tokens, the zero address for ether; None allows any.
    most_stake_wei : int, or None (default: None)
        Largest stake to pay; None allows any.
    least_group_size : int (default: 3)
        Smallest group to hide in.
    most_clip : float (default: 10.0)
        Largest clip c of an update's entries.
    most_rounds : int (default: 1000)
        Most rounds of one market to train in.
    most_peer_sets : int, or None (default: None)
        Most different groups that may ever see sums with this data set: each redraw lets a patient model owner
        solve for more (So et al., "Securing Secure Aggregation", arXiv 2106.03328). None stands for h - 2, at least 1.
    least_reward_wei : int (default: 0)
        Smallest reward to work for.
    metrics : tuple of str, or None (default: None)
        Names of metrics that may leave; None allows what the terms name.
    app_hashes : tuple of bytes, or None (default: None)
        The client apps to work for, 32 bytes each; None allows any.
    known_verification : bool, or None (default: None)
        Whether the market's verification must run the code of this version: any other may accept what it likes. None stands for
        yes, but on a local chain for no.
    confirmations : int, or None (default: None)
        Blocks on top of an opening before a vector leaves. None stands for 1, but on a local chain for 0.
    keep_blocks : int, or None (default: None)
        Blocks on top of a round's end before its vector is deleted: until then a reorganisation may ask for it again.
        None stands for 64, but on a local chain for 0.
    fresh_seconds : float (default: 60.0)
        An agent process commits only if it has seen the chain within this time, for an accusation must not escape it.
    poll_seconds : float (default: 4.0)
        How often an agent process looks at the chain.
    claim_after_wei : int (default: 1)
        An agent process claims once so much is owed; 1 claims after every round.
    """

    markets: tuple[Address, ...] | None = None
    chain_ids: tuple[int, ...] | None = None
    tokens: tuple[Address, ...] | None = (ZERO_ADDRESS,)
    most_stake_wei: int | None = None
    least_group_size: int = 3
    most_clip: float = 10.0
    most_rounds: int = 1000
    most_peer_sets: int | None = None
    least_reward_wei: int = 0
    metrics: tuple[str, ...] | None = None
    app_hashes: tuple[bytes, ...] | None = None
    known_verification: bool | None = None
    confirmations: int | None = None
    keep_blocks: int | None = None
    fresh_seconds: float = 60.0
    poll_seconds: float = 4.0
    claim_after_wei: int = 1

    @classmethod
    def from_mapping(cls, entries: Mapping[str, object]) -> Policy:
        """Policy from a parsed configuration file.

        Raises
        ------
        TermsError
            An entry is unknown, or its value is not what it must be.
        """
        named = {key.replace("-", "_"): value for key, value in entries.items()}
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(named) - known)
        if unknown:
            raise TermsError(f"unknown policy entries {unknown}; known are {sorted(known)}; leave the others out")
        return cls(**{name: _READERS[name](name, value) for name, value in named.items()})  # type: ignore[arg-type]

    def for_chain(self, *, is_local: bool) -> Policy:
        """The same policy with a value wherever None stands for one that depends on the chain."""
        stands_for: dict[str, int] = {"known_verification": True, "confirmations": 1, "keep_blocks": FINAL_BLOCKS}
        unset = {name: type(value)(0) if is_local else value for name, value in stands_for.items() if getattr(self, name) is None}
        return replace(self, **unset)  # type: ignore[arg-type]

    def peer_sets_for(self, terms: Terms) -> int:
        """Most different groups that may see one data set under these terms."""
        return max(1, terms.group_size - 2) if self.most_peer_sets is None else self.most_peer_sets

    def check_market(self, chain_id: int, market: Address) -> None:
        """Raise `Refused` unless the market is one to work for."""
        if self.chain_ids is not None and chain_id not in self.chain_ids:
            raise Refused(f"policy refuses chain {chain_id}; allowed are {list(self.chain_ids)}; ask the operator of this data owner")
        if not _is_among(market, self.markets):
            raise Refused(f"policy refuses market {market}: it is not among those allowed; ask the operator of this data owner")

    def check_terms(self, market: Address, terms: Terms) -> None:
        """Raise `Refused` unless the terms are acceptable."""
        demands = {
            f"pay in token {terms.token}, which is not among those allowed": _is_among(terms.token, self.tokens),
            f"stake {terms.stake_wei} wei, at most {self.most_stake_wei} allowed": self.most_stake_wei is None
            or terms.stake_wei <= self.most_stake_wei,
            f"groups of {terms.group_size}, at least {self.least_group_size} wanted": terms.group_size >= self.least_group_size,
            f"clip {terms.clip}, at most {self.most_clip} allowed": terms.clip <= self.most_clip,
            f"reward {terms.reward_wei} wei, at least {self.least_reward_wei} wanted": terms.reward_wei >= self.least_reward_wei,
            "another client app than those allowed": self.app_hashes is None or terms.app_hash in self.app_hashes,
            "metrics that may not leave": self.metrics is None or set(terms.metrics) <= set(self.metrics),
        }
        broken = [reason for reason, holds in demands.items() if not holds]
        if broken:
            raise Refused(f"policy refuses market {market}: {'; '.join(broken)}")


def _is_among(address: Address, allowed: tuple[Address, ...] | None) -> bool:
    return allowed is None or address.lower() in {one.lower() for one in allowed}


def _wrong(name: str, value: object, expected: str) -> TermsError:
    return TermsError(f"policy entry {name.replace('_', '-')} is {value!r}; expected {expected}; write it so")


def _count(name: str, value: object) -> int:
    if type(value) is not int or value < 0:
        raise _wrong(name, value, "a whole number from 0 up")
    return value


def _positive(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise _wrong(name, value, "a number above 0")
    return float(value)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, value, "true or false")
    return value


def _items(name: str, value: object, kind: type) -> tuple[object, ...]:
    if not isinstance(value, (list, tuple)) or any(type(item) is not kind for item in value):
        raise _wrong(name, value, f"a list of {kind.__name__}")
    return tuple(value)


def _addresses(name: str, value: object) -> tuple[Address, ...]:
    try:
        return tuple(parse_address(str(item)) for item in _items(name, value, str))
    except Malformed as error:
        raise _wrong(name, value, "a list of addresses") from error


def _hashes(name: str, value: object) -> tuple[bytes, ...]:
    try:
        hashes = tuple(bytes.fromhex(str(item).removeprefix("0x")) for item in _items(name, value, str))
    except ValueError:
        hashes = (b"",)
    if any(len(one) != 32 for one in hashes):
        raise _wrong(name, value, "a list of hashes, 64 hexadecimal digits each")
    return hashes


_READERS: dict[str, Callable[[str, object], object]] = {
    **dict.fromkeys(("most_stake_wei", "least_group_size", "most_rounds", "most_peer_sets", "least_reward_wei"), _count),
    **dict.fromkeys(("confirmations", "keep_blocks", "claim_after_wei"), _count),
    **dict.fromkeys(("most_clip", "fresh_seconds", "poll_seconds"), _positive),
    **dict.fromkeys(("markets", "tokens"), _addresses),
    "chain_ids": lambda name, value: _items(name, value, int),
    "metrics": lambda name, value: _items(name, value, str),
    "app_hashes": _hashes,
    "known_verification": _flag,
}
