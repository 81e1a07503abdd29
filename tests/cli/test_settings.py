"""Where settings come from: flags before environment, environment before the file, the owner home before both but not before flags."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.cli.main import main
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_key

from .command_line import DATA_OWNER, CommandLine

ROW = re.compile(r"^\| `--([\w-]+)` \| (?:`(\w+)`)? ?\| (?:`([\w-]+)`)? ?\|", re.MULTILINE)
"""Flag, variable and entry in the documentation's table."""


@pytest.fixture
def usual(bare: CommandLine) -> Path:
    """Place of the usual configuration file."""
    path = bare.folder / "config" / "omnilytics" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def address_of(number: int) -> str:
    return Wallet(Secret(dev_key(number))).address


def test_file_speaks_where_flags_and_environment_are_silent(
    line: CommandLine, usual: Path, market: EthereumLedger, anvil: Anvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMNILYTICS_RPC_URL", "OMNILYTICS_MARKET"):
        monkeypatch.delenv(name)
    assert "--rpc-url, OMNILYTICS_RPC_URL or rpc-url in the configuration" in line.misused("market", "show")
    usual.write_text(f'rpc-url = "{anvil.url}"\nmarket = "{market.address}"\ndev-account = 3\n')
    assert line.json("market", "show")["market"] == market.address
    assert line.json("wallet", "show")["address"] == address_of(3)
    assert line.json("wallet", "show")["markets"][0]["market"] == market.address
    assert line.json("wallet", "show", "--dev-account", "4")["address"] == address_of(4)


def test_environment_goes_before_the_file_and_flags_before_both(
    line: CommandLine, usual: Path, market: EthereumLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual.write_text(f'market = "{address_of(1)}"\n')
    assert line.json("market", "show")["market"] == market.address
    assert address_of(2) in line.refused("market", "show", "--market", address_of(2))
    monkeypatch.delenv("OMNILYTICS_MARKET")
    assert address_of(1) in line.refused("market", "show")


def test_named_file_is_read_instead_and_its_paths_are_relative_to_it(
    bare: CommandLine, usual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual.write_text('keystore = "nowhere.json"\n')
    monkeypatch.setenv("OMNILYTICS_PASSWORD", "x")
    (bare.folder / "here").mkdir()
    made = bare.json("wallet", "new", "--keystore", "here/a.json")
    (bare.folder / "here" / "c.toml").write_text('keystore = "a.json"\n')
    assert bare.json("wallet", "show", "--config", "here/c.toml")["address"] == made["address"]
    monkeypatch.setenv("OMNILYTICS_CONFIG", "here/c.toml")
    assert bare.json("wallet", "show")["address"] == made["address"]
    monkeypatch.delenv("OMNILYTICS_CONFIG")
    assert str(usual.parent / "nowhere.json") in bare.refused("wallet", "show")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = 1", "unknown entries colour"),
        ("chain-id = 'one'", "chain-id is 'one'; expected a number"),
        ("chain-id = true", "expected a number"),
        ("market = 1", "expected text"),
        ("market", "does not parse"),
        ("market = 'x'", "is not an address"),
    ],
)
def test_file_that_is_wrong_or_not_there_is_told(bare: CommandLine, usual: Path, text: str, said: str) -> None:
    usual.write_text(text)
    assert said in bare.misused("market", "show")
    assert "cannot be read" in bare.misused("market", "show", "--config", "none.toml")


def options_of(command: click.Command) -> Iterator[click.Option]:
    yield from (parameter for parameter in command.params if isinstance(parameter, click.Option))
    for part in command.commands.values() if isinstance(command, click.Group) else ():
        yield from options_of(part)


def test_flags_variables_and_entries_are_those_that_the_documentation_lists(bare: CommandLine, usual: Path) -> None:
    rows = ROW.findall((Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text())
    usual.write_text("colour = 1")
    known = bare.misused("market", "show").partition("known are ")[2]
    assert {entry for *_, entry in rows} - {""} == set(re.findall(r"[\w-]+", known))
    assert {flag: variable for flag, variable, _ in rows} == {
        option.opts[0].removeprefix("--"): option.envvar for option in options_of(main) if option.envvar
    }


@pytest.fixture
def keystore(usual: Path) -> str:
    """Address of a wallet beside the usual configuration file, which states it and is never opened."""
    (usual.parent / "a.json").write_text(json.dumps({"address": address_of(4)}))
    return address_of(4)


def test_account_of_the_environment_goes_before_that_of_the_file_and_a_keystore_before_a_bare_key(
    bare: CommandLine, usual: Path, keystore: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual.write_text("dev-account = 3\n")
    assert "a development account needs its chain" in bare.refused("wallet", "show")
    monkeypatch.setenv("OMNILYTICS_DEV_ACCOUNT", "")
    monkeypatch.setenv("OMNILYTICS_KEYSTORE", str(usual.parent / "a.json"))
    assert bare.json("wallet", "show")["address"] == keystore
    monkeypatch.delenv("OMNILYTICS_KEYSTORE")
    usual.write_text('keystore = "a.json"\n')
    assert bare.json("wallet", "show")["address"] == keystore
    monkeypatch.setenv("OMNILYTICS_DEV_ACCOUNT", "3")
    assert "a development account needs its chain" in bare.refused("wallet", "show")
    assert bare.json("wallet", "show", "--keystore", str(usual.parent / "a.json"))["address"] == keystore
    monkeypatch.delenv("OMNILYTICS_DEV_ACCOUNT")
    monkeypatch.setenv("OMNILYTICS_PRIVATE_KEY", dev_key(5).hex())
    assert bare.json("wallet", "show")["address"] == address_of(5)
    monkeypatch.setenv("OMNILYTICS_KEYSTORE", str(usual.parent / "a.json"))
    assert bare.json("wallet", "show")["address"] == keystore


def test_two_accounts_in_one_place_are_refused(bare: CommandLine, usual: Path, keystore: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual.write_text('keystore = "a.json"\ndev-account = 3\n')
    assert "name two accounts" in bare.misused("wallet", "show")
    usual.write_text("")
    monkeypatch.setenv("OMNILYTICS_KEYSTORE", str(usual.parent / "a.json"))
    monkeypatch.setenv("OMNILYTICS_DEV_ACCOUNT", "3")
    assert "name two accounts" in bare.misused("wallet", "show")
    assert "name two accounts" in bare.misused("wallet", "show", "--keystore", "a.json", "--dev-account", "1")
    assert bare.json("wallet", "show", "--keystore", str(usual.parent / "a.json"))["address"] == keystore


def test_home_names_chain_market_and_account_but_flags_go_first(
    line: CommandLine, market: EthereumLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    line("owner", "init", "home", *DATA_OWNER)
    for name in ("OMNILYTICS_RPC_URL", "OMNILYTICS_MARKET"):
        monkeypatch.setenv(name, "http://127.0.0.1:1" if "URL" in name else address_of(9))
    monkeypatch.setenv("OMNILYTICS_OWNER_HOME", "home")
    shown = line.json("wallet", "show")
    assert (shown["address"], shown["markets"][0]["market"]) == (address_of(1), market.address)
    assert line.json("wallet", "show", "--dev-account", "2")["address"] == address_of(2)
    assert "does not answer" in line.refused("wallet", "show", "--rpc-url", "http://127.0.0.1:1")


@pytest.mark.parametrize("text", ["[]", "{", '{"31337": {}}', '{"31337": 1}'])
def test_deployments_that_are_none_are_told(line: CommandLine, text: str) -> None:
    (line.folder / "bad.json").write_text(text)
    assert "holds no deployments" in line.misused("market", "list", "--deployments", "bad.json")
