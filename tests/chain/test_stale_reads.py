"""Providers with several nodes behind one address: nothing older than a transaction of ours is believed, and nothing is sent twice."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.chain.market_reader import MarketReader
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.own_block import KEPT_SECONDS, OwnBlock
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_key
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.terms import Address

from ..support.lagging_node import lagging_node
from .market_play import FUNDS_WEI, TASK, Play


@pytest.mark.parametrize("seed", range(3))
def test_each_step_of_a_round_is_seen_by_the_next_and_sent_once(anvil: Anvil, drawn_address: Address, seed: int) -> None:
    with lagging_node(anvil.url, 20, seed) as node:
        connection = connect(node.url)
        wallet = Wallet(Secret(dev_key(0)))
        ledger = EthereumLedger(sender_for(connection, wallet), drawn_address)
        play, before_wei = Play.of(ledger), ledger.balance_wei()
        for number in range(1, 4):
            ledger.fund(FUNDS_WEI)
            assert ledger.state().escrow_wei == number * FUNDS_WEI
            assert ledger.balance_wei() == ledger.snapshot().balance_wei() == before_wei + number * FUNDS_WEI
        ledger.anchor(TASK)
        assert (ledger.state().stage, ledger.state().task_hash) == (Stage.ANCHORED, TASK)
        play.open_digests({seat: keccak256(bytes([seat])) for seat in play.seats()})
        assert ledger.snapshot().state().stage is Stage.OPEN
        assert [record.event for record in connection.transactions] == ["fund", "fund", "fund", "anchor", "open"]
        assert "eth_blockNumber" in node.stale


def test_process_after_the_one_that_sent_believes_no_state_before_it(anvil: Anvil, drawn_address: Address, tmp_path: Path) -> None:
    """A killed process leaves its outbox, and the balancer behind the address has a node that is late for long."""
    with lagging_node(anvil.url, 200, 0) as node:
        connection = connect(node.url, outbox=tmp_path / "outbox")
        ledger = EthereumLedger(sender_for(connection, Wallet(Secret(dev_key(0)))), drawn_address)
        ledger.fund(FUNDS_WEI)
        market = MarketReader(connect(node.url, outbox=tmp_path / "outbox"), drawn_address)
        node.stale.clear()
        assert [market.state().escrow_wei for _ in range(10)] == 10 * [FUNDS_WEI]
        assert node.stale, "the late node has answered"


@pytest.mark.parametrize("kept", [b"", b"-1", b"what", b"9" * 40])
def test_note_of_the_last_block_that_is_none_says_nothing(tmp_path: Path, kept: bytes) -> None:
    (tmp_path / "5-own-block").write_bytes(kept)
    own = OwnBlock(tmp_path, 5)
    assert own.number == 0
    for number in (7, 6):
        own.note(number)
    assert (OwnBlock(tmp_path, 5).number, OwnBlock(tmp_path, 6).number) == (7, 0)


def test_note_of_the_last_block_is_believed_for_no_longer_than_nodes_lag(tmp_path: Path) -> None:
    """A node may have made it up, or the chain may be another since: a later process must not wait for it."""
    OwnBlock(tmp_path, 5).note(10**18)
    now = time.time()
    for age_seconds, number in ((KEPT_SECONDS / 2, 10**18), (KEPT_SECONDS + 60, 0)):
        os.utime(tmp_path / "5-own-block", (now, now - age_seconds))
        assert OwnBlock(tmp_path, 5).number == number
