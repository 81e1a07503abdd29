"""What the markets of all runs have in common: the section ``[market]`` of a recipe, and the terms that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from omnilytics_flwr import Address, Terms

from .recipes import require

VERIFICATIONS = ("exact", "projected", "computed")
"""What distances are proven of, the updates or random projections of them; or that the contract computes them itself."""


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

    @property
    def is_computed(self) -> bool:
        """Whether the contract computes distances itself."""
        return self.verification == "computed"

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
                computed=self.is_computed,
                metrics=metrics,
            )
            # Nobody could answer an accusation in a computed market.
            answered = {"answer_seconds": 0} if self.is_computed else {}
            return replace(usual, draw_delay_blocks=2, **(others | answered))

        return terms
