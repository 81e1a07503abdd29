"""Groups of a draw are asked for once, and never taken for those of another draw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import Mock

from omnilytics_flwr.data_owner.task_checks import TaskChecks
from tests.support.builders import make_scene

GROUPS = {b"\1" * 32: [0b111, 0b111000], b"\2" * 32: [0b10101, 0b101010]}


def test_groups_are_read_once_for_each_draw_even_if_a_reorganisation_comes_between() -> None:
    first = replace(make_scene().state, members=0b111111, epoch_seed=b"\1" * 32)
    second = replace(first, epoch_seed=b"\2" * 32)
    shown, read = [first], []

    def group_seats(number: int) -> int:
        read.append(number)
        return GROUPS[shown[0].epoch_seed][number]

    ledger: Any = Mock(state=lambda: shown[0], group_seats=group_seats)
    ledger.terms.return_value.group_size = 3
    checks: Any = TaskChecks(ledger=ledger, owner=Mock(), keys=Mock(), journal=Mock(), policy=Mock())

    assert [list(checks._groups(first)) for _ in range(2)] == [GROUPS[first.epoch_seed]] * 2
    assert read == [0, 1]
    shown[0] = second
    assert [list(checks._groups(second)) for _ in range(2)] == [GROUPS[second.epoch_seed]] * 2
    assert read == [0, 1] * 2
    assert list(checks._groups(first)) == GROUPS[second.epoch_seed], "the state is older than the groups"
    shown[0] = first
    assert list(checks._groups(first)) == GROUPS[first.epoch_seed], "so they were not kept for it"
