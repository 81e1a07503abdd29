"""Exact arithmetic on wide integers with float64 matrix products and Fourier transforms.

Integers are cut into digits so small that every sum of products is an integer below 2^53, which float64 holds exactly: the
linear algebra library does in milliseconds what loops over Python integers do in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import lcm

import numpy as np
from numpy.typing import NDArray

from .field import FieldVector, Limbs, R

Floats = NDArray[np.float64]
Signed = NDArray[np.int64]

_DIGIT_BITS = 16
_DIGITS = 256 // _DIGIT_BITS
_ROWS_AT_ONCE = 64
"""Polynomials per matrix product; bounds memory. Sums of as many products of 16-bit digits stay below 2^38."""
_GRAM_BITS = 18
_COLUMNS_AT_ONCE = 1 << 17
"""Weights whose products are taken together; bounds memory."""
_PRODUCTS_AT_ONCE = 1 << 17
"""Products of floats in one matrix product; too few for the library to start threads, which crawl on a busy machine."""


def gram(rows: Signed) -> list[list[int]]:
    """All inner products of the rows, exactly.

    Parameters
    ----------
    rows : int64 array, shape (m, n), absolute values below 2^36

    Returns
    -------
    list of m lists of m int
    """
    count = len(rows)
    digits = np.concatenate([rows & (1 << _GRAM_BITS) - 1, rows >> _GRAM_BITS]).astype(np.float64)
    total = np.zeros((2 * count, 2 * count), dtype=object)
    # At most 2^15 columns, so that sums of products of 18-bit digits stay below 2^51.
    width = min(1 << 15, max(1, _PRODUCTS_AT_ONCE // len(digits) ** 2))
    for start in range(0, rows.shape[1], width):
        part = digits[:, start : start + width]
        total += (part @ part.T.copy()).astype(np.int64)
    low, high = total[:count], total[count:]
    mixed = low[:, count:] + high[:, :count]
    products = low[:, :count] + (mixed << _GRAM_BITS) + (high[:, count:] << 2 * _GRAM_BITS)
    return [[int(product) for product in row] for row in products]


def exact_distances(sums: Sequence[NDArray[np.signedinteger]], sizes: Sequence[int]) -> tuple[int, ...]:
    """Squared distances of group means as a verification would prove them of good sums, whatever it proved.

    Parameters
    ----------
    sums : sequence of arrays of int32 or int64, shape (8192 B,)
        Sum of the quantised updates of each group; in range.
    sizes : sequence of int
        Members of each group.

    Returns
    -------
    tuple of int
        T of all pairs (i, k), 0 <= i < k, lexicographic; 0 is the zero update. On the scale of the least common multiple of the sizes.
    """
    scale, count = lcm(*sizes), len(sums)
    products = np.zeros((count, count), dtype=object)
    for start in range(0, len(sums[0]) if count else 0, _COLUMNS_AT_ONCE):
        part = [scale // size * total[start : start + _COLUMNS_AT_ONCE].astype(np.int64) for total, size in zip(sums, sizes, strict=True)]
        products += np.array(gram(np.stack(part)), dtype=object)
    padded = np.zeros((count + 1, count + 1), dtype=object)
    padded[1:, 1:] = products
    return tuple(int(padded[i, i] + padded[k, k] - 2 * padded[i, k]) for i, k in combinations(range(count + 1), 2))


def field_gram(vectors: Sequence[FieldVector]) -> list[list[int]]:
    """All inner products, in the field, of vectors of one length below 2^21.

    Returns
    -------
    list of m lists of m int, 0 .. R - 1
    """
    count, length = len(vectors), len(vectors[0])
    totals = np.zeros((count, count, _DIGITS, _DIGITS), dtype=np.int64)
    width = _PRODUCTS_AT_ONCE // _DIGITS**2
    for start in range(0, length, width):
        digits = np.stack([_digits(vector.limbs[start : start + width]) for vector in vectors])
        for row in range(count):
            # Sums of as many products of 16-bit digits stay below 2^41, and all of them below 2^53.
            totals[row, row:] += np.matmul(digits[row].T, digits[row:]).astype(np.int64)
    columns = np.zeros((2 * _DIGITS, count * count), dtype=np.int64)
    for i in range(_DIGITS):
        for j in range(_DIGITS):
            columns[i + j] += totals[:, :, i, j].reshape(-1)
    upper = [value % R for value in join_digits(columns, _DIGIT_BITS)]
    return [[upper[min(i, k) * count + max(i, k)] for k in range(count)] for i in range(count)]


def combine(vectors: Sequence[FieldVector], coefficients: Sequence[int]) -> FieldVector:
    """Linear combination of vectors of one length.

    Parameters
    ----------
    vectors : sequence of FieldVector, at least one, each of length n
        What is combined.
    coefficients : sequence of int, 0 .. R - 1
        One for each vector.
    """
    return reduced(combination(vectors, coefficients))


def combination(vectors: Sequence[FieldVector], coefficients: Sequence[int]) -> Signed:
    """The same before it is reduced, for sums of such: digits of 16 bits that overflow, least first; shape (32, n).

    Sums of 2^18 of them stay below 2^62.
    """
    length = len(vectors[0])
    scalars = _digits(FieldVector.from_ints(coefficients).limbs)
    scalars = scalars[:, : 1 + max(np.flatnonzero(scalars.any(axis=0)), default=0)]
    products = np.zeros((scalars.shape[1], _DIGITS * length), dtype=np.int64)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        rows = np.stack([_digits(vector.limbs).reshape(-1) for vector in vectors[start : start + _ROWS_AT_ONCE]])
        part = scalars[start : start + _ROWS_AT_ONCE].T.copy()
        width = _PRODUCTS_AT_ONCE // part.size
        for at in range(0, rows.shape[1], width):
            products[:, at : at + width] += (part @ rows[:, at : at + width]).astype(np.int64)
    columns = np.zeros((2 * _DIGITS, length), dtype=np.int64)
    for shift, row in enumerate(products):
        columns[shift : shift + _DIGITS] += row.reshape(length, _DIGITS).T
    return columns


def reduced(columns: Signed) -> FieldVector:
    """The vector of a sum of `combination`s."""
    return FieldVector.from_ints([value % R for value in join_digits(columns, _DIGIT_BITS)])


def inner_products(vectors: Sequence[FieldVector], weights: FieldVector) -> list[int]:
    """Inner product, in the field, of each vector with the same weights, at most 2^17."""
    chunk = _PRODUCTS_AT_ONCE // _DIGITS**2
    right = _digits(weights.limbs)
    results = []
    for vector in vectors:
        left = _digits(vector.limbs)
        parts = [left[start : start + chunk].T @ right[start : start + chunk] for start in range(0, len(left), chunk)]
        products = np.sum(parts, axis=0).astype(np.int64)
        value = sum(int(products[i, j]) << _DIGIT_BITS * (i + j) for i in range(_DIGITS) for j in range(_DIGITS))
        results.append(value % R)
    return results


def join_digits(columns: Signed, bits: int) -> list[int]:
    """Integers from digits that overflow: the sums of ``columns[t] 2^(bits t)`` over t.

    Parameters
    ----------
    columns : int64 array, shape (t, n), 0 .. 2^62
    bits : int
        A multiple of 8 below 64.

    Returns
    -------
    list of n int
    """
    spare = -(-64 // bits)
    tight = np.zeros((len(columns) + spare, columns.shape[1]), dtype=np.int64)
    tight[: len(columns)] = columns
    for place in range(len(tight) - 1):
        tight[place + 1] += tight[place] >> bits
    tight &= (1 << bits) - 1
    octets = tight.astype("<u8").view(np.uint8).reshape(*tight.shape, 8)[:, :, : bits // 8]
    raw = octets.transpose(1, 0, 2).tobytes()
    width = len(tight) * bits // 8
    return [int.from_bytes(raw[start : start + width], "little") for start in range(0, len(raw), width)]


def _digits(limbs: Limbs) -> Floats:
    """Digits of 16 bits of each element, least first; shape (n, 16)."""
    return limbs.astype("<u8").view("<u2").reshape(-1, _DIGITS).astype(np.float64)
