"""The operator's policy: which tasks a data owner takes part in. Every refusal has a reason that the model owner sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from ..crypto.address import Address, parse_address
from ..decoding import Count, Hash, Positive, convert
from ..errors import Malformed, Refused, TermsError
from ..market.terms import ZERO_ADDRESS

if TYPE_CHECKING:
    from ..market.terms import Terms

FINAL_BLOCKS = 64
"""Two epochs of Ethereum: what lies that deep is final."""


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
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
    chain_ids: tuple[Count, ...] | None = None
    tokens: tuple[Address, ...] | None = (ZERO_ADDRESS,)
    most_stake_wei: Count | None = None
    least_group_size: Count = 3
    most_clip: Positive = 10.0
    most_rounds: Count = 1000
    most_peer_sets: Count | None = None
    least_reward_wei: Count = 0
    metrics: tuple[str, ...] | None = None
    app_hashes: tuple[Hash, ...] | None = None
    known_verification: bool | None = None
    confirmations: Count | None = None
    keep_blocks: Count | None = None
    fresh_seconds: Positive = 60.0
    poll_seconds: Positive = 4.0
    claim_after_wei: Count = 1

    @classmethod
    def from_mapping(cls, entries: Mapping[str, object]) -> Policy:
        """Policy from entries as ``owner.toml`` has them, hashes in hexadecimal.

        Raises
        ------
        TermsError
            An entry is unknown, or its value is not what it must be.
        """
        parsed = dict(entries)
        try:
            for name, parse in _PARSERS.items():
                if isinstance(items := parsed.get(name), (list, tuple)):
                    parsed[name] = [parse(item) for item in items]
            return convert(parsed, cls)
        except Malformed as error:
            raise TermsError(f"policy: {error}") from error

    def for_chain(self, *, is_local: bool) -> Policy:
        """The same policy with a value wherever None stands for one that depends on the chain."""
        usual = {"known_verification": not is_local, "confirmations": int(not is_local), "keep_blocks": 0 if is_local else FINAL_BLOCKS}
        return structs.replace(self, **{name: value for name, value in usual.items() if getattr(self, name) is None})

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


def _parse_hash(item: object) -> bytes:
    try:
        return bytes.fromhex(str(item).removeprefix("0x"))
    except ValueError as error:
        raise Malformed(f"{item!r} is no hash; expected 64 hexadecimal digits") from error


_PARSERS: dict[str, Callable[..., object]] = {"markets": parse_address, "tokens": parse_address, "app-hashes": _parse_hash}
