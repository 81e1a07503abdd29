from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

import ckzg
import numpy as np
import pytest
from py_arkworks_bls12381 import GT, G1Point, G2Point

from omnilytics_flwr.crypto import ceremony, kzg
from omnilytics_flwr.crypto.ceremony import lagrange_points, tau_g2
from omnilytics_flwr.crypto.curve import encode_point, parse_points
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.domain import roots
from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.fixed_base import FixedBase
from omnilytics_flwr.crypto.fixedpoint import pack
from omnilytics_flwr.crypto.kzg import Sketch, commit, commit_units, mismatched, opens, prove_opening, sum_points
from omnilytics_flwr.errors import ToolMissing, WrongLength

from ..support import bad_inputs
from . import plain
from .conftest import random_vector, sparse_vector

VALUES = random_vector(N, seed=11).to_ints()
POINTS = [0, 1, 12345, R - 1, roots()[1], roots()[4000]]


@pytest.mark.parametrize(
    "values",
    [random_vector(N, seed=1).to_ints(), [0] * N, [R - 1] * N, [0] * (N - 1) + [1], list(range(N))],
    ids=["uniform", "zero", "largest", "last", "ascending"],
)
def test_commit_agrees_with_c_kzg(values: list[int]) -> None:
    assert commit(FieldVector.from_ints(values)) == plain.uncompress(plain.commitment(values))


def test_known_answer_is_the_published_tau_and_a_library_that_commits_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert GT.pairing_check([G1Point.from_compressed_bytes(kzg.TAU_G1), -G1Point()], [G2Point(), tau_g2()])
    kzg.check_known_answer.cache_clear()
    kzg.check_known_answer()
    kzg.check_known_answer.cache_clear()
    monkeypatch.setattr(kzg, "multiply_sum", lambda points, scalars: points[0])
    with pytest.raises(ToolMissing, match="commits the polynomial X to another point"):
        kzg.check_known_answer()


def test_commit_many_polynomials_are_points_in_a_row() -> None:
    vector = random_vector(3 * N, seed=2)
    points = commit(vector)
    assert points == b"".join(commit(polynomial) for polynomial in vector.polynomials())
    assert points_digest(points) == plain.digest([points[:96], points[96:192], points[192:]])


@pytest.mark.parametrize("bits", [3, 16, 32])
def test_commit_units_is_the_commitment_of_the_packed_update(bits: int) -> None:
    most = (1 << bits - 1) - 1
    units = np.random.default_rng(bits).integers(-most, most + 1, 4 * N)
    units[:3] = [most, -most, 0]

    assert commit_units(units, bits=bits) == commit(pack(units))


def test_sum_points_is_the_commitment_of_the_sum() -> None:
    vectors = [random_vector(2 * N, seed=i) for i in range(3)]
    total = sum_points([parse_points(commit(vector), 2) for vector in vectors])
    assert b"".join(map(encode_point, total)) == commit(FieldVector.total(vectors))


def sketches(vectors: Sequence[FieldVector], points: Sequence[Sequence[G1Point]]) -> list[Sketch]:
    """Each in pieces of one polynomial."""
    return [Sketch.of(vector.polynomials(), row) for vector, row in zip(vectors, points, strict=True)]


def test_mismatched_finds_exactly_the_wrong_vectors() -> None:
    vectors = [random_vector(2 * N, seed=i) for i in range(5)]
    points = [parse_points(commit(vector), 2) for vector in vectors]
    one_off = sparse_vector(2 * N, {2 * N - 1: 1})
    changed = [vector + one_off if i in (1, 4) else vector for i, vector in enumerate(vectors)]
    assert mismatched(sketches(vectors, points)) == []
    assert mismatched(sketches(changed, points)) == [1, 4]
    assert mismatched([Sketch.of([vector], row) for vector, row in zip(changed, points, strict=True)]) == [1, 4]
    assert mismatched([]) == []


def test_mismatched_errors_that_cancel_are_still_seen() -> None:
    vectors = [random_vector(N, seed=i) for i in range(2)]
    points = [parse_points(commit(vector), 1) for vector in vectors]
    one_off = sparse_vector(N, {0: 1})
    assert mismatched(sketches([vectors[0] + one_off, vectors[1] - one_off], points)) == [0, 1]
    assert mismatched(sketches(vectors, points[::-1])) == [0, 1]


def test_sketch_is_refused_with_another_number_of_points() -> None:
    vector = random_vector(N, seed=3)
    (point,) = parse_points(commit(vector), 1)
    for points in ((point, point), ()):
        with pytest.raises(WrongLength):
            Sketch.of([vector], points)


