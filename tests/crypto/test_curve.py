from __future__ import annotations

from collections.abc import Callable

import pytest
from py_arkworks_bls12381 import G1Point, Scalar

from omnilytics_flwr.crypto.curve import compress, decode_on_curve, encode_point, multiply_sum, padded, parse_points
from omnilytics_flwr.crypto.field import FieldVector, R
from omnilytics_flwr.errors import BadPoint, WrongLength

from ..support import bad_inputs
from .plain import uncompress

GENERATOR = G1Point()


def test_encode_generator_and_infinity_are_their_coordinates() -> None:
    assert encode_point(GENERATOR) == bad_inputs.GENERATOR
    assert encode_point(G1Point.identity()) == bad_inputs.INFINITY
    assert padded(bad_inputs.GENERATOR) == bytes(16) + bad_inputs.GENERATOR[:48] + bytes(16) + bad_inputs.GENERATOR[48:]


@pytest.mark.parametrize("factor", [0, 1, 2, 3, R - 1, R - 2, 12345])
def test_parse_points_there_and_back(factor: int) -> None:
    point = GENERATOR * Scalar(factor)
    assert parse_points(encode_point(point), 1) == (point,)
    assert encode_point(parse_points(encode_point(point), 1)[0]) == encode_point(point)


@pytest.mark.parametrize("name", bad_inputs.BAD_POINTS)
@pytest.mark.parametrize("index", [0, 2])
def test_parse_points_bad_point_names_its_index(name: str, index: int) -> None:
    raw = bad_inputs.GENERATOR * index + bad_inputs.BAD_POINTS[name] + bad_inputs.GENERATOR
    with pytest.raises(BadPoint) as refusal:
        parse_points(raw, index + 2)
    assert refusal.value.index == index


@pytest.mark.parametrize("change", [bad_inputs.short_by_one, bad_inputs.long_by_one, lambda raw: b"", lambda raw: raw + raw])
def test_parse_points_of_wrong_length_raises(change: Callable[[bytes], bytes]) -> None:
    raw = change(bad_inputs.GENERATOR)
    with pytest.raises(WrongLength) as refusal:
        parse_points(raw, 1)
    assert (refusal.value.actual, refusal.value.expected) == (len(raw), 96)


@pytest.mark.parametrize("name", bad_inputs.NOT_ON_CURVE)
def test_decode_on_curve_of_no_point_is_none(name: str) -> None:
    assert decode_on_curve(bad_inputs.NOT_ON_CURVE[name]) is None


def test_decode_on_curve_takes_what_is_outside_the_subgroup() -> None:
    point = decode_on_curve(bad_inputs.WRONG_SUBGROUP)
    assert point is not None
    assert not point.is_in_subgroup()
    assert encode_point(point + point) == bad_inputs.point(0, bad_inputs.BASE_MODULUS - 2)
    assert encode_point(point + point + point) == bad_inputs.INFINITY


@pytest.mark.parametrize("factor", [0, 1, 2, 3, 4, 5, R - 1])
def test_compress_agrees_with_the_library_and_the_curves_equation(factor: int) -> None:
    point = GENERATOR * Scalar(factor)
    compressed = compress(encode_point(point))
    assert compressed == point.to_compressed_bytes()
    assert uncompress(compressed) == encode_point(point)


@pytest.mark.parametrize("scalars", [[0, 0, 0], [1, 0, R - 1], [5, 7, 11]])
def test_multiply_sum_agrees_with_additions(scalars: list[int]) -> None:
    points = [GENERATOR, GENERATOR * Scalar(9), G1Point.identity()]
    total = multiply_sum(points, FieldVector.from_ints(scalars))
    assert total == GENERATOR * Scalar((scalars[0] + 9 * scalars[1]) % R)
