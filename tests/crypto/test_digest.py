"""The tree over a row of points: against the plain twin, and what its proofs bind."""

from __future__ import annotations

import pytest

from omnilytics_flwr.crypto.digest import points_digest, proof_words, prove_points, root_from

from . import plain


def points_of(count: int) -> list[bytes]:
    return [bytes([number]) * 96 for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 45])
def test_points_digest_and_every_proof_agree_with_the_plain_root(count: int) -> None:
    points = points_of(count)
    raw, words = b"".join(points), proof_words(count)

    digest = points_digest(raw)
    proofs = prove_points(raw, 0, count)

    assert digest == plain.digest(points)
    assert len(proofs) == words * count
    assert [root_from(point, k, proofs[words * k : words * (k + 1)]) for k, point in enumerate(points)] == [digest] * count
    assert prove_points(raw, count - 1, 1) == proofs[words * (count - 1) :]


def test_root_from_one_point_answers_for_its_own_index_alone() -> None:
    """With sorted siblings a proof would bind no index: one blob could answer for all others."""
    points = points_of(5)
    raw, words = b"".join(points), proof_words(5)
    proofs = prove_points(raw, 0, 5)

    good = {
        (k, j) for k in range(5) for j in range(5) if root_from(points[j], k, proofs[words * j : words * (j + 1)]) == points_digest(raw)
    }

    assert good == {(k, k) for k in range(5)}


def test_points_digest_differs_with_order_and_number() -> None:
    points = points_of(4)

    digests = {points_digest(b"".join(row)) for row in (points, points[::-1], points[:3], [*points, bytes(96)])}

    assert len(digests) == 4
