"""Provers that lie consistently: what follows a lie is computed from it, so that each check of the verification must hold by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple

import pytest

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.market_reader import market_reverts
from omnilytics_flwr.crypto.field import N, R
from omnilytics_flwr.crypto.fixedpoint import unpack
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.crypto.prover import prove
from omnilytics_flwr.crypto.statement import (
    Statement,
    Verdict,
    VerificationBadPoint,
    VerificationWrongLength,
    VerificationWrongOpening,
)
from omnilytics_flwr.errors import Refusal
from omnilytics_flwr.evm.connection import Connection
from tests.crypto.conftest import Round, at_infinity, make_round, off_the_curve, outside_the_subgroup, x_not_reduced
from tests.crypto.plain import Lies
from tests.support import bad_inputs

from .forging import Liar
from .real_market import BITS, Part, isotropic, masked, near, total

Told = tuple[type[Refusal], tuple[object, ...]]


@pytest.fixture(scope="module")
def small_round() -> Round:
    """Three groups of 3, 4 and 3, one polynomial, 8 bits."""
    return make_round((3, 4, 3), seed=1)


@pytest.fixture(scope="module")
def liar(small_round: Round) -> Liar:
    """A prover of that round who may lie."""
    return Liar(small_round)


@pytest.fixture
def ask(connection: Connection, deployment: Deployment) -> Callable[[Statement, bytes], Verdict]:
    """The verification on the chain."""
    abi = artifacts.load(artifacts.VERIFICATION).abi

    def verify(s: Statement, settlement: bytes) -> Verdict:
        data = abi.call_data("verify", astuple(s), settlement)
        ((digests, distances),) = abi.results("verify", connection.call(deployment.verification, data, market_reverts()))
        return Verdict(tuple(digests), tuple(distances))

    return verify


Ask = Callable[[Statement, bytes], Verdict]


def refusal_of(ask: Ask, statement: Statement, settlement: bytes) -> Told:
    with pytest.raises(Refusal) as refusal:
        ask(statement, settlement)
    return type(refusal.value), refusal.value.args


def test_verify_plainly_argued_agrees_with_the_prover(ask: Ask, small_round: Round, liar: Liar) -> None:
    proven = prove(small_round.statement, small_round.vectors, small_round.members)

    assert ask(small_round.statement, small_round.head() + small_round.plain().argue()) == proven.verdict
    assert ask(small_round.statement, liar.settle()) == proven.verdict


def first_v_more(values: list[int]) -> list[int]:
    return [(values[0] + N) % R, *values[1:]]


def constant_term_more(remainder: list[int]) -> list[int]:
    return [(remainder[0] + 1) % R, *remainder[1:]]


def constant_term_less(quotient: list[int]) -> list[int]:
    return [(quotient[0] - 1) % R, *quotient[1:]]


def highest_more(tail: list[int]) -> list[int]:
    return [*tail[:-1], (tail[-1] + 1) % R]


def swapped(evaluations: list[int], z: int) -> list[int]:
    """No y in its place, while the sum of all squared differences stays what it is for the first and the last group."""
    return evaluations[::-1]


LYING: dict[str, tuple[Lies, type[Refusal]]] = {
    "V, against f - z e": (Lies(values=first_v_more), VerificationWrongOpening),
    "V and f, against (z^N - 1) q + f": (Lies(values=first_v_more, remainder=constant_term_more), VerificationWrongOpening),
    # (X^N - 1) q + X e + f(0) is R all the same: what is refused is that no f of degree below N is X e + f(0).
    "V, q and e of too high a degree": (
        Lies(values=lambda v: [(v[0] - N) % R, *v[1:]], quotient=constant_term_less, tail=highest_more),
        VerificationWrongOpening,
    ),
    "y": (Lies(evaluations=swapped), VerificationWrongOpening),
    **{
        f"{commitment} {spoil.__name__}": (Lies(**{commitment: spoil}), VerificationBadPoint)
        for commitment in ("quotient_point", "remainder_point", "tail_point")
        for spoil in (outside_the_subgroup, off_the_curve, x_not_reduced)
    },
    **{
        f"{commitment} at infinity": (Lies(**{commitment: at_infinity}), VerificationWrongOpening)
        for commitment in ("quotient_point", "remainder_point", "tail_point")
    },
}
"""Each lie argued as well as it can be, and what it is refused by."""


@pytest.mark.parametrize(("lies", "expected"), LYING.values(), ids=LYING.keys())
def test_verify_lie_argued_consistently_is_refused(ask: Ask, liar: Liar, lies: Lies, expected: type[Refusal]) -> None:
    assert refusal_of(ask, liar.round.statement, liar.settle(lies)) == (expected, ())


@pytest.mark.parametrize("name", bad_inputs.NOT_ON_CURVE)
@pytest.mark.parametrize("place", [0, 1, -1])
def test_verify_committed_point_off_the_curve_is_refused(ask: Ask, small_round: Round, name: str, place: int) -> None:
    rows = list(small_round.members[1])
    rows[place] = bad_inputs.NOT_ON_CURVE[name]
    spoilt = small_round.with_rows(1, tuple(rows))
    argument = bytes(32 * 6 + 288 + 32 * 3 + 48)

    assert refusal_of(ask, spoilt.statement, spoilt.head() + argument) == (VerificationBadPoint, ())


def test_verify_committed_point_outside_the_subgroup_or_at_infinity_is_refused(ask: Ask, small_round: Round) -> None:
    first, *rest = small_round.members[1]
    outside = Liar(small_round.with_rows(1, (outside_the_subgroup(first), *rest)))
    outside.points = [outside_the_subgroup(point) if i == 1 else point for i, point in enumerate(outside.points)]
    infinite = Liar(small_round.with_rows(1, (bad_inputs.INFINITY, *rest)))

    assert refusal_of(ask, outside.round.statement, outside.settle()) == (VerificationBadPoint, ())
    assert refusal_of(ask, infinite.round.statement, infinite.settle()) == (VerificationWrongOpening, ())


@pytest.mark.parametrize(("sizes", "polynomials", "facts"), [((3, 1, 3), 1, (1, 2)), ((3, 0), 1, (0, 2)), ((3, 3), 0, (0, 1))])
def test_verify_statement_with_nothing_to_prove_is_refused(
    ask: Ask, sizes: tuple[int, ...], polynomials: int, facts: tuple[int, int]
) -> None:
    empty = Statement(bytes(32), keccak256(b""), sizes, 0, polynomials)

    assert refusal_of(ask, empty, b"") == (VerificationWrongLength, facts)
    assert ask(Statement(bytes(32), keccak256(b""), (), 0, 1), b"") == Verdict((), ())


# ------------------------------------------------------------------------------------------------------------- isotropic sums


def round_of(groups: list[list[Part]]) -> Round:
    """A round of these deliveries."""
    members = tuple(tuple(part.points for part in group) for group in groups)
    statement = Statement(keccak256(b"context"), keccak256(b"roster"), tuple(map(len, groups)), 0, 1)
    return Round(statement, tuple(map(total, groups)), members, ())


def test_verify_isotropic_sum_has_no_distance_but_is_seen_by_who_sums(ask: Ask) -> None:
    honest = round_of([masked([near(i), near(i + 1), near(i + 2)]) for i in range(3)])
    cheat = round_of([masked([near(i), near(i + 1), isotropic(i + 2) if i == 1 else near(i + 2)]) for i in range(3)])

    verdict = ask(cheat.statement, Liar(cheat).settle())

    assert verdict.distances == prove(honest.statement, honest.vectors, honest.members).verdict.distances
    assert [unpack(vector, members=3, bits=BITS) is None for vector in cheat.vectors] == [False, True, False]
