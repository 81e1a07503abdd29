"""Commands that are killed or run out of time, and are given again: they do it once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from omnilytics_flwr.chain.deploy import DEPLOYED
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.cli.printer import Printer
from omnilytics_flwr.crypto.address import Address
from omnilytics_flwr.errors import TransactionLost
from omnilytics_flwr.evm import connection as connection_module
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.wallet import dev_wallet

from ..support.nodes import unmined
from .command_line import MODEL_OWNER, CommandLine

ETHER = 10**18
FUND = ("market", "fund", "1 ether", *MODEL_OWNER)
PATIENCE_SECONDS = 60.0


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill_unmined(anvil: Anvil, line: CommandLine, *command: str) -> None:
    """Run a command in a process, kill it once its transaction is in the pool, and mine it."""
    anvil.endpoint.request("evm_setAutomine", False)
    process = subprocess.Popen([sys.executable, "-m", "omnilytics_flwr", *command], env=os.environ, cwd=line.folder)
    try:
        until(lambda: unmined(anvil.endpoint))
    finally:
        process.kill()
        process.wait()
    anvil.endpoint.request("evm_setAutomine", True)
    anvil.mine()


def test_fund_killed_before_it_is_mined_and_repeated_pays_once(line: CommandLine, market: EthereumLedger, anvil: Anvil) -> None:
    kill_unmined(anvil, line, *FUND)
    assert "an earlier run of this command had sent it" in line(*FUND)
    assert market.state().escrow_wei == ETHER
    assert "earlier run" not in line(*FUND)
    assert market.state().escrow_wei == 2 * ETHER


def test_join_killed_before_it_is_mined_and_repeated_joins_once(
    line: CommandLine, market: EthereumLedger, account: Address, anvil: Anvil, connection: Connection
) -> None:
    """The repeated one pays no stake, for the first one has."""
    line("owner", "init", "home", "--keystore", "a.json", "--password-file", "password")
    kill_unmined(anvil, line, "join", "--home", "home")
    assert "an earlier run of this command had sent it" in line("join", "--home", "home")
    assert connection.quantity("eth_getTransactionCount", account, "latest") == 1
    assert market.owner_record(account).registered


def test_fund_out_of_time_and_repeated_until_it_is_mined_pays_once(
    line: CommandLine, market: EthereumLedger, anvil: Anvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    anvil.endpoint.request("evm_setAutomine", False)
    connect = connection_module.connect
    with monkeypatch.context() as hurried:
        hurried.setattr(connection_module, "connect", lambda *given, **named: connect(*given, receipt_seconds=0.2, **named))
        for _ in range(2):
            code, _, complaint = line.run(FUND)
            assert (code, "goes on with the same nonce" in complaint) == (1, True)
    anvil.endpoint.request("evm_setAutomine", True)
    anvil.mine()
    line(*FUND)
    assert market.state().escrow_wei == ETHER


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, TransactionLost("0x12", 1.0)])
def test_deploy_interrupted_after_a_step_and_repeated_sends_no_step_twice(
    bare: CommandLine, connection: Connection, monkeypatch: pytest.MonkeyPatch, interruption: BaseException
) -> None:
    """What is mined but not told is found again; once it is told, the same command does it anew."""
    monkeypatch.setenv("OMNILYTICS_RPC_URL", connection.endpoint.url)
    account = dev_wallet(0, connection).address
    before = connection.quantity("eth_getTransactionCount", account, "latest")

    def be_interrupted(*_: object) -> None:
        raise interruption

    with monkeypatch.context() as interrupted:
        interrupted.setattr(Printer, "facts", be_interrupted)
        assert bare.run(("market", "deploy", *MODEL_OWNER))[0] != 0
    bare("market", "deploy", *MODEL_OWNER)
    assert connection.quantity("eth_getTransactionCount", account, "latest") == before + len(DEPLOYED)
    bare("market", "deploy", *MODEL_OWNER)
    assert connection.quantity("eth_getTransactionCount", account, "latest") == before + 2 * len(DEPLOYED)
