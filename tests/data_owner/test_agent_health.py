"""An owner agent says how it is from what it last saw; an old look is no health."""

from __future__ import annotations

from pathlib import Path

from omnilytics_flwr.data_owner.agent_health import AgentHealth
from tests.data_owner.owners import lone_owner


def test_agent_is_ready_while_its_last_look_is_fresh_and_tells_of_its_accusation(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    ledger, clock = scene.ledger(owner.number), [100.0]
    health = AgentHealth(ledger, tmp_path, 60.0, now=lambda: clock[0])
    assert health.report()["ready"] is False
    health.note(scene.state)
    told = health.report()
    assert (told["ready"], told["seen_seconds"], told["joined"], told["open_accusations"]) == (True, 0.0, True, 0)
    assert (told["account"], told["market"], told["block"]) == (owner.address, ledger.address, ledger.block_number)
    clock[0] += 61
    assert health.report()["ready"] is False
    seat = ledger.owner_record(ledger.account).seat
    scene.open()
    scene.accuse(seat)
    health.note(scene.state)
    told = health.report()
    assert (told["ready"], told["accused"], told["open_accusations"], told["stage"]) == (True, True, 1, "open")
