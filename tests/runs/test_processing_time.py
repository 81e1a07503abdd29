"""Node time: it follows the work, not the network, and only repeated executions count."""

from __future__ import annotations

import pytest

from omnilytics_flwr.errors import ChainError
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.reverts import PLAIN
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import Wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from runs.processing_time import chain_processing, sealing_ms

from ..evm.tiny_contracts import WORKING, creation_code


@pytest.fixture
def worked(connection: Connection, wallet: Wallet) -> list[str]:
    """Hashes of a transaction that does little, and of one that does much."""
    sender = sender_for(connection, wallet)
    contract = sender.send("deploy", Payload(None, creation_code(WORKING)), PLAIN).contract
    work = [Payload(contract, loops.to_bytes(32, "big")) for loops in (10, 100_000)]
    return [sender.send("work", payload, PLAIN).transaction_hash for payload in work]


def test_chain_processing_more_work_takes_longer(connection: Connection, worked: list[str]) -> None:
    measured = chain_processing(connection, worked)
    little_ms, much_ms = measured.execution_ms
    assert much_ms > 5 * little_ms
    assert measured.total_ms == little_ms + much_ms
    assert measured.round_trip_ms > 0
    with pytest.raises(ChainError, match="does not know"):
        chain_processing(connection, ["0x" + "11" * 32])


def test_chain_processing_repeated_execution_differs_raises(
    connection: Connection, worked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = connection.request

    def answer_as_a_node_that_does_not_execute(method: str, *params: object) -> object:
        return {"gasUsed": "0x0"} if method == "debug_traceTransaction" else request(method, *params)

    monkeypatch.setattr(connection, "request", answer_as_a_node_that_does_not_execute)
    with pytest.raises(ChainError, match="to repeat"):
        chain_processing(connection, worked)


def test_sealing_ms_local_chain_mines_blocks(anvil: Anvil, connection: Connection) -> None:
    number = connection.block_number()
    assert sealing_ms(connection, repeats=3) > 0
    assert connection.block_number() == number + 3
    connection.__dict__["is_local"] = False
    with pytest.raises(ChainError, match="not local"):
        sealing_ms(connection)
