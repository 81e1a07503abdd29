"""Fixtures: rounds that many tests look at; they are made once a process."""

from __future__ import annotations

import pytest

from omnilytics_flwr.crypto.prover import Proof, prove

from .rounds import Round, make_round


@pytest.fixture(scope="session")
def small_round() -> Round:
    """Three groups of 3, 4 and 3, one polynomial, 8 bits."""
    return make_round((3, 4, 3), seed=1)


@pytest.fixture(scope="session")
def small_proof(small_round: Round) -> Proof:
    """Its settlement."""
    return prove(small_round.statement, small_round.vectors, small_round.members)


@pytest.fixture(scope="session")
def wide_round() -> Round:
    """Five groups, two polynomials, 16 bits."""
    return make_round((4, 4, 3, 3, 3), polynomials=2, bits=16, seed=2)
