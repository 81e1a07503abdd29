"""The table of events: whatever it does not allow is refused, and named.

`tests/contracts/test_stage_event_product.py` holds the contract and its oracle to the same table.
"""

from __future__ import annotations

from itertools import product

import pytest

from omnilytics_flwr.errors import OutOfTurn
from omnilytics_flwr.market.stage import ALLOWED, Event, Stage, check_allowed, stages_for

FORBIDDEN = [(stage, event) for stage, event in product(Stage, Event) if event not in ALLOWED[stage]]
PERMITTED = [(stage, event) for stage, event in product(Stage, Event) if event in ALLOWED[stage]]


def test_table_has_every_stage_and_withdraw_in_each() -> None:
    assert set(ALLOWED) == set(Stage)
    assert all(Event.WITHDRAW in events for events in ALLOWED.values())


@pytest.mark.parametrize(("stage", "event"), PERMITTED)
def test_check_allowed_permitted_event_passes(stage: Stage, event: Event) -> None:
    check_allowed(stage, event)
    assert stages_for(event) >> stage & 1


@pytest.mark.parametrize(("stage", "event"), FORBIDDEN)
def test_check_allowed_forbidden_event_raises_with_what_is_allowed(stage: Stage, event: Event) -> None:
    with pytest.raises(OutOfTurn) as caught:
        check_allowed(stage, event)
    assert caught.value.args == (stage.name.lower(), event.value, tuple(sorted(e.value for e in ALLOWED[stage])))
    assert not stages_for(event) >> stage & 1
