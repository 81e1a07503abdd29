"""A model owner's commands on a real chain: planned, done, refused."""

from __future__ import annotations

import json

import pytest

from omnilytics_flwr.chain.chain_support import L1_BLOCK
from omnilytics_flwr.chain.deploy import DEPLOYED, Deployment, create_market
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.refusals import NotAdmitted
from omnilytics_flwr.market.terms import Address
from omnilytics_flwr.market.terms_bounds import norm_bound_steps
from tests.chain.market_play import mask_key, small_terms
from tests.support.nodes import FaultyNode

from .command_line import DATA_OWNER, MODEL_OWNER, CommandLine

NOBODY = "0x" + "12" * 20
TERMS = """
reward = "0.001 ether"
stake = "0.004 ether"
bond = "0.0015 ether"
most-owners = 18
group-size = 3
weights = 100
clip = 1.0
norm = 3.0
rounds-per-epoch = 2
metrics = ["accuracy"]
"""


def nonce(connection: Connection) -> int:
    return connection.quantity("eth_getTransactionCount", dev_wallet(0, connection).address, "pending")


@pytest.fixture
def terms(line: CommandLine) -> str:
    (line.folder / "terms.toml").write_text(TERMS)
    return "terms.toml"


def test_deploy_notes_a_deployment_that_the_other_commands_find(
    bare: CommandLine, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNILYTICS_RPC_URL", connection.endpoint.url)
    assert "omnilytics market deploy" in bare.refused("market", "list")
    before = nonce(connection)
    plan = bare.json("market", "deploy", "--dry-run", *MODEL_OWNER)
    assert nonce(connection) == before
    made = bare.json("market", "deploy", *MODEL_OWNER)
    assert nonce(connection) == before + len(DEPLOYED) == before + len(plan["transactions"])
    assert sum(one["gas"] for one in plan["transactions"]) == pytest.approx(made["gas"], rel=0.01)
    noted = json.loads((bare.folder / "config" / "omnilytics" / "deployments.json").read_text())
    assert noted[str(connection.chain_id)]["factory"] == made["factory"]
    assert bare.json("market", "list") == []
    assert "omnilytics market create" in bare("market", "list")


def test_deployment_of_another_chain_is_kept_and_one_that_is_not_there_is_told(bare: CommandLine, connection: Connection) -> None:
    other = dict.fromkeys(("verification", "computed", "implementation", "factory", "gate"), NOBODY) | {"block": 5}
    known, options = bare.folder / "d.json", ("--deployments", "d.json", "--rpc-url", connection.endpoint.url)
    known.write_text(json.dumps({"1": other}))
    bare("market", "deploy", *options, *MODEL_OWNER)
    noted = json.loads(known.read_text())
    assert (set(noted), noted["1"]) == ({"1", str(connection.chain_id)}, other)
    known.write_text(json.dumps({str(connection.chain_id): other}))
    assert "is not SumcheckVerification of this version" in bare.refused("market", "list", *options)


def test_create_makes_the_market_of_the_terms(line: CommandLine, connection: Connection, deployment: Deployment, terms: str) -> None:
    before = nonce(connection)
    (plan,) = line.json("market", "create", "--terms", terms, "--dry-run", *MODEL_OWNER)["transactions"]
    assert nonce(connection) == before
    assert (plan["event"], plan["to"]) == ("create", deployment.factory)
    made = line.json("market", "create", "--terms", terms, *MODEL_OWNER)
    assert plan["gas"] == pytest.approx(made["gas"], rel=0.01)
    assert int(made["fee_wei"]) <= int(plan["most_fee_wei"])
    ledger = EthereumLedger(sender_for(connection, dev_wallet(0, connection)), made["market"])
    expected = small_terms(
        deployment,
        metrics=("accuracy",),
        bond_wei=15 * 10**14,
        norm_bound=norm_bound_steps(3.0, clip=1.0, update_bits=16),
        draw_delay_blocks=128,
        outlier_percent=200,
    )
    assert ledger.terms() == expected
    assert made["terms_hash"] == "0x" + ledger.terms_hash().hex()
    assert ledger.model_owner == made["model_owner"]


def test_create_says_that_data_owners_would_refuse_a_draw_after_so_few_blocks(
    line: CommandLine, connection: Connection, node: FaultyNode, account: Address, terms: str
) -> None:
    node.falsifying["web3_clientVersion"] = lambda answer: answer | {"result": "Geth/v1.16.5"}
    plan = ("market", "create", "--terms", terms, "--dry-run", "--keystore", "a.json", "--rpc-url", node.url)
    assert "would refuse" not in line(*plan)
    connection.request("anvil_setCode", L1_BLOCK, "0x00")
    assert "at least 1,300 blocks after the freeze, by their usual policy, and would refuse" in line(*plan).replace("\n", " ")


def test_invited_data_owner_may_join_and_nobody_else(line: CommandLine, connection: Connection, terms: str) -> None:
    address = line.json("market", "create", "--terms", terms, "--by-invitation", *MODEL_OWNER)["market"]
    guest, other = (EthereumLedger(sender_for(connection, dev_wallet(number, connection)), address) for number in (1, 2))
    line("owner", "init", "home", "--market", address, *DATA_OWNER)
    invite = ("market", "invite", guest.account, "--market", address)
    assert "is not the model owner" in line.refused(*invite, *DATA_OWNER)
    made = line.json(*invite, *MODEL_OWNER)
    assert (made["owner"], made["through_epoch"]) == (guest.account, 1)
    with pytest.raises(NotAdmitted):
        other.join(mask_key(2), bytes.fromhex(made["admission_data"][2:]))
    assert "admission" in line.refused("join", "--home", "home")
    line("join", "--home", "home", "--admission-data", made["admission_data"])
    assert guest.owner_record(guest.account).registered


def test_invite_market_that_is_open_to_all_is_refused(line: CommandLine, market: EthereumLedger) -> None:
    assert "not joined by voucher" in line.refused("market", "invite", NOBODY, *MODEL_OWNER)


def test_market_without_accusations_is_made_by_its_terms(line: CommandLine, connection: Connection, terms: str) -> None:
    (line.folder / terms).write_text(TERMS + "answer-seconds = 0\n")
    address = line.json("market", "create", "--terms", terms, *MODEL_OWNER)["market"]
    ledger = EthereumLedger(sender_for(connection, dev_wallet(0, connection)), address)
    assert (ledger.terms().answer_seconds, ledger.answer_cost_wei()) == (0, 0)


def test_create_with_wrong_terms_is_refused(line: CommandLine, connection: Connection) -> None:
    (line.folder / "wrong.toml").write_text(TERMS.replace("group-size = 3", "group-size = 2"))
    before = nonce(connection)
    assert "groupSize is 2, it must lie in 3 .. 16" in line.refused("market", "create", "--terms", "wrong.toml", *MODEL_OWNER)
    assert "none.toml" in line.refused("market", "create", "--terms", "none.toml", *MODEL_OWNER)
    assert nonce(connection) == before


def test_list_has_the_newest_first(line: CommandLine, connection: Connection, deployment: Deployment, market: EthereumLedger) -> None:
    other = create_market(sender_for(connection, dev_wallet(7, connection)), deployment, small_terms(deployment))
    listed = [row["market"] for row in line.json("market", "list")]
    assert listed[:2] == [other, market.address]
    assert [row["market"] for row in line.json("market", "list", "--newest", "1")] == [other]
    own = line.json("market", "list", "--model-owner", dev_wallet(7, connection).address)
    assert [row["market"] for row in own] == [other]
    assert (own[0]["stage"], own[0]["owners"], own[0]["reward_wei"]) == ("enrolling", "0/18", str(10**15))
    said = line("market", "list")
    assert other in said
    assert "0.001 ether" in said


def test_show_has_state_terms_and_trust(line: CommandLine, market: EthereumLedger) -> None:
    market.fund(10**18)
    shown = line.json("market", "show")
    assert (shown["market"], shown["model_owner"]) == (market.address, market.model_owner)
    assert (shown["of_known_factory"], shown["known_verification"], shown["public_sums"]) == (True, True, False)
    state, terms = shown["state"], shown["terms"]
    assert (state["stage"], state["escrow_wei"], state["enrolled"], state["disputes_wei"]) == ("enrolling", str(10**18), [], "0")
    assert (terms["stake_wei"], terms["weights"], terms["metrics"]) == (str(4 * 10**15), 100, ["accuracy", "loss"])
    assert terms["leave_seconds"] == market.terms().leave_seconds
    said = line("market", "show")
    assert "1 ether" in said
    assert "Everybody may join." in said
    assert "open to all" in line("market", "show", "--all")


def test_show_market_that_the_factory_has_not_made_is_marked(line: CommandLine, market: EthereumLedger, connection: Connection) -> None:
    code, copy = connection.code(market.address), "0x" + "77" * 20
    connection.request("anvil_setCode", copy, "0x" + code.hex())
    assert line.json("market", "show", "--market", copy)["of_known_factory"] is False
    assert "may be forged" in line.refused("owner", "init", "home", "--market", copy, *DATA_OWNER)


def test_fund_adds_to_the_escrow_what_the_plan_said(line: CommandLine, market: EthereumLedger, connection: Connection) -> None:
    before = nonce(connection)
    plan = line.json("market", "fund", "1.5 ether", "--dry-run", *MODEL_OWNER)
    assert (plan["dry_run"], nonce(connection), market.state().escrow_wei) == (True, before, 0)
    (one,) = plan["transactions"]
    assert (one["event"], one["from"], one["to"], one["value_wei"]) == ("fund", market.account, market.address, str(15 * 10**17))
    assert one["call"] == f"fund(amountWei={15 * 10**17})"
    done = line.json("market", "fund", "1.5 ether", *MODEL_OWNER)
    (sent,) = done["transactions"]
    assert sent["gas"] <= one["gas"] <= 1.02 * sent["gas"]
    assert int(sent["fee_wei"]) <= int(one["most_fee_wei"])
    assert done["escrow_wei"] == done["events"]["Funded"]["amount_wei"] == str(market.state().escrow_wei) == str(15 * 10**17)
    assert "1.5 ether" in line("market", "fund", "1.5 ether", "--dry-run", *MODEL_OWNER)
    assert "'-1 ether' is no amount" in line.misused("market", "fund", "--", "-1 ether")


def test_fund_waits_for_confirmations(line: CommandLine, market: EthereumLedger, connection: Connection) -> None:
    connection.request("evm_setIntervalMining", 1)
    try:
        block = line.json("market", "fund", "1 wei", "--confirmations", "1", *MODEL_OWNER)["transactions"][0]["block"]
        assert connection.block_number() >= block + 1
    finally:
        connection.request("evm_setIntervalMining", 0)


def test_close_credits_what_withdraw_then_pays(line: CommandLine, market: EthereumLedger, connection: Connection) -> None:
    market.fund(10**18)
    assert "--yes" in line.refused("market", "close", *MODEL_OWNER)
    assert line.json("market", "close", "--dry-run", *MODEL_OWNER)["transactions"][0]["event"] == "close"
    assert market.state().stage.name == "ENROLLING"
    assert "1 ether" in line("market", "close", "--yes", *MODEL_OWNER)
    (plan,) = line.json("withdraw", "--dry-run", *MODEL_OWNER)["transactions"]
    assert (plan["event"], market.state().credits_wei) == ("withdraw", 10**18)
    before = connection.balance_wei(market.account)
    (paid,) = line.json("withdraw", *MODEL_OWNER)["transactions"]
    assert connection.balance_wei(market.account) == before + 10**18 - int(paid["fee_wei"])
    assert "nothing is credited" in line.refused("withdraw", *MODEL_OWNER)


def test_close_asks_at_a_terminal(line: CommandLine, market: EthereumLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnilytics_flwr.cli.market_commands._is_interactive", lambda: True)
    for answer, stage in (("n\n", "ENROLLING"), ("y\n", "CLOSED")):
        code, _, complaint = line.run(("market", "close", *MODEL_OWNER), answer)
        assert (code == 1) == ("Aborted" in complaint) == (market.state().stage.name == "ENROLLING")
        assert market.state().stage.name == stage


def test_account_without_funds_is_told_how_much_it_lacks_and_a_plan_needs_no_password(
    line: CommandLine, poor: str, connection: Connection
) -> None:
    for more in (["--password-file", "password"], ["--dry-run"]):
        said = line.refused("market", "fund", "1 ether", "--keystore", "a.json", *more)
        assert f"{poor} lacks 1 ether" in said
        assert "send it the difference" in said
    connection.request("anvil_setBalance", poor, hex(10**18))
    assert line.json("market", "fund", "1 wei", "--dry-run", "--keystore", "a.json")["transactions"][0]["from"] == poor


def test_unknown_market_wrong_chain_stranger_and_wrong_stage_are_told(
    line: CommandLine, market: EthereumLedger, connection: Connection, unused_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is no contract; expected a market" in line.refused("market", "show", "--market", NOBODY)
    (newest,) = line.json("market", "list", "--newest", "1")
    assert newest["market"] == market.address
    assert f"serves chain {connection.chain_id}, expected 1" in line.refused("market", "show", "--chain-id", "1")
    assert "does not answer" in line.refused("market", "show", "--rpc-url", unused_address)
    assert "is no address of a node" in line.misused("market", "show", "--rpc-url", "ftp://127.0.0.1")
    assert "is not an address" in line.misused("market", "show", "--market", "0x12")
    assert "is not the model owner" in line.refused("market", "close", "--yes", *DATA_OWNER)
    assert "an epoch needs 15" in line.refused("epoch", "freeze", *MODEL_OWNER)
    assert "this needs open" in line.refused("round", "timeout", *MODEL_OWNER)
    monkeypatch.setattr("omnilytics_flwr.evm.connection.Connection.is_local", False)
    assert "not local" in line.refused("market", "fund", "1 wei", *MODEL_OWNER)


def test_show_leads_with_where_the_market_stands_and_the_next_step(line: CommandLine, market: EthereumLedger) -> None:
    said = line("market", "show")

    assert said.startswith("0 of 15 data owners have enrolled for epoch 1.\nNext: 15 more before omnilytics epoch freeze.\n")
    assert "Reward" in said
    assert "clip nano" not in said
    assert "clip nano" in line("market", "show", "--all")


def test_terms_that_do_not_fit_name_the_options_and_leave_no_file(bare: CommandLine) -> None:
    said = bare.refused("market", "terms-template", "--owners", "15", "--group-size", "4", "--output", "terms.toml")

    assert "change --owners (15), --group-size (4)" in said
    assert not (bare.folder / "terms.toml").exists()
    bare("market", "terms-template", "--output", "terms.toml")
    assert "reward =" in (bare.folder / "terms.toml").read_text()
