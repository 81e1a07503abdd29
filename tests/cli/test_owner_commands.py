"""A data owner's way from its home to its departure, and the process that works for it."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import stat
import subprocess
import sys
from typing import IO, cast

import pytest

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.crypto.address import Address
from omnilytics_flwr.data_owner.owner_home import OwnerHome
from omnilytics_flwr.evm.anvil import Anvil
from tests.chain.market_play import REWARD_WEI, Play, mask_key
from tests.support.nodes import Limit, limited

from .command_line import DATA_OWNER, MODEL_OWNER, CommandLine
from .conftest import PASSWORD

START_SECONDS = 60


def init(line: CommandLine, *more: str) -> dict[str, str]:
    made: dict[str, str] = line.json("owner", "init", "home", "--keystore", "a.json", "--password-file", "password", *more)
    return made


def test_init_makes_a_private_home_with_no_secret_in_it(line: CommandLine, market: EthereumLedger, account: Address) -> None:
    made = init(line, "--policy", "confirmations=3", "--policy", "most-clip = 1.5", "--policy", 'metrics=["accuracy", "loss"]')
    answer_wei = market.answer_cost_wei() // 2
    expected = {"home": "home", "account": account, "market": market.address, "chain_id": market.chain_id}
    assert made == expected | {"answer_today_wei": str(answer_wei)}
    assert answer_wei > 0
    home = OwnerHome.open(line.folder / "home")
    assert (home.config.market, home.config.chain_id, home.config.agent) == (market.address, market.chain_id, "process")
    assert home.config.factory is not None
    assert (home.policy.confirmations, home.policy.most_clip, home.policy.metrics) == (3, 1.5, ("accuracy", "loss"))
    assert stat.S_IMODE((line.folder / "home").stat().st_mode) == 0o700
    assert PASSWORD not in (line.folder / "home" / "owner.toml").read_text()
    assert home.wallet(market.connection).address == account
    assert "already" in line.refused("owner", "init", "home", "--keystore", "a.json")


def test_init_refuses_a_second_node_that_is_none_or_the_first_before_it_asks_any(line: CommandLine, unused_address: str) -> None:
    asks = ("owner", "init", "home", "--keystore", "a.json", "--rpc-url", unused_address, "--second-rpc-url")
    assert "is no address of a node" in line.misused(*asks, "nowhere")
    assert "names the node of rpc-url" in line.misused(*asks, unused_address.replace("127.0.0.1", "localhost"))


@pytest.mark.parametrize("command", ["init", "join"])
def test_node_that_would_not_pass_an_answer_on_is_told_before_anything_is_paid(
    line: CommandLine, market: EthereumLedger, account: Address, anvil: Anvil, command: str
) -> None:
    """A provider with a narrow limit on the bodies of requests: whoever learns of it when accused has lost the stake."""
    if command == "join":
        init(line)
    with limited(anvil.url, Limit(200_000)) as url:
        if command == "init":
            said = line.refused("owner", "init", "home", "--keystore", "a.json", "--rpc-url", url)
        else:
            file = line.folder / "home" / "owner.toml"
            file.write_text(file.read_text().replace(anvil.url, url))
            said = line.refused("join", "--home", "home")
    assert "this node takes no transaction with 1 blobs" in said
    assert "413" in said
    assert not market.owner_record(account).registered
    assert (line.folder / "home").exists() is (command == "join")


def test_init_names_the_folder_of_the_data_set_that_homes_share(line: CommandLine, market: EthereumLedger, account: Address) -> None:
    init(line, "--data-set", "scans")
    home = OwnerHome.open(line.folder / "home")
    home.journal()
    assert home.config.data_set == str((line.folder / "scans").resolve())
    assert stat.S_IMODE((line.folder / "scans").stat().st_mode) == 0o700, "made by the first home that needs it"


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("confirmations=-1", "Expected `int` >= 0"),
        ("colour=1", "unknown field `colour`"),
        ("least-reward-wei=1000000000000000000", "at least 1000000000000000000 wanted"),
        ("metrics=[accuracy]", "does not parse"),
    ],
)
def test_init_with_a_policy_that_does_not_do_makes_no_home(
    line: CommandLine, market: EthereumLedger, account: Address, policy: str, said: str
) -> None:
    assert said in line.refused("owner", "init", "home", "--keystore", "a.json", "--policy", policy)
    assert not (line.folder / "home").exists()


def test_init_in_a_place_that_is_no_folder_is_told(line: CommandLine, market: EthereumLedger, account: Address) -> None:
    (line.folder / "file").write_text("")
    assert "file" in line.refused("owner", "init", "file/home", "--keystore", "a.json")
    assert "NAME=VALUE" in line.misused("owner", "init", "home", "--keystore", "a.json", "--policy", "confirmations")


def test_join_enrols_with_a_mask_key_of_the_home_and_a_plan_leaves_no_trace(
    line: CommandLine, market: EthereumLedger, account: Address
) -> None:
    init(line, "--examples", "1200")
    plan = line.json("join", "--home", "home", "--dry-run")["transactions"]
    assert [(one["event"], one["from"], one["value_wei"]) for one in plan] == [("join", account, str(4 * REWARD_WEI))]
    assert sorted(path.name for path in (line.folder / "home").iterdir()) == ["owner.toml"]
    assert not market.owner_record(account).registered
    joined = line.json("join", "--home", "home")
    assert (joined["account"], joined["seat"], joined["enrolled"], joined["stake_wei"]) == (account, 0, True, str(4 * REWARD_WEI))
    assert plan[0]["gas"] == pytest.approx(joined["transactions"][0]["gas"], rel=0.05)
    receipt = market.connection.endpoint.request("eth_getTransactionReceipt", joined["transactions"][0]["transaction"])
    assert int(receipt["logs"][0]["data"][-64:], 16) == 1200, "the event's last field: examples"
    assert int(joined["answer_today_wei"]) > 0
    assert list((line.folder / "home" / "keys").glob("mask-*-0000000001.key"))
    assert line.json("join", "--home", "home", "--dry-run")["transactions"][0]["value_wei"] == "0"


def test_join_needs_a_home_and_its_password_and_leave_neither(line: CommandLine, market: EthereumLedger, account: Address) -> None:
    init(line)
    (line.folder / "wrong").write_text("wrong")
    assert "password is wrong" in line.refused("join", "--home", "home", "--password-file", "wrong")
    assert not market.owner_record(account).registered
    data_owner = Play.of(market).data[0]
    data_owner.join(mask_key(0))
    assert line.json("leave", *DATA_OWNER)["account"] == data_owner.account
    assert "omnilytics owner init" in line.misused("join")
    assert "there is no owner home at none" in line.refused("join", "--home", "none")
    assert "there is no owner home at none" in line.refused("agent", "none")


def test_leave_and_depart_return_the_stake_after_the_delay(
    line: CommandLine, market: EthereumLedger, account: Address, anvil: Anvil
) -> None:
    init(line)
    line("join", "--home", "home")
    assert "has not given notice" in line.refused("depart", "--home", "home")
    assert line.json("leave", "--home", "home", "--dry-run")["transactions"][0]["event"] == "leave"
    assert market.owner_record(account).leave_at == 0
    left = line.json("leave", "--home", "home")
    assert left["leave_at"] == left["events"]["Left"]["leave_at"] == market.owner_record(account).leave_at
    assert "(in " in line("wallet", "show", "--home", "home")
    assert re.search(r"allowed from 20\d\d-.* UTC on", line.refused("depart", "--home", "home"))
    anvil.increase_time(market.terms().leave_seconds)
    before = market.connection.balance_wei(account)
    assert line.json("depart", "--home", "home", "--dry-run")["transactions"][0]["call"] == f"depart(owner={account})"
    departed = line.json("depart", "--owner", account, *MODEL_OWNER)
    assert (departed["role"], departed["account"]) == ("none", account)
    assert market.connection.balance_wei(account) == before + 4 * REWARD_WEI
    assert "has no seat" in line.refused("leave", "--home", "home")


def test_agent_serves_until_it_is_terminated(line: CommandLine, market: EthereumLedger, account: Address, anvil: Anvil) -> None:
    init(line)
    line("join", "--home", "home")
    command = [sys.executable, "-m", "omnilytics_flwr", "agent", "home", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ, text=True) as process:
        try:
            output = cast("IO[str]", process.stdout)
            assert select.select([output], [], [], START_SECONDS)[0], "the agent said nothing"
            said = ""
            while not said.rstrip().endswith("}"):
                more = output.readline()
                assert more, cast("IO[str]", process.stderr).read()
                said += more
            assert json.loads(said) == {"home": "home", "market": market.address, "ready": True}
            assert "already" in line.refused("agent", "home")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(START_SECONDS) == 0
