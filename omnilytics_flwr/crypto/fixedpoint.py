"""Weights as signed integers, two to a field element (docs/specification/protocol.md section 3).

x in [-c, c] becomes u = floor(x / c (2^(b-1) - 2) + t1 + t2 - 1/2) with t1, t2 uniform in [0, 1): unbiased, at most M = 2^(b-1) - 1
in size, and uncertain by one bit at least in every place, so that no published linear equation in few unknown places has a single
small solution. Element i of a vector is u[2i] + 2^84 u[2i+1] mod r: wide enough apart that squared distances of both halves can be
read off one sum of squares. The zero update is the zero vector, under any linear map.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UpdateError
from .field import FieldVector, N, R
from .keystream import Keystream

HALF_BITS = 84
"""Distance of the two weights in an element, in bits."""
WEIGHTS_PER_POLYNOMIAL = 2 * N

Units = NDArray[np.int64]
"""Quantised weights, or sums of them over members; two for each field element."""

_LOW_MASK = np.uint64((1 << HALF_BITS - 64) - 1)
_LOW_SHIFT = np.uint64(HALF_BITS - 64)
_HIGH_SHIFT = np.uint64(128 - HALF_BITS)
_OFFSET = 1 << 62
"""Makes sums of units non-negative while they are packed: they are far smaller."""


def polynomials_for(weights: int) -> int:
    """B = ceil(d / 8192)."""
    return -(-weights // WEIGHTS_PER_POLYNOMIAL)


def most_unit(bits: int) -> int:
    """M = 2^(b-1) - 1, the largest quantised weight."""
    return (1 << bits - 1) - 1


def steps_per_clip(bits: int) -> int:
    """2^(b-1) - 2, the quantisation steps from 0 to the clip; rounding may add one."""
    return most_unit(bits) - 1


def quantise(update: ArrayLike, *, weights: int, bits: int, clip: float, key: bytes, places: int | None = None) -> Units:
    """Clip, scale and round an update stochastically; the same key gives the same result.

    Parameters
    ----------
    places : int, optional
        Length of the result; by default 8192 B, what whole polynomials have room for.
    update, weights, bits, clip, key
        As for `quantised_pieces`, which also says what is raised.

    Returns
    -------
    int64 array, shape (places,)
        In [-M, M]; places after the last weight are rounded zeros.
    """
    places = WEIGHTS_PER_POLYNOMIAL * polynomials_for(weights) if places is None else places
    pieces = quantised_pieces(np.asarray(update), weights=weights, bits=bits, clip=clip, key=key, places=places, at_once=places)
    return next(pieces)


def quantised_pieces(
    update: NDArray[np.floating],
    *,
    weights: int,
    bits: int,
    clip: float,
    key: bytes,
    places: int,
    at_once: int,
    limit: float | None = None,
) -> Iterator[Units]:
    """Clip, scale and round an update stochastically, so many places at a time.

    Parameters
    ----------
    update : array of floats, shape (d,), finite
        In units of the weights.
    weights : int
        d, as the terms say.
    bits : int, 3 .. 32
        b.
    clip : float, > 0
        c, which becomes 2^(b-1) - 2.
    key : bytes, length 32
        Key of the rounding, for this task only.
    places : int
        Of all pieces together; those after the last weight are rounded zeros.
    at_once : int
        Places of a piece; the last may be shorter.
    limit : float, 0 .. c, optional
        Entries are clipped to [-limit, limit]; by default c.

    Raises
    ------
    UpdateError
        The update has another number of weights, or one is not finite.
    """
    if update.shape != (weights,):
        raise UpdateError(f"the update has shape {update.shape}, expected ({weights},); flatten the public part that the terms name")
    unusable = np.flatnonzero(~np.isfinite(update))
    if unusable.size:
        first = int(unusable[0])
        raise UpdateError(
            f"weight {first} of the update is {update[first]} ({unusable.size} such weights), expected finite numbers; "
            "lower the learning rate or look at the data"
        )
    stream, limit = Keystream(key), clip if limit is None else limit
    for start in range(0, places, at_once):
        steps = np.zeros(min(at_once, places - start))
        values = update[start : start + at_once].astype(np.float64)
        steps[: len(values)] = np.clip(values, -limit, limit) / clip * steps_per_clip(bits)
        draws = np.frombuffer(stream.read(8 * len(steps)), dtype="<u4").astype(np.float64).reshape(-1, 2)
        # Each draw is the middle of one of 2^32 intervals, so that the mean is exact.
        rounding = (draws[:, 0] + draws[:, 1] + 1) * 2.0**-32
        yield np.floor(steps + rounding - 0.5).astype(np.int64)


def pack(units: Units) -> FieldVector:
    """Put two units, each below 2^62 in size, into each field element.

    Parameters
    ----------
    units : int64 array, shape (2 n,)
    """
    low, high = units[::2], units[1::2]
    # Two's complement of low + 2^84 high, 256 bits wide: a negative lower half borrows from the upper one.
    borrow = low < 0
    limbs = np.empty((len(low), 4), dtype=np.uint64)
    limbs[:, 0] = low.astype(np.uint64)
    second = high.astype(np.uint64) << _LOW_SHIFT
    limbs[:, 1] = second - borrow
    third = (high >> np.int64(_HIGH_SHIFT)) - (borrow & (second == 0))
    limbs[:, 2] = third.astype(np.uint64)
    limbs[:, 3] = (third >> np.int64(63)).astype(np.uint64)
    return FieldVector.from_signed(limbs)


def unpack(vector: FieldVector, *, members: int, bits: int) -> Units | None:
    """The units of an unmasked sum of `members` updates; None if one is not in [-members M, members M], or it is no such sum."""
    low, high, fits = _halves(vector, members=members, bits=bits)
    units, most = np.stack([low, high], axis=1).reshape(-1), members * most_unit(bits)
    return units if fits.all() and (abs(units) <= most).all() else None


def decode_mean(total: Units, *, members: int, weights: int, bits: int, clip: float) -> NDArray[np.float64]:
    """Mean update of `members` data owners from the sum of their units.

    Parameters
    ----------
    total : int64 array, shape (8192 B,)
    members : int
        How many updates the sum holds.
    weights, bits, clip
        As for `quantise`.

    Returns
    -------
    float64 array, shape (d,)
        In [-c, c], but for half a step that rounding may add.
    """
    return total[:weights] / (members * steps_per_clip(bits)) * clip


def _raise_by(number: int, length: int) -> FieldVector:
    """The vector whose elements all hold this number twice."""
    limbs = FieldVector.from_ints([number * (1 + (1 << HALF_BITS)) % R]).limbs
    return FieldVector(np.repeat(limbs, length, axis=0))


def _halves(vector: FieldVector, *, members: int, bits: int) -> tuple[Units, Units, NDArray[np.bool_]]:
    """Both halves of every element, and whether that is all there is of them."""
    # A good sum, raised so that no half is negative, is a pair of numbers below 2^84; any other is not, or is out of range.
    raised_by = members << bits - 1
    limbs = (vector + _raise_by(raised_by, len(vector))).limbs
    high = (limbs[:, 1] >> _LOW_SHIFT) | (limbs[:, 2] << _HIGH_SHIFT)
    fits = (limbs[:, 1] & _LOW_MASK == 0) & (limbs[:, 2] >> _LOW_SHIFT == 0) & (limbs[:, 3] == 0)
    fits &= (limbs[:, 0] < _OFFSET) & (high < _OFFSET)
    return limbs[:, 0].astype(np.int64) - raised_by, high.astype(np.int64) - raised_by, fits
