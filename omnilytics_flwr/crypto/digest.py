"""Digest of a row of commitments (docs/specification/protocol.md section 5): the root of a hash tree of fours, so that one can be shown without the others.

A leaf is keccak(point), of 96 bytes, a node keccak of its four children, of 128; a missing child is the zero word. The place of a child
follows from its index and is never sorted: a proof is good for one index alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from .curve import split_points
from .hashing import keccak256

_CHILDREN = 4
_MISSING = bytes(32)


def points_digest(points: bytes) -> bytes:
    """What a data owner signs: the root over its points (96 bytes each, at least one), 32 bytes."""
    return _levels(points)[-1][0]


def prove_points(points: bytes, first: int, count: int) -> list[bytes]:
    """Words that prove `count` points from `first` on, `proof_words` for each, in a row.

    Parameters
    ----------
    points : bytes
        All B points.
    first, count : int
    """
    words, levels = [], _levels(points)
    for index in range(first, first + count):
        place = index
        for level in levels[:-1]:
            start = place // _CHILDREN * _CHILDREN
            siblings = [level[i] if i < len(level) else _MISSING for i in range(start, start + _CHILDREN) if i != place]
            words += siblings
            place //= _CHILDREN
    return words


def root_from(point: bytes, index: int, proof: Sequence[bytes]) -> bytes:
    """The root that a point at an index and its siblings, from the leaf up, lead to."""
    node = keccak256(point)
    for start in range(0, len(proof), _CHILDREN - 1):
        children = list(proof[start : start + _CHILDREN - 1])
        children.insert(index % _CHILDREN, node)
        node = keccak256(b"".join(children))
        index //= _CHILDREN
    return node


def proof_words(polynomials: int) -> int:
    """Words that prove one point of B: three for each of ceil(log4 B) levels."""
    levels = 0
    while polynomials > 1:
        polynomials, levels = -(-polynomials // _CHILDREN), levels + 1
    return (_CHILDREN - 1) * levels


def _levels(points: bytes) -> list[list[bytes]]:
    """All nodes, leaves first, the root alone last."""
    level = [keccak256(point) for point in split_points(points)]
    levels = [level]
    while len(level) > 1:
        padded = level + [_MISSING] * (-len(level) % _CHILDREN)
        level = [keccak256(b"".join(padded[i : i + _CHILDREN])) for i in range(0, len(padded), _CHILDREN)]
        levels.append(level)
    return levels
