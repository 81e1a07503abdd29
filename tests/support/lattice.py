"""Lattice reduction, as an attacker has it: the algorithm of Lenstra, Lenstra and Lovász in whole numbers (Cohen, Alg. 2.6.7)."""

from __future__ import annotations

from collections.abc import Sequence

Row = list[int]


def reduced(basis: Sequence[Sequence[int]]) -> list[Row]:
    """An LLL-reduced basis (delta = 3/4) of the lattice that linearly independent rows span."""
    rows = [list(row) for row in basis]
    size = len(rows)
    # determinants[i + 1] is that of the first i + 1 rows' Gram matrix; ratios[i][j] is mu_ij times determinants[j + 1].
    determinants, ratios = _gram_schmidt(rows)
    k = 1
    while k < size:
        _shorten(rows, ratios, determinants, k, k - 1)
        before, at, after = determinants[k - 1], determinants[k], determinants[k + 1]
        if 4 * (after * before + ratios[k][k - 1] ** 2) < 3 * at * at:
            _swap(rows, ratios, determinants, k)
            k = max(1, k - 1)
        else:
            for j in range(k - 2, -1, -1):
                _shorten(rows, ratios, determinants, k, j)
            k += 1
    return rows


def _gram_schmidt(rows: list[Row]) -> tuple[Row, list[Row]]:
    determinants, ratios = [1], [[0] * len(rows) for _ in rows]
    for i, row in enumerate(rows):
        for j in range(i + 1):
            value = sum(a * b for a, b in zip(row, rows[j], strict=True))
            for m in range(j):
                value = (determinants[m + 1] * value - ratios[i][m] * ratios[j][m]) // determinants[m]
            ratios[i][j] = value
        determinants.append(ratios[i][i])
    return determinants, ratios


def _shorten(rows: list[Row], ratios: list[Row], determinants: Row, k: int, j: int) -> None:
    """Take from row k the nearest multiple of row j."""
    times = (2 * ratios[k][j] + determinants[j + 1]) // (2 * determinants[j + 1])
    if times:
        rows[k] = [a - times * b for a, b in zip(rows[k], rows[j], strict=True)]
        for m in range(j):
            ratios[k][m] -= times * ratios[j][m]
        ratios[k][j] -= times * determinants[j + 1]


def _swap(rows: list[Row], ratios: list[Row], determinants: Row, k: int) -> None:
    """Exchange rows k - 1 and k."""
    rows[k], rows[k - 1] = rows[k - 1], rows[k]
    for m in range(k - 1):
        ratios[k][m], ratios[k - 1][m] = ratios[k - 1][m], ratios[k][m]
    common, before, old, after = ratios[k][k - 1], determinants[k - 1], determinants[k], determinants[k + 1]
    new = (before * after + common * common) // old
    for i in range(k + 1, len(rows)):
        upper = ratios[i][k]
        ratios[i][k] = (after * ratios[i][k - 1] - common * upper) // old
        ratios[i][k - 1] = (new * upper + common * ratios[i][k]) // after
    determinants[k] = new
