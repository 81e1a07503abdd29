"""Draws that others were faster with, and reading the market as it was in one block."""

from __future__ import annotations

import pytest

from omnilytics_flwr.errors import ChainError
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.market import refusals
from omnilytics_flwr.market.draw import epoch_seed
from omnilytics_flwr.market.ledger import Receipt

from .market_play import Play, fix_draw, mask_key


def test_draw_takes_the_header_of_its_block_only(anvil: Anvil, market: Play) -> None:
    market.join_all()
    market.owner.freeze()
    draw_block = market.owner.state().draw_block
    with pytest.raises(refusals.WrongHeader):
        market.owner.draw_with(fix_draw(anvil, draw_block - 1, b"\x2a" * 32))
    market.owner.draw_with(fix_draw(anvil, draw_block, b"\x2a" * 32))
    assert market.owner.state().epoch_seed == epoch_seed(b"\x2a" * 32, 1, market.owner.address)


def test_draw_somebody_else_was_first_gives_a_receipt_without_transaction(market: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    market.join_all()
    with pytest.raises(refusals.WrongStage):
        market.owner.draw()
    market.owner.freeze()
    header_of, sent = market.data[3].connection.block, market.owner.connection.transactions

    def be_overtaken(number: int) -> dict[str, object]:
        monkeypatch.undo()
        market.data[0].draw()
        return header_of(number)

    monkeypatch.setattr(market.data[3].connection, "block", be_overtaken)
    assert market.data[3].draw() == Receipt("draw")
    assert market.data[4].draw() == Receipt("draw")
    assert [record.event for record in sent].count("draw") == 1
    market.owner.close()
    with pytest.raises(refusals.WrongStage):
        market.owner.draw()


def test_snapshot_reads_one_block_whatever_happens_meanwhile(anvil: Anvil, market: Play) -> None:
    owner = market.owner
    start = owner.connection.block_number()
    market.data[0].join(mask_key(0))
    before = owner.snapshot()
    record = owner.owner_record(market.data[0].account)
    market.data[1].join(mask_key(1))
    market.data[0].leave()
    assert before.state().staked == 0b1
    assert before.owner_record(market.data[0].account) == record != owner.owner_record(market.data[0].account)
    assert not before.owner_record(market.data[1].account).registered
    assert owner.snapshot(confirmations=1).state() == owner.state(confirmations=1)
    assert owner.snapshot().state() == owner.state() != before.state()
    assert before.terms() == owner.terms()
    anvil.endpoint.request("anvil_reorg", owner.connection.block_number() - start, [])
    with pytest.raises(ChainError):
        before.state()
    assert owner.state().staked == 0
