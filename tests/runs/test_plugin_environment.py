"""The market that a server's operator names by environment variables, and every way to name it wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnilytics_flwr import open_market
from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.environment import ACCOUNT_VARIABLES
from omnilytics_flwr.errors import ChainError, OmnilyticsError, TermsError, UnknownMarket, WrongChain
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_key
from tests.chain.market_play import create_small_market

PASSWORD = "correct horse"


@pytest.fixture
def ledger(connection: Connection, deployment: Deployment) -> EthereumLedger:
    """A market of development account 0."""
    return create_small_market(connection, deployment)


@pytest.fixture
def environment(anvil: Anvil, ledger: EthereumLedger) -> dict[str, str]:
    return {"OMNILYTICS_RPC_URL": anvil.url, "OMNILYTICS_MARKET": ledger.address, "OMNILYTICS_DEV_ACCOUNT": "0"}


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "wallet.json"
    Wallet(Secret(dev_key(0))).save_keystore(path, Secret(PASSWORD.encode()))
    return path


def test_account_is_found_wherever_it_is_kept(
    environment: dict[str, str], ledger: EthereumLedger, keystore: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    bare = {name: value for name, value in environment.items() if name != "OMNILYTICS_DEV_ACCOUNT"}
    places = [
        {"OMNILYTICS_DEV_ACCOUNT": "0"},
        {"OMNILYTICS_PRIVATE_KEY": dev_key(0).hex()},
        {"OMNILYTICS_KEYSTORE": str(keystore), "OMNILYTICS_PASSWORD_FILE": str(tmp_path / "password")},
        {"OMNILYTICS_KEYSTORE": str(keystore), "OMNILYTICS_PASSWORD": PASSWORD},
    ]
    for place in places:
        opened = open_market(environment=bare | place | {"OMNILYTICS_CHAIN_ID": str(ledger.chain_id)})
        assert (opened.address, opened.account, opened.terms()) == (ledger.address, ledger.account, ledger.terms())
    with pytest.raises(ChainError, match="the password is wrong") as caught:
        open_market(environment=bare | {"OMNILYTICS_KEYSTORE": str(keystore), "OMNILYTICS_PASSWORD": "battery staple"})
    assert "battery" not in str(caught.value)
    for name in ACCOUNT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert open_market().address == ledger.address, "the environment of the process is read when it is called"


WRONG: dict[str, tuple[dict[str, str], type[OmnilyticsError], str]] = {
    "no endpoint": ({"OMNILYTICS_RPC_URL": " "}, ChainError, "OMNILYTICS_RPC_URL is not set; expected the JSON-RPC address"),
    "no market": ({"OMNILYTICS_MARKET": ""}, ChainError, "OMNILYTICS_MARKET is not set; expected the address of a market"),
    "no address": ({"OMNILYTICS_MARKET": "0x12"}, ChainError, "OMNILYTICS_MARKET: '0x12' is not an address"),
    "no number": ({"OMNILYTICS_CHAIN_ID": "mainnet"}, ChainError, "OMNILYTICS_CHAIN_ID is 'mainnet', expected a number"),
    "another chain": ({"OMNILYTICS_CHAIN_ID": "1"}, WrongChain, "serves chain 31337, expected 1"),
    "no account": ({"OMNILYTICS_DEV_ACCOUNT": ""}, ChainError, "no account is named; expected exactly one of OMNILYTICS_KEYSTORE"),
    "two accounts": ({"OMNILYTICS_PRIVATE_KEY": "12"}, ChainError, "OMNILYTICS_PRIVATE_KEY and OMNILYTICS_DEV_ACCOUNT name 2 accounts"),
    "another account": ({"OMNILYTICS_DEV_ACCOUNT": "1"}, TermsError, "is not the model owner of market"),
    "account no number": ({"OMNILYTICS_DEV_ACCOUNT": "first"}, ChainError, "OMNILYTICS_DEV_ACCOUNT is 'first', expected a number"),
    "market elsewhere": ({"OMNILYTICS_MARKET": "0x" + "11" * 20}, UnknownMarket, "0x1111"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_named_wrongly_is_refused_with_a_remedy(environment: dict[str, str], case: str) -> None:
    changes, kind, reason = WRONG[case]
    with pytest.raises(kind, match=reason):
        open_market(environment=environment | changes)
