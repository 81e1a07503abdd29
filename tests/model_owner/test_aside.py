"""What becomes of a callback that is given up, and fails later."""

from __future__ import annotations

from threading import Event

import pytest

from omnilytics_flwr.model_owner import aside
from omnilytics_flwr.model_owner.aside import Aside


@pytest.mark.parametrize("error", [ValueError("the display is gone"), SystemExit("enough")])
def test_failure_of_a_call_that_was_given_up_is_told_by_the_next(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    monkeypatch.setattr(aside, "CALLBACK_SECONDS", 0.05)
    go, told = Event(), list[str]()

    def show(number: int) -> None:
        if number == 1:
            go.wait()
            raise error

    call = Aside(show, told.append)
    call(1)
    assert "has not returned" in told[0]
    go.set()
    monkeypatch.setattr(aside, "CALLBACK_SECONDS", 60.0)
    call._late[0].exception()  # the callback has ended now
    if isinstance(error, SystemExit):
        with pytest.raises(SystemExit, match="enough"):
            call(2)
    else:
        call(2)
        assert told[1:] == ["a callback failed, and the round goes on without it: ValueError('the display is gone')"]