def test_commit_is_the_same_by_tables_and_where_there_are_none_or_wrong_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    vector, built = random_vector(2 * N, seed=5), FixedBase.build(lagrange_points())
    expected = commit(vector)
    for found in (built, None, FixedBase.build(lagrange_points()[::-1])):
        monkeypatch.setattr(FixedBase, "build", lambda points, found=found: found)
        tables = kzg._Tables()
        monkeypatch.setattr(kzg, "_tables", tables)
        for _ in range(tables.LOADING):
            assert tables.after_one_more() is None
        assert commit(vector) == expected
        assert (tables.after_one_more() is not None) == (found is built is not None)


def test_tables_are_made_before_many_commitments_and_not_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = kzg._Tables()
    monkeypatch.setattr(FixedBase, "build", lambda points: 1 / 0)
    monkeypatch.setattr(kzg, "_tables", tables)
    kzg.expect_commitments(tables.LOADING)
    with pytest.raises(ZeroDivisionError):
        kzg.expect_commitments(tables.LOADING + 1)


def test_commit_loads_neither_eth_account_nor_c_kzg() -> None:
    code = (
        "import sys; from omnilytics_flwr.crypto.kzg import commit;"
        "from omnilytics_flwr.crypto.field import FieldVector; commit(FieldVector.zeros(4096));"
        "print([name for name in ('eth_account', 'ckzg', 'web3', 'torch', 'flwr') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


def test_lagrange_points_of_another_ceremony_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ceremony._read()
    first, second = text.split()[2:4]
    monkeypatch.setattr(ceremony, "_read", lambda: text.replace(first, "-").replace(second, first).replace("-", second))
    with pytest.raises(ToolMissing, match="other points"):
        ceremony.lagrange_points.__wrapped__()


def test_lagrange_points_without_eth_account_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceremony, "find_spec", lambda name: None)
    with pytest.raises(ToolMissing, match="install eth-account"):
        ceremony.tau_g2.__wrapped__()


@pytest.fixture(scope="module")
def commitment() -> bytes:
    return plain.commitment(VALUES)


@pytest.mark.parametrize("point", POINTS)
def test_prove_opening_agrees_with_c_kzg(point: int) -> None:
    proof, value = plain.opening(VALUES, point)
    assert prove_opening(FieldVector.from_ints(VALUES), point, value) == proof


@pytest.mark.parametrize("point", [0, 12345, roots()[4000]])
def test_opens_right_and_wrong_openings_agree_with_c_kzg(commitment: bytes, point: int) -> None:
    proof, value = plain.opening(VALUES, point)
    claims = [
        (commitment, point, value, proof),
        (commitment, point, (value + 1) % R, proof),
        (commitment, (point + 1) % R, value, proof),
        (commitment, point, value, commitment),
        (plain.commitment([0] * N), point, value, proof),
    ]

    answers = [opens(*claim) for claim in claims]

    assert answers == [True, False, False, False, False]
    assert answers == [ckzg.verify_kzg_proof(c, plain.words([z]), plain.words([y]), p, plain.setup()) for c, z, y, p in claims]


def test_opens_a_constant_with_the_proof_at_infinity() -> None:
    infinity = bytes([0xC0]) + bytes(47)
    constant = plain.commitment([7] * N)
    assert opens(constant, 99, 7, infinity)
    assert not opens(constant, 99, 8, infinity)
    assert opens(infinity, 99, 0, infinity)


@pytest.mark.parametrize(
    "bad",
    [b"", bytes(48), b"\xff" * 48, bytes([0xE0]) + bytes(47), bytes([0xC0]) + bytes(46) + b"\1", bytes([0x80]) + bytes(47)],
    ids=["empty", "zeros", "ones", "infinity with a sign", "infinity and more", "outside the subgroup"],
)
def test_opens_what_is_no_point_is_false(commitment: bytes, bad: bytes) -> None:
    proof, value = plain.opening(VALUES, 5)
    assert not opens(bad, 5, value, proof)
    assert not opens(commitment, 5, value, bad)


@pytest.mark.parametrize("change", [bad_inputs.short_by_one, bad_inputs.long_by_one])
def test_opens_with_another_length_is_false(commitment: bytes, change: Callable[[bytes], bytes]) -> None:
    proof, value = plain.opening(VALUES, 5)
    assert not opens(change(commitment), 5, value, proof)
    assert not opens(commitment, 5, value, change(proof))
