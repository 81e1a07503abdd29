"""The result of a round, for people, run records and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ..market.ledger import Receipt
from ..market.terms import Address


@dataclass(frozen=True, slots=True)
class RoundReport:
    """One round of a market as its model owner saw it.

    Attributes
    ----------
    settled : bool
        False if the round was never opened, or has timed out.
    owners : tuple of Address
        Data owners of the epoch, group by group.
    committed : tuple of Address
        Data owners with a valid commitment.
    roster : tuple of tuple of Address
        Members of each group of the opened roster.
    accepted, ineligible, dropped, waived, void : tuple of int
        Roster positions, by fate. The members of accepted and waived groups are paid from the escrow; those of void groups, but for
        the ones that never delivered, from the stakes of the latter; the others are not.
    too_long : tuple of (int, float)
        Roster positions of groups beyond the norm bound, ineligible or waived, each with the length of its mean update.
    learnt : tuple of int
        Accepted groups that were learnt from. A group whose sum is out of range, or far out by the exact sums, is paid and not learnt from
        if the market accepts it.
    undelivered : tuple of Address
        Who was on the roster and has delivered nothing valid, nor answered.
    accused, answered : tuple of Address
        Who was accused of not delivering, and who of them answered on chain.
    timed_out : bool
        Whether the round was not settled in time, so that everybody on the roster was paid a share of the bond as well.
    distances : tuple of int
        Squared distances T of all pairs, as settled, on the scale `scale` squared.
    counts : tuple of int
        How much the mean of each group of the roster counts (`omnilytics_flwr.market.examples`).
    scale : int
        L.
    tolerated : int
        f', how many of the groups taking part could be faulty without harm; 0 with fewer than five of them.
    receipts : tuple of Receipt
        Transactions of the round.
    seconds : dict of str to float
        Time of the model owner's own work: ``"check"``, of deliveries; ``"sum"``, adding up groups; ``"prove"``, deciding and proving;
        ``"chain"``, opening, settling and asking the chain about deliveries. Work that was not done has no entry.
    """

    epoch: int
    round: int
    settled: bool
    owners: tuple[Address, ...]
    committed: tuple[Address, ...]
    roster: tuple[tuple[Address, ...], ...] = ()
    accepted: tuple[int, ...] = ()
    learnt: tuple[int, ...] = ()
    ineligible: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    waived: tuple[int, ...] = ()
    void: tuple[int, ...] = ()
    too_long: tuple[tuple[int, float], ...] = ()
    undelivered: tuple[Address, ...] = ()
    accused: tuple[Address, ...] = ()
    answered: tuple[Address, ...] = ()
    timed_out: bool = False
    paid: tuple[Address, ...] = ()
    distances: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()
    scale: int = 1
    tolerated: int = 0
    receipts: tuple[Receipt, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def taking_part(self) -> int:
        """G', how many groups were judged."""
        return len(self.accepted) + len(self.ineligible) + len(self.dropped)

    @property
    def shift(self) -> float | None:
        """How far the mean that was learnt from lies from that of all groups taking part, as a share of the latter's length.

        It follows from the settled distances. With honest groups it is what leaving some out costs in this round; with poisoned ones, what
        it spares. None if nothing was learnt, or no distances are known.
        """
        places = sorted({*self.accepted, *self.ineligible, *self.dropped})
        if not self.learnt or not self.counts or len(self.distances) != (len(places) + 1) * len(places) // 2:
            return None
        squared = np.zeros((len(places) + 1, len(places) + 1))
        squared[np.triu_indices(len(places) + 1, 1)] = np.array(self.distances, dtype=float)
        squared += squared.T
        # The zero update is the first of them, with weight -1: weights c of sum 0 have 2 |sum c_i u_i|^2 = - sum c_i c_j |u_i - u_j|^2.
        everybody, learnt = self._weights(places, places), self._weights(places, self.learnt)
        length, moved = (sqrt(max(float(-(weights @ squared @ weights)), 0.0)) for weights in (everybody, learnt - everybody))
        return moved / length if length else None

    def _weights(self, places: Sequence[int], among: Sequence[int]) -> NDArray[np.float64]:
        """What each place adds to the mean of some groups, and the zero update to make it a sum of 0."""
        counts = np.array([self.counts[place] * (place in among) for place in places], dtype=float)
        return np.concatenate([[-1.0], counts / counts.sum()])
