"""The public and the private part of a model."""

from __future__ import annotations

import pytest
from flwr.app import ArrayRecord

from omnilytics_flwr.flower.split_model import SplitModel
from tests.flower.clients import SHAPES, arrays_of, make_model, plain_model, shifted


def data_of(model: ArrayRecord) -> dict[str, bytes]:
    return {name: array.data for name, array in model.items()}


@pytest.mark.parametrize(
    ("patterns", "private"),
    [
        ((), set()),
        (("head.*",), {"head.weight"}),
        (("*.bias", "head.weight"), {"body.bias", "head.weight"}),
        (("body.*",), {"body.weight", "body.bias"}),
    ],
)
def test_split_model_is_whole_again_in_its_order(patterns: tuple[str, ...], private: set[str]) -> None:
    model, other = make_model(), make_model(1)

    split = SplitModel.of(model, patterns)

    assert set(split.private) == private
    assert list(split.public) == [name for name in SHAPES if name not in private]
    for whole, expected in ((split.whole(), model), (split.with_whole(other).whole(), other)):
        assert list(whole) == list(SHAPES)
        assert data_of(whole) == data_of(expected)


def test_with_public_keeps_the_private_part_and_refitted_the_public_part() -> None:
    split = SplitModel.of(make_model(), ("head.*",))

    moved = split.with_public(shifted(split.public, 1.0)).refitted(lambda number, whole: shifted(whole, number), 3)

    for name, array in arrays_of(moved.whole()).items():
        assert array.tobytes() == arrays_of(shifted(make_model(), 3.0 if name in split.private else 1.0))[name].tobytes()
    assert split.refitted(None, 3) is split


def test_plain_flower_arrays_are_split_by_their_numbers() -> None:
    split = SplitModel.of(plain_model(), ("2",))

    assert (list(split.public), list(split.private)) == (["0", "1"], ["2"])
