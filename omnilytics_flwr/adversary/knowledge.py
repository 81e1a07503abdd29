"""What an attacker knows when it decides what to send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import TermsError, UpdateError

Update = NDArray[np.float64]
"""An update of the public part as one vector, shape (d,), in units of the weights."""


@dataclass(frozen=True, slots=True)
class Rule:
    """By what a market selects groups; its terms say it to everybody. By default multi-Krum over single updates, as in the literature.

    Attributes
    ----------
    group_size : int (default: 1)
        h.
    faulty_groups : int (default: 1)
        f.
    outlier_percent : int (default: 0)
        Of the market's terms.
    """

    group_size: int = 1
    faulty_groups: int = 1
    outlier_percent: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Knowledge:
    """What an attacker knows.

    In a market updates are masked: nobody but its owner knows an honest one. More than its own is what colluders tell each other,
    or, for a worst case, what no attacker could know.

    Attributes
    ----------
    honest : float64 array, shape (d,)
        The update that its own data gives.
    rng : numpy.random.Generator
        Where its randomness comes from; the same generator gives the same attack.
    seen : tuple of float64 arrays, shape (d,) (default: none)
        Updates of other data owners that it knows, in drawn order.
    earlier : float64 array, shape (d,), or None (default: None)
        Its own honest update of the round before.
    last_move : float64 array, shape (d,), or None (default: None)
        By how much the public part moved in the round before, which everybody sees.
    owners : int (default: 1)
        n, data owners in all.
    attackers : int (default: 1)
        m, how many of them are attackers that send the same.
    place : int (default: 0)
        Its own in the drawn order.
    accomplices : tuple of int (default: none)
        Places of the other attackers.
    rule : Rule
        By which groups are selected.
    """

    honest: Update
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    seen: tuple[Update, ...] = ()
    earlier: Update | None = None
    last_move: Update | None = None
    owners: int = 1
    attackers: int = 1
    place: int = 0
    accomplices: tuple[int, ...] = ()
    rule: Rule = Rule()

    def __post_init__(self) -> None:
        """Refuse vectors of different lengths."""
        for other in (*self.seen, self.earlier, self.last_move):
            if other is not None and other.shape != self.honest.shape:
                raise UpdateError(
                    f"an update that the attacker knows has shape {other.shape}, expected {self.honest.shape} as its own; "
                    "give it updates of one model"
                )

    def known(self) -> NDArray[np.float64]:
        """Every honest update that it knows, its own first; shape (k, d)."""
        return np.stack([self.honest, *self.seen])


class UpdateAttack(Protocol):
    """An attack on an update: an immutable value, whose fields are its strength."""

    def __call__(self, known: Knowledge) -> Update:
        """What the attacker sends in place of `known.honest`; finite or not, of the right length or not."""


def check_positive(what: str, value: float) -> None:
    """Raise `TermsError` unless `value` is above 0."""
    if not value > 0:
        raise TermsError(f"{what} is {value}, expected a number above 0; choose another strength of the attack")
