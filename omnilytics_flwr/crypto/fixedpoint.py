"""Weights as integers, two to a field element (docs/protocol.md section 3).

x in [-c, c] becomes u = m + sr(x / c (2^(b-1) - 1)) with m = 2^(b-1), so 1 <= u <= 2^b - 1. Element i of a vector is
u[2i] + 2^84 u[2i+1]: far enough apart that one sum of squares shows the squared distances of both halves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import Malformed, UpdateError
from .field import FieldVector, N
from .hashing import Keystream

HALF_BITS = 84
"""Distance of the two weights in an element, in bits."""
WEIGHTS_PER_POLYNOMIAL = 2 * N

Units = NDArray[np.uint64]
"""Quantised weights, or sums of them over members; two for each field element."""

_LOW_MASK = np.uint64((1 << HALF_BITS - 64) - 1)
_LOW_SHIFT = np.uint64(HALF_BITS - 64)
_HIGH_SHIFT = np.uint64(128 - HALF_BITS)


def polynomials_for(weights: int) -> int:
    """B = ceil(d / 8192)."""
    return -(-weights // WEIGHTS_PER_POLYNOMIAL)


def zero_unit(bits: int) -> int:
    """m = 2^(b-1), the quantised zero."""
    return 1 << bits - 1


def quantise(update: ArrayLike, *, weights: int, bits: int, clip: float, key: bytes) -> Units:
    """Clip, scale and round an update stochastically; the same key gives the same result.

    Parameters
    ----------
    update : float64 array, shape (d,), finite
        In units of the weights.
    weights : int
        d, as the terms say.
    bits : int, 2 .. 32
        b.
    clip : float, > 0
        c; entries are clipped to [-c, c].
    key : bytes, length 32
        Key of the rounding, for this task only.

    Returns
    -------
    uint64 array, shape (8192 B,)
        In 1 .. 2^b - 1; unused places hold m.

    Raises
    ------
    UpdateError
        The update has another number of weights, or one is not finite.
    """
    values = np.asarray(update, dtype=np.float64)
    if values.shape != (weights,):
        raise UpdateError(f"the update has shape {values.shape}, expected ({weights},); flatten the public part that the terms name")
    unusable = np.flatnonzero(~np.isfinite(values))
    if unusable.size:
        first = int(unusable[0])
        raise UpdateError(
            f"weight {first} of the update is {values[first]} ({unusable.size} such weights), expected finite numbers; "
            "lower the learning rate or look at the data"
        )
    zero = zero_unit(bits)
    steps = np.clip(values, -clip, clip) / clip * (zero - 1)
    floor = np.floor(steps)
    draws = np.frombuffer(Keystream(key).read(8 * weights), dtype="<u8") >> np.uint64(11)
    rounded = floor + (draws * 2.0**-53 < steps - floor)
    units = np.full(WEIGHTS_PER_POLYNOMIAL * polynomials_for(weights), zero, dtype=np.uint64)
    units[:weights] = (rounded.astype(np.int64) + zero).astype(np.uint64)
    return units


def pack(units: Units) -> FieldVector:
    """Put two units, each below 2^64, into each field element: 2 n units make n elements."""
    limbs = np.zeros((len(units) // 2, 4), dtype=np.uint64)
    high = units[1::2]
    limbs[:, 0] = units[::2]
    limbs[:, 1] = high << _LOW_SHIFT
    limbs[:, 2] = high >> _HIGH_SHIFT
    return FieldVector(limbs)


def unpack(vector: FieldVector) -> Units:
    """Take the units out of an unmasked vector; the inverse of `pack`.

    Raises
    ------
    Malformed
        A half does not fit into 64 bits: the vector is masked, or no sum of quantised updates.
    """
    low, high, fits = _halves(vector)
    if not fits.all():
        raise Malformed(f"element {int(np.argmin(fits))} is no pair of sums of weights; look for a mask that does not cancel")
    return np.stack([low, high], axis=1).reshape(-1)


def first_out_of_range(vector: FieldVector, *, members: int, bits: int) -> tuple[int, int] | None:
    """Where a group's sum is what no `members` honest updates can make, if anywhere.

    Each half of an element must lie in [members, members (2^b - 1)].

    Returns
    -------
    (polynomial, index) of the first element that does not, or None
    """
    low, high, fits = _halves(vector)
    least, most = np.uint64(members), np.uint64(members * ((1 << bits) - 1))
    wrong = ~(fits & (least <= low) & (low <= most) & (least <= high) & (high <= most))
    return divmod(int(np.argmax(wrong)), N) if wrong.any() else None


def decode_mean(total: Units, *, members: int, weights: int, bits: int, clip: float) -> NDArray[np.float64]:
    """Mean update of `members` data owners from the sum of their units.

    Parameters
    ----------
    total : uint64 array, shape (8192 B,)
        Sum of their units.
    members : int
        How many updates the sum holds.
    weights, bits, clip
        As for `quantise`.

    Returns
    -------
    float64 array, shape (d,)
        In [-c, c].
    """
    centred = total[:weights].astype(np.int64) - members * zero_unit(bits)
    return centred / (members * (zero_unit(bits) - 1)) * clip


def _halves(vector: FieldVector) -> tuple[Units, Units, NDArray[np.bool_]]:
    """Both halves of every element modulo 2^64, and whether that is all there is of them."""
    limbs = vector.limbs
    high = (limbs[:, 1] >> _LOW_SHIFT) | (limbs[:, 2] << _HIGH_SHIFT)
    fits = (limbs[:, 1] & _LOW_MASK == 0) & (limbs[:, 2] >> _LOW_SHIFT == 0) & (limbs[:, 3] == 0)
    return limbs[:, 0], high, fits
