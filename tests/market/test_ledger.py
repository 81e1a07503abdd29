"""What a ledger sends along with a call, and who is handed which calls."""

from __future__ import annotations

import pytest

from omnilytics_flwr.market.ledger import AccountLedger, DataOwnerLedger, ModelOwnerLedger, Receipt
from omnilytics_flwr.market.stage import Event
from tests.oracle import MemoryLedger
from tests.support.builders import MODEL_OWNER, Scene, make_drawn_scene, make_mask_key, make_scene


class Recorder(MemoryLedger):
    """Keeps the ether of each call instead of sending it."""

    def __init__(self, scene: Scene, number: int) -> None:
        held = scene.ledger(number)
        super().__init__(scene.world, held.address, held.account)
        self.paid_wei: list[int] = []

    def _send(self, event: Event, *arguments: object, value_wei: int = 0, blobs: tuple[bytes, ...] = ()) -> Receipt:
        self.paid_wei.append(value_wei)
        return Receipt(event.value)


@pytest.mark.parametrize(
    ("known", "pays"), [("a stranger", True), ("staked", False), ("slashed", True), ("leaving", False), ("leaving and slashed", False)]
)
def test_join_pays_the_stake_unless_it_is_there_or_the_account_is_leaving(known: str, pays: bool) -> None:
    scene = make_scene()
    ledger = Recorder(scene, 0)
    if known != "a stranger":
        scene.ledger(0).join(make_mask_key(0, 1))
    if "slashed" in known:
        scene.market.storage.staked, scene.market.storage.slashed = 0, 1
    if "leaving" in known:
        scene.ledger(0).leave()
    ledger.join(make_mask_key(0, 1))
    assert ledger.paid_wei == [scene.terms.stake_wei if pays else 0]


@pytest.mark.parametrize("deposit_wei", [None, 0, 7])
def test_accuse_pays_fee_and_deposit_for_each_accused(deposit_wei: int | None) -> None:
    scene = make_scene(accuse_fee_wei=100)
    ledger = Recorder(scene, MODEL_OWNER)
    ledger.accuse(1, 0b1011, (), (), deposit_wei)
    each_wei = -(-5 * ledger.answer_cost_wei() // 4) if deposit_wei is None else deposit_wei
    assert ledger.paid_wei == [3 * (100 + each_wei)]


def test_draw_after_somebody_else_did_sends_nothing() -> None:
    ledger = Recorder(make_drawn_scene(), 3)
    assert ledger.draw() == Receipt("draw")
    assert ledger.paid_wei == []


def test_each_party_is_handed_its_own_calls() -> None:
    def calls(kind: type) -> set[str]:
        return {event.value for event in Event if hasattr(kind, event.value)}

    assert calls(AccountLedger) == {"fund", "draw", "answer", "timeout", "claim", "depart", "withdraw"}
    assert calls(DataOwnerLedger) - calls(AccountLedger) == {"join", "leave"}
    assert calls(ModelOwnerLedger) - calls(AccountLedger) == {"freeze", "anchor", "open", "accuse", "settle", "close"}
    assert calls(MemoryLedger) == {event.value for event in Event}
