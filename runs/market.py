"""What the markets of all runs have in common: the section ``[market]`` of a recipe, and the terms that come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from omnilytics_flwr import Address, Terms

from .recipes import require

__all__ = ["Market"]


@dataclass(frozen=True, slots=True)
class Market:
    """Terms that a recipe names; their own bounds are checked when they are made."""

    group_size: int
    faulty_groups: int
    update_bits: int
    clip: float
    longest_mean: float
    reward_wei: int
    bond_wei: int

    def __post_init__(self) -> None:
        """Refuse what has no meaning; the rest is the terms' own business."""
        for name in ("clip", "longest_mean", "reward_wei", "bond_wei"):
            require(getattr(self, name) > 0, f"market.{name}", getattr(self, name), "above 0")

    def terms(self, *, owners: int, rounds: int, weights: int, **others: Any) -> Callable[[Address], Terms]:
        """Terms given the address of the verification.

        Parameters
        ----------
        owners : int
            Most data owners.
        rounds : int
            Of an epoch.
        weights : int
            Of the public part.
        others
            Further fields of `Terms`.
        """

        def terms(verification: Address) -> Terms:
            usual = Terms.for_model(
                weights,
                verification=verification,
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
            )
            return replace(usual, draw_delay_blocks=2, **others)

        return terms

    def escrow_wei(self, *, owners: int, rounds: int) -> int:
        """What pays everybody in every round, and the bond."""
        return rounds * owners * self.reward_wei + self.bond_wei
