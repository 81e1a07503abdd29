"""Connections: the right chain, its blocks and its clock."""

from __future__ import annotations

import pytest

from omnilytics_flwr.errors import Unreachable, UnsupportedChain, WrongChain
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import Connection, connect


def test_connect_takes_the_chain_that_is_expected_and_block_one_that_is_there(anvil: Anvil) -> None:
    assert connect(anvil.url, expected_chain_id=31337).chain_id == 31337
    with pytest.raises(WrongChain) as caught:
        connect(anvil.url, expected_chain_id=1)
    assert (caught.value.actual, caught.value.expected) == (31337, 1)
    with pytest.raises(UnsupportedChain, match="does not have block"):
        connect(anvil.url).block(10**6)


def test_await_block_local_chain_is_mined(connection: Connection) -> None:
    number = connection.block_number()
    connection.await_block(number + 300)
    assert connection.block_number() == number + 300
    connection.await_block(number)
    assert connection.block_number() == number + 300


def test_await_block_chain_stands_still_raises_unreachable(anvil: Anvil) -> None:
    connection = connect(anvil.url, receipt_seconds=0.2)
    connection.__dict__["is_local"] = False
    with pytest.raises(Unreachable, match="block"):
        connection.await_block(connection.block_number() + 1)


def test_now_chain_ahead_of_clock_is_chains(anvil: Anvil, connection: Connection) -> None:
    anvil.increase_time(10**6)
    assert abs(connection.now() - anvil.now()) <= 1
    connection.__dict__["is_local"] = False
    assert connection.now() == int(connection.block("latest")["timestamp"], 16)
