"""Polynomials given by their values on H, the N-th roots of unity in bit-reversed order (the layout of an EIP-4844 blob).

Nothing here ever leaves evaluation form. The one operation that mixes all values is theta, A(X) -> X A'(X): on H it is a cyclic
convolution,

    theta(A)(w^m) = (N - 1) / 2 A(w^m) + sum over j != m of A(w^j) / (w^(m-j) - 1),

done exactly by Fourier transforms of digits (see `theta`).
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from .exact import join_digits
from .field import FieldVector, Integers, Limbs, N, R

ROOT = pow(7, (R - 1) // N, R)
"""Generator of H, as EIP-4844 has it."""
INVERSE_N = pow(N, -1, R)

_LOG_N = N.bit_length() - 1
_DIGIT_BITS = 12
_DIGITS = 22
_MASK = np.uint64((1 << _DIGIT_BITS) - 1)

REVERSED = np.array([int(f"{i:0{_LOG_N}b}"[::-1], 2) for i in range(N)])
"""Bit-reversed indices; element i of a polynomial is its value at ROOT^REVERSED[i]. Its own inverse."""


@cache
def roots() -> tuple[int, ...]:
    """H in the order of a blob."""
    powers = [1]
    for _ in range(N - 1):
        powers.append(powers[-1] * ROOT % R)
    return tuple(powers[i] for i in REVERSED)


@lru_cache(maxsize=4)
def inverse_gaps(point: int) -> tuple[int, ...]:
    """1 / (point - w) for every w in H; 0 where w is the point itself."""
    gaps = [(point - root) % R for root in roots()]
    prefixes, product = [], 1
    for gap in gaps:
        prefixes.append(product)
        product = product * (gap or 1) % R
    inverse, result = pow(product, -1, R), [0] * N
    for i in range(N - 1, -1, -1):
        if gaps[i]:
            result[i] = inverse * prefixes[i] % R
            inverse = inverse * gaps[i] % R
    return tuple(result)


@lru_cache(maxsize=4)
def evaluation_weights(point: int) -> FieldVector:
    """Weights whose inner product with a polynomial's values on H is its value at `point`, whether in H or not."""
    if pow(point, N, R) == 1:
        return FieldVector.from_ints([int(root == point) for root in roots()])
    factor = (pow(point, N, R) - 1) * INVERSE_N % R
    return FieldVector.from_ints([factor * root * gap % R for root, gap in zip(roots(), inverse_gaps(point), strict=True)])


def quotient(values: list[int], point: int, value: int) -> FieldVector:
    """Values on H of (A(X) - value) / (X - point), given A's values on H and ``value = A(point)``."""
    gaps = inverse_gaps(point)
    result = [(value - a) * gap % R for a, gap in zip(values, gaps, strict=True)]
    if pow(point, N, R) == 1:
        # The limit at the point itself; its own term is 0, as its gap is.
        limit = sum((a - value) * root * gap for a, root, gap in zip(values, roots(), gaps, strict=True))
        result[roots().index(point)] = limit * pow(point, -1, R) % R
    return FieldVector.from_ints(result)


def theta(polynomial: FieldVector) -> Integers:
    """Values on H of X A'(X).

    Elements are cut into digits of 12 bits. In transforms of 2^12 points, digits are below 2^12 and 2-norms below 2^18; at
    most 22 convolutions add up to one result, whose error is then below 2^(18 + 18 + 5) times the relative error of a
    transform, under 2^-46 in double precision: below 2^-5, and gone in rounding.

    Returns
    -------
    array of int, shape (N,), 0 .. R - 1
    """
    digits = _digits(polynomial.limbs[REVERSED])
    present = np.flatnonzero(digits.any(axis=1))
    spectra = np.fft.rfft(digits[present])
    total = np.zeros((int(present.max(initial=0)) + _DIGITS + 1 & ~1, N // 2 + 1), dtype=np.complex128)
    for place, spectrum in zip(present, spectra, strict=True):
        total[place : place + _DIGITS] += spectrum * _kernel()
    sums = np.rint(np.fft.irfft(total, N)).astype(np.int64)
    # Two digits of 12 bits make three whole bytes.
    values = join_digits(sums[::2] + (sums[1::2] << _DIGIT_BITS), 2 * _DIGIT_BITS)
    result = np.empty(N, dtype=object)
    result[REVERSED] = [value % R for value in values]
    return result


@cache
def _kernel() -> NDArray[np.complex128]:
    """Transforms of the digits of the convolution's kernel."""
    gaps = inverse_gaps(1)
    kernel = [(N - 1) * pow(2, -1, R) % R] + [-gaps[i] % R for i in REVERSED[1:]]
    spectra: NDArray[np.complex128] = np.fft.rfft(_digits(FieldVector.from_ints(kernel).limbs))
    return spectra


def _digits(limbs: Limbs) -> NDArray[np.float64]:
    """Digits of 12 bits of each element, least first; shape (22, n)."""
    digits = np.zeros((_DIGITS, len(limbs)), dtype=np.float64)
    for place in range(_DIGITS):
        limb, shift = divmod(place * _DIGIT_BITS, 64)
        digit = limbs[:, limb] >> np.uint64(shift)
        if shift > 64 - _DIGIT_BITS and limb < 3:
            digit = digit | limbs[:, limb + 1] << np.uint64(64 - shift)
        digits[place] = digit & _MASK
    return digits
