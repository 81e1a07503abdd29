"""The clock goes on by what is waited, whether the waiting is real or pretended."""

from __future__ import annotations

import time

import pytest

from omnilytics_flwr.clock import Clock


def test_pretended_waiting_counts_as_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    waits: list[float] = []
    clock = Clock(waits.append, poll_seconds=2.0)
    clock.wait(5.0)
    clock.pause(times=3)
    assert waits == [5.0, 6.0]
    assert clock.now() == 111.0


def test_real_waiting_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: real[0])

    def oversleep(seconds: float) -> None:
        real[0] += seconds + 1.0

    clock = Clock(oversleep)
    clock.wait(5.0)
    assert clock.now() == 106.0
