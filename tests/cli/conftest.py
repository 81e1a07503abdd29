"""Fixtures: the command line on a local chain, with a configuration folder of its own in every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.chain.known_deployments import json_of
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.terms import Address
from tests.chain.market_play import Play, create_small_market

from .command_line import CommandLine

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def quick_keystores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keystores that open at once: the usual ones take 0.8 s, whenever a command asks for the password."""

    def encrypt(account: LocalAccount, password: str) -> dict[str, object]:
        made: dict[str, object] = Account.encrypt(account.key, password, kdf="pbkdf2", iterations=2)
        return made

    monkeypatch.setattr(LocalAccount, "encrypt", encrypt)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line without a chain: nothing in the environment, nothing configured."""
    for name in [name for name in os.environ if name.startswith("OMNILYTICS_") and name != "OMNILYTICS_ANVIL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return CommandLine(tmp_path)


@pytest.fixture
def line(bare: CommandLine, deployment: Deployment, connection: Connection, anvil: Anvil, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line with endpoint and deployment in the environment."""
    path = bare.folder / "known.json"
    path.write_text(json_of({deployment.chain_id: deployment}))
    monkeypatch.setenv("OMNILYTICS_RPC_URL", anvil.url)
    monkeypatch.setenv("OMNILYTICS_DEPLOYMENTS", str(path))
    return bare


@pytest.fixture
def market(line: CommandLine, connection: Connection, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> EthereumLedger:
    """A new market of account 0 that nobody has joined, named in the environment."""
    ledger = create_small_market(connection, deployment)
    monkeypatch.setenv("OMNILYTICS_MARKET", ledger.address)
    return ledger


@pytest.fixture
def drawn(line: CommandLine, connection: Connection, drawn_address: Address, monkeypatch: pytest.MonkeyPatch) -> Play:
    """The market with drawn groups, named in the environment."""
    monkeypatch.setenv("OMNILYTICS_MARKET", drawn_address)
    return Play.of(EthereumLedger(sender_for(connection, dev_wallet(0, connection)), drawn_address))


@pytest.fixture
def password_file(bare: CommandLine) -> str:
    """A file that holds `PASSWORD`."""
    (bare.folder / "password").write_text(PASSWORD + "\n")
    return "password"


@pytest.fixture
def poor(line: CommandLine, market: EthereumLedger, password_file: str) -> Address:
    """Address of a new wallet, a.json, which has no ether."""
    return Address(line.json("wallet", "new", "--keystore", "a.json", "--password-file", password_file)["address"])


@pytest.fixture
def account(poor: Address, connection: Connection) -> Address:
    """Address of a new wallet, a.json, with one ether."""
    connection.request("anvil_setBalance", poor, hex(10**18))
    return poor
