"""Connections: the right chain, and one that can do what a market needs."""

from __future__ import annotations

import pytest

from omnilytics_flwr.chain.chain_support import check_supported
from omnilytics_flwr.errors import Unreachable, UnsupportedChain, WrongChain
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.connection import Connection, connect


def test_connect_other_chain_id_raises_wrong_chain(anvil: Anvil) -> None:
    with pytest.raises(WrongChain) as caught:
        connect(anvil.url, expected_chain_id=1)
    assert (caught.value.actual, caught.value.expected) == (31337, 1)


def test_connect_right_chain_id_connects(anvil: Anvil) -> None:
    assert connect(anvil.url, expected_chain_id=31337).chain_id == 31337


def test_connect_nobody_listens_raises_unreachable(unused_address: str) -> None:
    with pytest.raises(Unreachable):
        connect(unused_address, timeout_seconds=0.3)


def test_check_supported_on_osaka_passes(connection: Connection) -> None:
    check_supported(connection)


@pytest.mark.parametrize(
    ("hardfork", "missing"),
    [("london", "0x0a"), ("shanghai", "0x0a"), ("cancun", "0x0b")],
)
def test_check_supported_on_older_fork_names_what_is_missing(hardfork: str, missing: str) -> None:
    with Anvil(AnvilOptions(hardfork=hardfork)) as old, pytest.raises(UnsupportedChain, match=missing):
        check_supported(connect(old.url))


def test_check_supported_without_history_contract_raises(connection: Connection) -> None:
    connection.request("anvil_setCode", "0x0000F90827F1C53a10cb7A02335B175320002935", "0x")
    with pytest.raises(UnsupportedChain, match="EIP-2935"):
        check_supported(connection)


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


def test_block_that_is_not_there_raises(connection: Connection) -> None:
    with pytest.raises(UnsupportedChain, match="does not have block"):
        connection.block(10**6)


def test_now_chain_ahead_of_clock_is_chains(anvil: Anvil, connection: Connection) -> None:
    anvil.increase_time(10**6)
    assert abs(connection.now() - anvil.now()) <= 1
    connection.__dict__["is_local"] = False
    assert connection.now() == int(connection.block("latest")["timestamp"], 16)
