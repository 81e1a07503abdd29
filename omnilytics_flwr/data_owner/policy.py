"""The operator's policy: which tasks a data owner takes part in. Every refusal has a reason that the model owner sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from ..errors import Refused, TermsError
from ..market.terms import Address, Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator of a data owner allows.

    Parameters
    ----------
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
    app_hash : bytes, or None (default: None)
        The one client app to work for; None allows any.
    confirmations : int (default: 0)
        Blocks on top of an opening before a vector leaves.
    """

    least_group_size: int = 3
    most_clip: float = 10.0
    most_rounds: int = 1000
    most_peer_sets: int | None = None
    least_reward_wei: int = 0
    metrics: tuple[str, ...] | None = None
    app_hash: bytes | None = None
    confirmations: int = 0

    @classmethod
    def from_mapping(cls, entries: Mapping[str, object]) -> Policy:
        """Policy from a parsed configuration file; unknown keys are refused with `TermsError`."""
        known = {field.name for field in fields(cls)}
        named = {key.replace("-", "_"): value for key, value in entries.items()}
        unknown = sorted(set(named) - known)
        if unknown:
            raise TermsError(f"unknown policy entries {unknown}; known are {sorted(known)}")
        if isinstance(named.get("metrics"), list):
            named["metrics"] = tuple(named["metrics"])  # type: ignore[arg-type]
        if isinstance(named.get("app_hash"), str):
            named["app_hash"] = bytes.fromhex(str(named["app_hash"]).removeprefix("0x"))
        return cls(**named)  # type: ignore[arg-type]

    def peer_sets_for(self, terms: Terms) -> int:
        """Most different groups that may see one data set under these terms."""
        return max(1, terms.group_size - 2) if self.most_peer_sets is None else self.most_peer_sets

    def check_terms(self, market: Address, terms: Terms) -> None:
        """Raise `Refused` unless the terms are acceptable."""
        demands = {
            f"groups of {terms.group_size}, at least {self.least_group_size} wanted": terms.group_size >= self.least_group_size,
            f"clip {terms.clip}, at most {self.most_clip} allowed": terms.clip <= self.most_clip,
            f"reward {terms.reward_wei} wei, at least {self.least_reward_wei} wanted": terms.reward_wei >= self.least_reward_wei,
            "another client app than the one allowed": self.app_hash in (None, terms.app_hash),
            "metrics that may not leave": self.metrics is None or set(terms.metrics) <= set(self.metrics),
        }
        broken = [reason for reason, holds in demands.items() if not holds]
        if broken:
            raise Refused(f"policy refuses market {market}: {'; '.join(broken)}")
