"""False labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.adversary.labels import flip_labels
from omnilytics_flwr.errors import TermsError


@given(st.lists(st.integers(0, 9)), st.sampled_from([np.int64, np.uint8, np.int32]))
def test_mirrored_labels_are_false_and_mirrored_twice_they_are_as_before(labels: list[int], dtype: type) -> None:
    honest = np.array(labels, dtype=dtype)
    false = flip_labels(honest, 10)
    assert false.dtype == dtype
    assert not (false == honest).any()
    assert np.array_equal(flip_labels(false, 10), honest)
    assert false.tolist() == [9 - label for label in labels]


def test_the_middle_of_an_odd_number_of_classes_stays() -> None:
    assert flip_labels(np.array([0, 1, 2]), 3).tolist() == [2, 1, 0]


@given(st.lists(st.integers(0, 4)))
def test_mapping_changes_what_it_names_and_nothing_else(labels: list[int]) -> None:
    honest = np.array(labels, dtype=np.int64)
    false = flip_labels(honest, 5, mapping={1: 4})
    assert false.tolist() == [4 if label == 1 else label for label in labels]


@pytest.mark.parametrize(
    ("labels", "mapping"), [([5], None), ([-1], None), ([0], {0: 5}), ([0], {7: 0})], ids=["too large", "negative", "to none", "from none"]
)
def test_label_that_is_no_class_is_refused(labels: list[int], mapping: dict[int, int] | None) -> None:
    with pytest.raises(TermsError, match="is none of 5 classes"):
        flip_labels(np.array(labels), 5, mapping=mapping)
