"""The owner home: what its file says, what it refuses, and an agent from it on a real chain."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from omnilytics_flwr.chain.deploy import Deployment, create_market, deploy
from omnilytics_flwr.chain.market_reader import MarketReader
from omnilytics_flwr.crypto.address import Address
from omnilytics_flwr.data_owner import owner_home
from omnilytics_flwr.data_owner.owner_config import CONFIG_NAME, Account, OwnerConfig, agent_folder
from omnilytics_flwr.data_owner.owner_home import OwnerHome, check_trusted
from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.errors import Refused, TermsError, UnknownMarket, Unreachable, WrongChain
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.flower.mod import HOME_KEY, HOME_VARIABLE, agent_of_operator
from tests.data_owner.owners import make_wallet
from tests.support.builders import MARKET, address_of, make_terms

GOOD = f'rpc-url = "https://node.example/key"\nchain-id = 1\nmarket = "{MARKET}"\n[account]\ndevelopment = 1\n'


DEFAULTS: dict[str, Any] = {"rpc_url": "http://127.0.0.1:1", "chain_id": 31337, "market": MARKET, "account": {"development": 1}}


SAME = "/?another"
"""After an address: another one of the same node, as far as anybody can tell."""


def make_home(path: Path, **changes: Any) -> OwnerHome:
    return OwnerHome.create(path, **(DEFAULTS | changes))


def test_home_opens_as_it_was_made(tmp_path: Path) -> None:
    policy = {"least-group-size": 4, "most-clip": 2.5, "metrics": ["loss", "accuracy"], "app-hashes": ["ab" * 32]}
    keystore = {"keystore": 'a "key".json', "password-file": "pass word.txt"}
    changes: dict[str, Any] = {"policy": policy, "factory": address_of(3), "agent": "process"}
    changes |= {"run_folder": "run", "run_group": "flower", "data_set": "scans", "second_rpc_url": "http://127.0.0.1:2"}
    make_home(tmp_path / "a", account=keystore, **changes)
    home, account = OwnerHome.open(tmp_path / "a"), Account(keystore='a "key".json', password_file="pass word.txt")
    assert home.config == OwnerConfig(**(DEFAULTS | changes | {"account": account}))
    assert home.policy == Policy(least_group_size=4, most_clip=2.5, metrics=("loss", "accuracy"), app_hashes=(b"\xab" * 32,))
    assert home.work() == []
    assert home.socket_folder() == home.path / "run"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (home.path, home.path / CONFIG_NAME)] == [0o700, 0o600]


def test_entries_left_out_have_their_defaults(tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_text(GOOD.replace(MARKET, MARKET.lower()))
    home = OwnerHome.open(tmp_path)
    assert (home.config.market, home.config.factory, home.config.agent, home.policy) == (MARKET, None, "local", Policy())
    assert agent_folder(tmp_path, home.config) is None


def test_home_is_never_made_twice(tmp_path: Path) -> None:
    made = make_home(tmp_path)
    with pytest.raises(Refused, match="there is an owner home at"):
        make_home(tmp_path, chain_id=1)
    assert OwnerHome.open(tmp_path) == made


def test_no_home_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is no owner home at"):
        OwnerHome.open(tmp_path / "nothing")


PLACES = "account: expected either keystore"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("rpc-url = ", "Invalid"),
        ("x" * 70_000, "Expected"),
        ("a = " + "[" * 20_000, "Invalid value|recursion"),
        (b"\xff\xfe", "can't decode"),
        ('rpc-url = "http://x"\nchain-id = 1\n[account]\ndevelopment = 1\n', "missing required field `market`"),
        ("colour = 1\n" + GOOD, "unknown field `colour`"),
        (GOOD.replace("1", "true"), "Expected `int`, got `bool` - at `\\$.chain-id`"),
        (GOOD.replace(MARKET, "0x12"), "'0x12' is not an address"),
        (GOOD.replace(MARKET, MARKET.replace("F", "f")), "is not an address"),
        ('factory = "x"\n' + GOOD, "'x' is not an address"),
        ('agent = "thread"\n' + GOOD, "Invalid enum value 'thread' - at `\\$.agent`"),
        ('run-folder = "x"\n' + GOOD, 'run-folder needs agent = "process"'),
        ('agent = "process"\nrun-group = "x"\n' + GOOD, "run-group needs a run-folder"),
        (GOOD + "[policy]\nleast-grup-size = 1", "unknown field `least-grup-size`"),
        (GOOD.replace("development = 1", ""), PLACES),
        (GOOD.replace("development = 1", "environment = false"), PLACES),
        (GOOD.replace("development = 1", 'password-file = "x"'), PLACES),
        (GOOD + "environment = true", PLACES),
        (GOOD + 'password-file = "x"', PLACES),
        (GOOD.replace("development = 1", "development = -1"), "Expected `int` >= 0"),
    ],
)
def test_configuration_that_cannot_be_is_a_named_error(tmp_path: Path, content: str | bytes, reason: str) -> None:
    (tmp_path / CONFIG_NAME).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(TermsError, match=reason):
        OwnerHome.open(tmp_path)


TOML_VALUES = st.sampled_from(['"x"', "1", "true", "[]", "{}", "[1, 2]", f'"{MARKET}"', "1.5", "nan", "-3", "2020-01-01", '"process"'])
TOML_NAMES = st.sampled_from(["rpc-url", "chain-id", "market", "factory", "agent", "account", "policy", "colour"])


@settings(max_examples=200)
@given(st.one_of(st.text(max_size=80), st.dictionaries(TOML_NAMES, TOML_VALUES, min_size=3)))
def test_any_configuration_is_a_home_or_a_named_error(content: str | dict[str, str]) -> None:
    text = content if isinstance(content, str) else "\n".join(f"{name} = {value}" for name, value in content.items())
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG_NAME).write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(TermsError):
            assert OwnerHome.open(Path(folder)).config.market == MARKET


def test_home_that_could_not_be_opened_is_not_made(tmp_path: Path) -> None:
    for changes in ({"agent": "thread"}, {"account": {}}, {"policy": {"most-clip": "much"}}, {"market": "0x12"}):
        with pytest.raises(TermsError):
            make_home(tmp_path / "a", **changes)
    assert not (tmp_path / "a").exists()


@pytest.fixture
def market(connection: Connection, wallet: Wallet, deployment: Deployment) -> Address:
    """A market on the local chain that nobody has joined."""
    return create_market(sender_for(connection, wallet), deployment, make_terms(verification=deployment.verification))


def test_agent_of_a_market_that_the_factory_has_not_made_is_refused(
    tmp_path: Path, anvil: Anvil, wallet: Wallet, connection: Connection, deployment: Deployment, market: Address
) -> None:
    others = deploy(sender_for(connection, wallet))
    make_home(tmp_path / "ours", rpc_url=anvil.url, market=market, factory=deployment.factory).agent()
    with pytest.raises(UnknownMarket, match="has not created the market"):
        make_home(tmp_path / "others", rpc_url=anvil.url, market=market, factory=others.factory).agent()


def test_market_with_another_verification_is_refused_where_the_operator_wants_the_known_one(
    tmp_path: Path, anvil: Anvil, connection: Connection, deployment: Deployment, market: Address
) -> None:
    strict = {"known-verification": True}
    make_home(tmp_path / "before", rpc_url=anvil.url, market=market, policy=strict).agent()
    code = connection.code(deployment.verification)
    connection.request("anvil_setCode", deployment.verification, "0x" + code.hex() + "00")
    make_home(tmp_path / "lenient", rpc_url=anvil.url, market=market).agent()
    with pytest.raises(Refused, match=f"its verification {deployment.verification} is not of this version"):
        make_home(tmp_path / "strict", rpc_url=anvil.url, market=market, policy=strict).agent()


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ("htp://node.example", "second-rpc-url: 'htp://node.example' is no address of a node"),
        ("https://", "names no host"),
        ("https://two.example/secret,", "begins like none"),
        ("https://two.example:99999/secret", "host or port is none"),
        ("two.example/secret", "'two.example' is no address of a node"),
        ("https://NODE.example:443/key/", "second-rpc-url names the node of rpc-url"),
        ("https://two.example, https://user:word@node.example/key", "second-rpc-url names the node of rpc-url"),
    ],
)
def test_second_node_that_is_none_or_the_first_is_refused_where_it_is_read(tmp_path: Path, second: str, words: str) -> None:
    (tmp_path / CONFIG_NAME).write_text(f'second-rpc-url = "{second}"\n' + GOOD)
    with pytest.raises(TermsError, match=words) as caught:
        OwnerHome.open(tmp_path)
    assert "secret" not in str(caught.value)


def test_second_node_that_another_ledger_has_as_its_first_is_refused(tmp_path: Path, anvil: Anvil, market: Address) -> None:
    home = make_home(tmp_path, rpc_url=anvil.url, market=market, second_rpc_url=anvil.url + SAME)
    other = replace(home, config=structs.replace(home.config, rpc_url=anvil.url + SAME, second_rpc_url=None))
    with pytest.raises(Refused, match="names the node of rpc-url"):
        home.second_node(other.ledger())


def test_second_node_is_asked_from_the_start_and_must_serve_the_same_chain(tmp_path: Path, anvil: Anvil, market: Address) -> None:
    make_home(tmp_path / "same", rpc_url=anvil.url, market=market, second_rpc_url=anvil.url + SAME).agent()
    with Anvil(AnvilOptions(chain_id=4711)) as other, pytest.raises(WrongChain, match="serves chain 4711"):
        make_home(tmp_path / "other", rpc_url=anvil.url, market=market, second_rpc_url=other.url).agent()


def test_second_node_that_is_down_does_not_keep_an_agent_from_its_answers(
    tmp_path: Path, anvil: Anvil, market: Address, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_home, "SECOND_NODE_SECONDS", 0.2)
    agent = make_home(tmp_path, rpc_url=anvil.url, market=market, second_rpc_url="http://127.0.0.1:1").agent()
    assert "the second node says nothing" in caplog.text
    with pytest.raises(Unreachable):
        agent.join()


def test_second_node_must_trust_the_market_too(
    tmp_path: Path, anvil: Anvil, wallet: Wallet, connection: Connection, deployment: Deployment, market: Address
) -> None:
    """A bribed first node shows a market as the trusted factory's, and its verification as this version's."""
    others = deploy(sender_for(connection, wallet))
    home = make_home(tmp_path / "a", rpc_url=anvil.url, market=market, factory=deployment.factory, second_rpc_url=anvil.url + SAME)
    ledger = home.ledger()
    home.agent_for(ledger)
    forged = replace(home, config=structs.replace(home.config, factory=others.factory))
    with pytest.raises(UnknownMarket, match="has not created the market"):
        forged.agent_for(ledger)
    strict = make_home(
        tmp_path / "b", rpc_url=anvil.url, market=market, second_rpc_url=anvil.url + SAME, policy={"known-verification": True}
    )
    code = connection.code(deployment.verification)
    connection.request("anvil_setCode", deployment.verification, "0x" + code.hex() + "00")
    with pytest.raises(Refused, match="is not of this version"):
        strict.agent_for(ledger)


@pytest.mark.parametrize("end", ["", "00"], ids=["the shipped one", "of one byte more"])
def test_market_that_has_a_gate_is_refused_unless_peers_are_known(
    tmp_path: Path, anvil: Anvil, connection: Connection, wallet: Wallet, deployment: Deployment, end: str
) -> None:
    """On a chain of one's own all data owners are one's own."""
    terms = replace(make_terms(verification=deployment.verification), admission=deployment.gate)
    connection.request("anvil_setCode", deployment.gate, "0x" + connection.code(deployment.gate).hex() + end)
    gated = create_market(sender_for(connection, wallet), deployment, terms)
    make_home(tmp_path / "local", rpc_url=anvil.url, market=gated).agent()
    reader = MarketReader(connection, gated)
    connection.__dict__["is_local"] = False
    named = {"known-peers": [address_of(1)], "least-known-peers": 1}
    check_trusted(reader, deployment.factory, Policy.from_mapping(named))
    for policy in ({}, {"known-peers": [address_of(1)]}):
        with pytest.raises(Refused, match=r"its gate decides who joins.* name data owners that you know in known-peers"):
            check_trusted(reader, deployment.factory, Policy.from_mapping(policy))


def test_agent_of_a_home_joins_its_market(tmp_path: Path, anvil: Anvil, connection: Connection, market: Address) -> None:
    agent = make_home(tmp_path, rpc_url=anvil.url, market=market).agent()
    agent.join()
    assert agent.ledger.owner_record(dev_wallet(1, connection).address).registered
    assert [key.name for key in (tmp_path / "keys").glob("mask-*")] == [f"mask-31337-{market.lower()}-0000000001.key"]


def test_wallet_is_that_of_the_keystore_or_of_the_environment(
    tmp_path: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    make_wallet(7).save_keystore(tmp_path / "a" / "key.json", Secret(b"open sesame"))
    (tmp_path / "a" / "password").write_text("open sesame\n")
    stored = make_home(tmp_path / "a", account={"keystore": "key.json", "password-file": "password"})
    monkeypatch.setitem(os.environ, "OMNILYTICS_PRIVATE_KEY", bytes(make_wallet(8)._account.key).hex())
    named = make_home(tmp_path / "b", account={"environment": True})
    assert [home.wallet(connection).address for home in (stored, named)] == [address_of(7), address_of(8)]


def context_of(**node_config: str | int) -> Context:
    return Context(run_id=1, node_id=1, node_config=dict(node_config), state=RecordDict(), run_config={HOME_KEY: "/elsewhere"})


def test_operators_agent_is_found_by_node_config_or_environment(
    tmp_path: Path, anvil: Anvil, connection: Connection, market: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in range(2):
        make_home(tmp_path / f"owner-{place}", rpc_url=anvil.url, market=market, account={"development": place + 1})
    template = str(tmp_path / "owner-{partition-id}")
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    named = [agent_of_operator(context_of(**{HOME_KEY: template, "partition-id": place})) for place in range(2)]
    monkeypatch.setenv(HOME_VARIABLE, template)
    assert named == [agent_of_operator(context_of(**{"partition-id": place})) for place in range(2)]
    accounts = [agent.ledger.account for agent in named]  # type: ignore[attr-defined]
    assert accounts == [dev_wallet(place + 1, connection).address for place in range(2)]


def test_no_home_named_is_refused_and_the_run_config_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    with pytest.raises(Refused, match="no owner home is named"):
        agent_of_operator(context_of())


@pytest.mark.parametrize("broken", [None, "agent = 7"], ids=["no home", "a broken owner.toml"])
def test_client_whose_home_cannot_be_used_tells_its_log_where_it_is_and_nobody_else(
    tmp_path: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if broken:
        (tmp_path / CONFIG_NAME).write_text(broken)
    with pytest.raises(Refused) as refused:
        agent_of_operator(context_of(**{HOME_KEY: str(tmp_path)}))
    assert str(tmp_path) not in str(refused.value)
    assert str(tmp_path) in caplog.text
