"""Clip and norm that fit what a local round changed, and what other clips would cut."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..crypto.fixedpoint import steps_per_clip
from ..errors import TermsError
from ..market.examples import usual_of
from ..market.public_part import measure_update, public_weights
from ..market.terms import NORM_FACTOR, clip_factor, default_of

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)
"""Of the absolute changes of a parameter's weights that are shown; the last is the largest change."""


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """How far a parameter's weights moved.

    Attributes
    ----------
    weights : int
        How many it has.
    percentiles : tuple of float
        Of the absolute changes of all clients together, at `PERCENTILES`.
    """

    name: str
    weights: int
    percentiles: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """What a clip would have done to these updates.

    Attributes
    ----------
    clip : float
        In units of the weights.
    share : float, 0 .. 1
        Of all changes that it cuts.
    worst, worst_share : str, float
        The parameter of which it cuts the largest share, and that share; empty if it cuts nothing.
    length_left : float, 0 .. 1
        Of the mean update's L2 norm.
    """

    clip: float
    share: float
    worst: str
    worst_share: float
    length_left: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """What fits a local round.

    Attributes
    ----------
    weights : int
        d, of the public part.
    parameters : tuple of ParameterChange
        Of the public part, in the model's order.
    norms : tuple of float
        L2 norm of each client's update.
    mean_norm : float
        L2 norm of their mean.
    clip, longest_mean : float
        Proposed, in units of the weights: `clip_factor` times the largest change, `NORM_FACTOR` times the longest update, as
        `Terms.for_model` does it.
    cuts : tuple of Cut
        The proposed clip first, then smaller ones.
    below_step : float, 0 .. 1
        Share of the changes that are smaller than one quantisation step of the proposed clip; they survive as chances of a step.
    """

    weights: int
    parameters: tuple[ParameterChange, ...]
    norms: tuple[float, ...]
    mean_norm: float
    clip: float
    longest_mean: float
    cuts: tuple[Cut, ...]
    below_step: float


def propose(
    model: Mapping[str, Any], trained: Sequence[Mapping[str, Any]], private: Sequence[str] = (), examples: Sequence[int] = ()
) -> Proposal:
    """Propose clip and norm.

    Parameters
    ----------
    model : mapping of names to arrays
        The whole model.
    trained : sequence of mappings of names to arrays
        The model as each client trained it.
    private : sequence of str (default: none)
        Patterns of the parameters that stay with the data owners.
    examples : sequence of int (default: none)
        As for `Terms.for_model`.

    Raises
    ------
    TermsError
        Nobody trained, or not this model, or nothing moved, or not to a finite place.
    UpdateError
        A public array can be neither trained nor constant.
    """
    if not trained:
        raise TermsError("nobody trained; expected one data owner at least; give the model that it trained")
    measured = [measure_update(model, one, private) for one in trained]
    before, after = public_weights(model, private), [public_weights(one, private) for one in trained]
    changes = {name: np.stack([one[name] - array for one in after]) for name, array in before.items() if array.size}
    clip = _rounded_up(clip_factor(usual_of(examples)) * max(largest for largest, _ in measured))
    norms = tuple(norm for _, norm in measured)
    every = np.abs(np.concatenate([change.ravel() for change in changes.values()]))
    step = clip / steps_per_clip(default_of("update_bits"))
    clips = (clip, *dict.fromkeys(float(np.percentile(every, percent)) for percent in reversed(PERCENTILES)))
    mean_norm = _length_of_mean(changes, math.inf)
    return Proposal(
        weights=sum(array.size for array in before.values()),
        parameters=tuple(ParameterChange(name, before[name].size, _percentiles(change)) for name, change in changes.items()),
        norms=norms,
        mean_norm=mean_norm,
        clip=clip,
        longest_mean=_rounded_up(NORM_FACTOR * max(norms)),
        cuts=tuple(_cut(changes, every, one, mean_norm) for one in clips if one > 0),
        below_step=float(np.mean(every < step)),
    )


def _cut(changes: Mapping[str, NDArray[np.float64]], every: NDArray[np.float64], clip: float, mean_norm: float) -> Cut:
    shares = {name: float(np.mean(np.abs(change) > clip)) for name, change in changes.items()}
    worst = max(shares, key=lambda name: shares[name])
    return Cut(
        clip=clip,
        share=float(np.mean(every > clip)),
        worst=worst if shares[worst] else "",
        worst_share=shares[worst],
        length_left=_length_of_mean(changes, clip) / mean_norm if mean_norm else 1.0,
    )


def _length_of_mean(changes: Mapping[str, NDArray[np.float64]], clip: float) -> float:
    return math.sqrt(sum(float(np.sum(np.clip(change, -clip, clip).mean(axis=0) ** 2)) for change in changes.values()))


def _percentiles(change: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(map(float, np.percentile(np.abs(change), PERCENTILES)))


def _rounded_up(number: float) -> float:
    """To two digits, not down: 0.0213 becomes 0.022."""
    places = 1 - math.floor(math.log10(number))
    scale = 10.0**places
    return round(math.ceil(round(number * scale, 9)) / scale, max(places, 0))
