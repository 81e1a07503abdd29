"""Attacks on an update that one data owner can run alone.

Each is an immutable value, called with what the attacker knows. Their fields have the defaults of the literature where it names one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import TermsError
from .knowledge import Knowledge, Update, check_positive


@dataclass(frozen=True, slots=True)
class SignFlip:
    """The honest update times ``-scale``: away from what the data say.

    Li et al., "RSA: Byzantine-Robust Stochastic Aggregation Methods", AAAI 2019 ("sign-flipping"); of unlimited scale the omniscient
    attack of Blanchard et al., "Machine Learning with Adversaries", NeurIPS 2017.
    """

    scale: float = 4.0

    def __post_init__(self) -> None:
        check_positive("scale", self.scale)

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        return -self.scale * known.honest


@dataclass(frozen=True, slots=True)
class Scaled:
    """The honest update times `factor`: more than one's share of the mean.

    Bagdasaryan et al., "How To Backdoor Federated Learning", AISTATS 2020, where the factor is n / m ("model replacement").
    """

    factor: float = 10.0

    def __post_init__(self) -> None:
        check_positive("factor", self.factor)

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        return self.factor * known.honest


@dataclass(frozen=True, slots=True)
class Noise:
    """Normal noise, `scale` times as long as the honest update, in its place.

    Blanchard et al., "Machine Learning with Adversaries", NeurIPS 2017 ("Gaussian").
    """

    scale: float = 4.0

    def __post_init__(self) -> None:
        check_positive("scale", self.scale)

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        drawn = known.rng.normal(size=known.honest.shape)
        length = float(np.linalg.norm(drawn))
        return drawn * (self.scale * float(np.linalg.norm(known.honest)) / length if length else 0.0)


@dataclass(frozen=True, slots=True)
class Zero:
    """Nothing: pay for no work at all.

    Lin, Du, Liu, "Free-riders in Federated Learning: Attacks and Defenses", 2019, arXiv 1911.12560.
    """

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        return np.zeros_like(known.honest)


@dataclass(frozen=True, slots=True)
class Constant:
    """The same `value` for every weight.

    Li et al., "RSA: Byzantine-Robust Stochastic Aggregation Methods", AAAI 2019 ("same-value").
    """

    value: float = 0.1

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        return np.full_like(known.honest, self.value)


@dataclass(frozen=True, slots=True)
class Copied:
    """Another data owner's update, the first that the attacker knows; zeros if it knows none, as behind masks.

    Fraboni, Vidal, Lorenzi, "Free-rider Attacks on Model Aggregation in Federated Learning", AISTATS 2021.
    """

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        return known.seen[0].copy() if known.seen else np.zeros_like(known.honest)


@dataclass(frozen=True, slots=True)
class Stale:
    """One's own update of the round before, sent once more; zeros in the first round."""

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        return np.zeros_like(known.honest) if known.earlier is None else known.earlier.copy()


@dataclass(frozen=True, slots=True)
class Echo:
    """The last move of the public part, sent back with a little noise; zeros in the first round.

    `noise` is the length of the noise in lengths of the move. Lin, Du, Liu, "Free-riders in Federated Learning", 2019, arXiv
    1911.12560 ("delta weights").
    """

    noise: float = 0.1

    def __post_init__(self) -> None:
        if not self.noise >= 0:
            raise TermsError(f"noise is {self.noise}, expected a number of at least 0; choose another strength of the attack")

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        if known.last_move is None:
            return np.zeros_like(known.honest)
        drawn = known.rng.normal(size=known.honest.shape)
        return known.last_move + drawn * (self.noise * float(np.linalg.norm(known.last_move)) / max(float(np.linalg.norm(drawn)), 1e-300))


@dataclass(frozen=True, slots=True)
class NotANumber:
    """The honest update with NaN for one weight in `every`: a plain mean is lost as a whole.

    A market's own agent refuses to quantise it, so that nothing is sent and the group sits the round out.
    """

    every: int = 1

    def __post_init__(self) -> None:
        check_positive("every", self.every)

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        sent = known.honest.copy()
        sent[:: self.every] = np.nan
        return sent


@dataclass(frozen=True, slots=True)
class BeyondClip:
    """The honest update with `value` for its first weight, far beyond any clip.

    A market's own agent clips it; who goes around its agent sends the vectors of `omnilytics_flwr.adversary.vectors`.
    """

    value: float = 1e6

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        sent = known.honest.copy()
        sent[0] = self.value
        return sent


@dataclass(frozen=True, slots=True)
class Truncated:
    """The honest update without its last `missing` weights."""

    missing: int = 1

    def __post_init__(self) -> None:
        check_positive("missing", self.missing)

    def __call__(self, known: Knowledge) -> Update:
        """See `UpdateAttack`."""
        return known.honest[: max(0, len(known.honest) - self.missing)].copy()
