"""Wallets: made, imported and shown without Flower or PyTorch, and never a secret on the command line."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_key
from tests.chain.market_play import REWARD_WEI, Play, mask_key

from .command_line import DATA_OWNER, MODEL_OWNER, CommandLine, run_without
from .conftest import PASSWORD


def opened(path: Path, password: str = PASSWORD) -> str:
    return Wallet.from_keystore(path, Secret(password.encode())).address


def test_new_wallet_opens_with_its_password_and_is_private(bare: CommandLine, password_file: str) -> None:
    made = bare.json("wallet", "new", "--keystore", "a.json", "--password-file", password_file)
    path = bare.folder / "a.json"
    assert opened(path) == made["address"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["version"] == 3
    assert bare.json("wallet", "show", "--keystore", "a.json") == {"address": made["address"]}
    kept = path.read_bytes()
    assert "already" in bare.refused("wallet", "new", "--keystore", "a.json", "--password-file", password_file)
    assert path.read_bytes() == kept


def test_new_wallet_without_a_path_is_where_every_command_looks(bare: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNILYTICS_PASSWORD", PASSWORD)
    assert "omnilytics wallet new" in bare.refused("wallet", "show")
    made = bare.json("wallet", "new")
    assert Path(made["keystore"]).is_relative_to(bare.folder / "config")
    assert bare.json("wallet", "show")["address"] == made["address"] == opened(Path(made["keystore"]))


def test_new_wallet_asks_twice_for_its_password(bare: CommandLine) -> None:
    said = bare("wallet", "new", "--keystore", "a.json", typed=f"{PASSWORD}\nother\n{PASSWORD}\n{PASSWORD}\n")
    assert opened(bare.folder / "a.json") in said
    assert PASSWORD not in said


def test_new_wallet_that_nobody_gives_a_password_is_not_made(bare: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--password-file or OMNILYTICS_PASSWORD" in bare.refused("wallet", "new", "--keystore", "a.json", typed="")
    monkeypatch.setenv("OMNILYTICS_PASSWORD", "")
    assert "empty" in bare.refused("wallet", "new", "--keystore", "a.json")
    assert "cannot be read" in bare.refused("wallet", "new", "--keystore", "a.json", "--password-file", "none")
    assert not (bare.folder / "a.json").exists()


@pytest.mark.parametrize("way", ["file", "environment", "prompt"])
def test_imported_key_is_that_account(bare: CommandLine, password_file: str, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    key, typed, arguments = "0x" + dev_key(5).hex(), None, []
    if way == "file":
        (bare.folder / "key").write_text(key + "\n")
        arguments = ["--private-key-file", "key"]
    elif way == "environment":
        monkeypatch.setenv("OMNILYTICS_PRIVATE_KEY", key)
    else:
        typed = key + "\n"
    said = bare("wallet", "import", "--keystore", "a.json", "--password-file", password_file, *arguments, typed=typed)
    assert opened(bare.folder / "a.json") == Wallet(Secret(dev_key(5))).address
    assert key[2:] not in said


@pytest.mark.parametrize("key", ["", "xyz", "0x12", "00" * 32, "ff" * 32])
def test_imported_key_that_is_none_is_refused_without_showing_it(bare: CommandLine, password_file: str, key: str) -> None:
    (bare.folder / "key").write_text(key)
    said = bare.refused("wallet", "import", "--private-key-file", "key", "--keystore", "a.json", "--password-file", password_file)
    assert "no private key" in said
    assert not key or key not in said
    assert not (bare.folder / "a.json").exists()


def test_keystore_without_an_address_is_opened_to_show_it(bare: CommandLine, password_file: str) -> None:
    made = bare.json("wallet", "new", "--keystore", "a.json", "--password-file", password_file)
    path = bare.folder / "a.json"
    keystore = json.loads(path.read_text())
    del keystore["address"]
    path.write_text(json.dumps(keystore))
    assert bare.json("wallet", "show", "--keystore", "a.json", "--password-file", password_file) == {"address": made["address"]}
    assert "nobody answered" in bare.refused("wallet", "show", "--keystore", "a.json")


def test_wrong_password_is_told_and_nothing_is_sent(
    line: CommandLine, market: EthereumLedger, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNILYTICS_PASSWORD", "wrong")
    assert "the password is wrong" in line.refused("market", "fund", "1 wei", "--keystore", "a.json")
    assert "the keystore b.json cannot be read" in line.refused("market", "fund", "1 wei", "--keystore", "b.json")
    (line.folder / "c.json").write_text("{}")
    assert "no keystore of version 3" in line.refused("market", "fund", "1 wei", "--keystore", "c.json")
    assert market.state().escrow_wei == 0


def test_show_tells_what_markets_hold(line: CommandLine, drawn: Play, market: EthereumLedger) -> None:
    data_owner = Play.of(market).data[0]
    data_owner.join(mask_key(0))
    market.fund(7)
    shown = line.json("wallet", "show", *DATA_OWNER)
    assert shown["address"] == data_owner.account
    assert shown["chain_id"] == market.chain_id
    assert int(shown["balance_wei"]) == market.connection.balance_wei(data_owner.account)
    (held,) = shown["markets"]
    assert held["market"] == market.address
    assert (held["role"], held["seat"], held["enrolled"], held["in_epoch"]) == ("data owner", 0, True, False)
    assert (held["stake_wei"], held["claimable_wei"], held["credit_wei"]) == (str(4 * REWARD_WEI), "0", "0")
    market.close()
    everywhere = ("wallet", "show", "--all-markets")
    assert {row["market"] for row in line.json(*everywhere, *DATA_OWNER)["markets"]} >= {market.address, drawn.owner.address}
    assert line.json(*everywhere, "--address", "0x" + "11" * 20)["markets"] == []
    (held,) = line.json("wallet", "show", "--market", market.address, *MODEL_OWNER)["markets"]
    assert (held["role"], held["seat"], held["stake_wei"], held["credit_wei"], held["refund_wei"]) == ("model owner", None, "0", "7", "0")
    assert "0.004 ether" in line("wallet", "show", *DATA_OWNER)


def test_wallet_and_join_work_where_flower_and_torch_are_not_installed(line: CommandLine, market: EthereumLedger, anvil: Anvil) -> None:
    def run(*arguments: str) -> str:
        done = run_without({"flwr", "torch", "torchvision", "ray"}, *arguments, OMNILYTICS_PASSWORD=PASSWORD)
        assert done.returncode == 0, done.stderr
        return done.stdout

    made = json.loads(run("wallet", "new", "--keystore", "a.json", "--json"))["address"]
    anvil.endpoint.request("anvil_setBalance", made, hex(10**18))
    assert made in run("wallet", "show", "--keystore", "a.json", "--rpc-url", anvil.url, "--market", market.address)
    run("owner", "init", "home", "--keystore", "a.json")
    assert json.loads(run("join", "--home", "home", "--json"))["seat"] == 0
    assert market.owner_record(made).registered
