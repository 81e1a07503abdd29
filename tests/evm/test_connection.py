"""Connections: the right chain, its blocks and its clock."""

from __future__ import annotations

import json
from typing import Any

import pytest

from omnilytics_flwr.errors import Unreachable, UnsupportedChain, WrongChain
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.endpoint import Endpoint
from tests.support.nodes import answering


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


def test_await_block_whose_mining_is_answered_too_late_mines_no_block_too_many(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = connection.endpoint.request_once
    lost: list[object] = []

    def losing(method: str, *params: object) -> Any:
        answer = ask(method, *params)
        if method == "anvil_mine" and not lost:
            lost.append(answer)
            raise Unreachable("the answer was lost")
        return answer

    monkeypatch.setattr(connection.endpoint, "request_once", losing)
    number = connection.block_number() + 30
    connection.await_block(number)
    assert (connection.block_number(), len(lost)) == (number, 1)


def test_await_block_chain_stands_still_raises_unreachable(anvil: Anvil) -> None:
    connection = connect(anvil.url, receipt_seconds=0.2)
    connection.__dict__["is_local"] = False
    with pytest.raises(Unreachable, match="block"):
        connection.await_block(connection.block_number() + 1)


def test_await_block_chain_that_goes_on_is_waited_for_however_long_it_takes() -> None:
    with answering(lambda number: (200, json.dumps({"jsonrpc": "2.0", "id": 0, "result": hex(number)}).encode())) as url:
        connection = connect(url, receipt_seconds=0.0)  # for each block, not for all of them
        connection.await_block(20)


def test_now_chain_ahead_of_clock_is_chains(anvil: Anvil, connection: Connection) -> None:
    anvil.increase_time(10**6)
    assert abs(connection.now() - anvil.now()) <= 1
    connection.__dict__["is_local"] = False
    assert connection.now() == int(connection.block("latest")["timestamp"], 16)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8545", True),
        ("http://127.9.9.9/x", True),
        ("http://localhost:8545", True),
        ("https://[::1]:8545", True),
        ("/run/node.ipc", True),
        ("http://user:key@localhost", True),
        ("http://localhost.example.org:8545", False),
        ("http://127.0.0.1.example.org", False),
        ("http://localhost@example.org", False),
        ("https://10.0.0.1:8545", False),
        ("http://[2001:db8::1]:8545", False),
        ("http://anvil:8545", False),
    ],
)
def test_endpoint_is_on_this_machine_by_its_address_alone(url: str, here: bool) -> None:
    assert Endpoint(url).is_on_this_machine is here


def test_node_elsewhere_that_calls_itself_a_local_chain_is_none(anvil: Anvil) -> None:
    """It would relax whatever a policy leaves open, and have the keys of development accounts used."""
    connection = connect(anvil.url)
    connection.endpoint.url = anvil.url.replace("127.0.0.1", "node.example.org")
    assert str(connection.request("web3_clientVersion")).startswith("anvil")
    assert not connection.is_local
    assert connect(anvil.url).is_local
