"""What the markets of all runs have in common: the section ``[market]`` of a recipe, and the terms that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from omnilytics_flwr import Address, Terms

from .recipes import require

VERIFICATIONS = ("exact", "projected")
"""What distances are proven of: the updates, or random projections of them."""


@dataclass(frozen=True, slots=True)
class Market:
    """Terms that a recipe names; their own bounds are checked when they are made."""

    verification: str
    group_size: int
    faulty_groups: int
    update_bits: int
    clip: float
    longest_mean: float
    reward_wei: int
    bond_wei: int

    def __post_init__(self) -> None:
        """Refuse what has no meaning; the rest is the terms' own business."""
        require(self.verification in VERIFICATIONS, "market.verification", self.verification, " or ".join(VERIFICATIONS))
        for name in ("clip", "longest_mean", "reward_wei", "bond_wei"):
            require(getattr(self, name) > 0, f"market.{name}", getattr(self, name), "above 0")

    def terms(
        self,
        model: Mapping[str, object] | int,
        *,
        owners: int,
        rounds: int,
        private: Iterable[str] = (),
        metrics: Iterable[str] = (),
        **others: Any,
    ) -> Callable[[Address], Terms]:
        """Terms given the address of the verification.

        Parameters
        ----------
        model, owners, rounds, private, metrics
            As of `Terms.for_model`.
        others
            Further fields of `Terms`.
        """

        def terms(verification: Address) -> Terms:
            usual = Terms.for_model(
                model,
                verification=verification,
                private=private,
                owners=owners,
                group_size=self.group_size,
                faulty_groups=self.faulty_groups,
                reward=self.reward_wei,
                stake=(self.group_size + 1) * self.reward_wei,
                bond=self.bond_wei,
                clip=self.clip,
                longest_mean=self.longest_mean,
                rounds=rounds,
                update_bits=self.update_bits,
                projected=self.verification == "projected",
                metrics=metrics,
            )
            return replace(usual, draw_delay_blocks=2, **others)

        return terms
