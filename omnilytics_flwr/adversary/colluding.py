"""Attacks on an update that hide among others: they need the updates of several data owners.

`boost` multiplies how far an attack goes from the mean of what it knows. A market judges a group's *mean*, which one attacker among h - 1
honest members moves by only 1 / h of that; a boost of h makes up for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ..market.draw import group_sizes
from ..market.krum import select
from .knowledge import Knowledge, Rule, Update, check_positive

SMALLEST_STEP = 1e-5
"""Below this step the directed deviation gives up, as in the paper."""
STEP_BITS = 12
"""To so many bits the largest step that is still accepted is found."""
DISTANCE_BITS = 40
"""Of a squared distance after the point, where the market's rule asks for whole numbers."""


@dataclass(frozen=True, slots=True)
class LittleIsEnough:
    """The mean of the known updates less `deviations` standard deviations of each weight: within the spread of honest updates.

    Baruch, Baruch, Goldberg, "A Little Is Enough: Circumventing Defenses For Distributed Learning", NeurIPS 2019; see `deviations_of`.
    """

    deviations: float = 1.5
    boost: float = 1.0

    def __post_init__(self) -> None:
        check_positive("deviations", self.deviations)
        check_positive("boost", self.boost)

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        updates = known.known()
        return np.asarray(updates.mean(axis=0) - self.boost * self.deviations * updates.std(axis=0))


def deviations_of(owners: int, attackers: int) -> float:
    """The paper's z: how many standard deviations `attackers` among `owners` may stray and still find a majority on their side.

    Parameters
    ----------
    owners : int
        n.
    attackers : int, below n / 2
        m.

    Returns
    -------
    float
        Phi^-1((n - m - s) / (n - m)) with s = floor(n / 2 + 1) - m; 0 or less if so few cannot.
    """
    supporters = owners // 2 + 1 - attackers
    return NormalDist().inv_cdf((owners - attackers - supporters) / (owners - attackers))


@dataclass(frozen=True, slots=True)
class InnerProduct:
    """``-epsilon`` times the mean of the known updates: small enough to stay near them, turned around.

    Xie, Koyejo, Gupta, "Fall of Empires: Breaking Byzantine-tolerant SGD by Inner Product Manipulation", UAI 2019.
    """

    epsilon: float = 0.5
    boost: float = 1.0

    def __post_init__(self) -> None:
        check_positive("epsilon", self.epsilon)
        check_positive("boost", self.boost)

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        mean = known.known().mean(axis=0)
        return np.asarray(mean - self.boost * (1 + self.epsilon) * mean)


@dataclass(frozen=True, slots=True)
class DirectedDeviation:
    """Against the sign of the known mean, by the largest step that Krum would still choose.

    Fang et al., "Local Model Poisoning Attacks to Byzantine-Robust Federated Learning", USENIX Security 2020, their attack on Krum: the
    step starts at the bound of their theorem and is halved until Krum over the attackers' copies and the known updates chooses a copy. Where
    it chooses none, as with too few attackers among updates that are much alike, next to nothing is sent.
    """

    boost: float = 1.0

    def __post_init__(self) -> None:
        check_positive("boost", self.boost)

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        honest = known.known()
        direction = -np.sign(honest.mean(axis=0))
        copies = max(1, known.attackers)
        step = _largest_step(honest, copies)
        while step >= SMALLEST_STEP and _chosen_by_krum(np.concatenate([np.tile(step * direction, (copies, 1)), honest]), copies) >= copies:
            step /= 2
        return np.asarray(self.boost * step * direction)


@dataclass(frozen=True, slots=True)
class JustAccepted:
    """Against the known mean, by the largest step with which the market's own rule still accepts every group that has an attacker.

    Shejwalkar, Houmansadr, "Manipulating the Byzantine: Optimizing Model Poisoning Attacks and Defenses for Federated Learning", NDSS
    2021, their attack on multi-Krum ("inverse unit vector"), over groups: it uses up all the room that a rule leaves to outliers.
    `longest` is the largest step that is tried, in lengths of the mean.
    """

    longest: float = 32.0

    def __post_init__(self) -> None:
        check_positive("longest", self.longest)

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        everybody = np.insert(np.array(known.seen).reshape(-1, known.honest.size), known.place, known.honest, axis=0)
        attackers, mean, step = [known.place, *known.accomplices], everybody.mean(axis=0), 0.0
        for halved in range(1, STEP_BITS + 1):
            longer = step + self.longest / 2**halved
            everybody[attackers] = (1 - longer) * mean
            if accepts(known.rule, everybody, attackers):
                step = longer
        return np.asarray((1 - step) * mean)


def accepts(rule: Rule, updates: NDArray[np.float64], places: list[int]) -> bool:
    """Whether the market would accept the groups of all these places."""
    sizes = group_sizes(len(updates), rule.group_size)
    starts = np.cumsum([0, *sizes])
    means = np.add.reduceat(updates, starts[:-1], axis=0) / np.array(sizes)[:, None]
    squared = _squared_distances(np.concatenate([np.zeros((1, updates.shape[1])), means]))
    distances = [int(squared[i, k] * 2**DISTANCE_BITS) for i in range(len(squared)) for k in range(i + 1, len(squared))]
    selection = select(
        distances, sizes=sizes, faulty_groups=rule.faulty_groups, norm_bound=max(distances), outlier_percent=rule.outlier_percent
    )
    return set(np.searchsorted(starts, places, side="right") - 1) <= set(selection.accepted)


def _largest_step(honest: NDArray[np.float64], attackers: int) -> float:
    """Upper bound of the step: beyond it Krum chooses no copy (theorem 1 of the paper), the model before the round being 0."""
    count, size = honest.shape
    closest = max(1, count - 2)
    distances = np.sqrt(_squared_distances(honest))
    sums = np.sort(distances, axis=1)[:, : closest + 1].sum(axis=1)
    norms = np.linalg.norm(honest, axis=1)
    spare = max(1, count - attackers - 1)
    return float(sums.min() / (spare * np.sqrt(size)) + norms.max() / np.sqrt(size))


def _chosen_by_krum(updates: NDArray[np.float64], attackers: int) -> int:
    """Index of the update that Krum chooses: least sum of squared distances to the n - m - 2 nearest."""
    squared = _squared_distances(updates)
    closest = max(1, len(updates) - attackers - 2)
    return int(np.argmin(np.sort(squared, axis=1)[:, 1 : closest + 1].sum(axis=1)))


def _squared_distances(updates: NDArray[np.float64]) -> NDArray[np.float64]:
    products = updates @ updates.T
    lengths = np.diag(products)
    squared = np.maximum(lengths[:, None] + lengths[None, :] - 2 * products, 0.0)
    np.fill_diagonal(squared, 0.0)
    return np.asarray(squared)
