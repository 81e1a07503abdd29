"""The owner home: what its file says, what it refuses, and an agent from it on a real chain."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from omnilytics_flwr.chain.deploy import check_created, create_market, deploy
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.data_owner.owner_config import has_agent_process
from omnilytics_flwr.data_owner.owner_home import CONFIG_NAME, OwnerHome
from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.errors import (
    Refused,
    TermsError,
    UnknownMarket,
)
from omnilytics_flwr.evm.anvil import Devnet
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.wallet import Secret, dev_wallet
from omnilytics_flwr.flower.mod import HOME_KEY, HOME_VARIABLE, agent_of_operator
from omnilytics_flwr.market.terms import Address
from tests.data_owner.owners import (
    make_wallet,
)
from tests.support.builders import address_of, make_terms

MARKET = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")


GOOD = f'rpc-url = "url"\nchain-id = 1\nmarket = "{MARKET}"\n[account]\ndevelopment = 1\n'


def make_home(path: Path, **changes: object) -> OwnerHome:
    values: dict[str, object] = {
        "rpc_url": "http://127.0.0.1:1",
        "chain_id": 31337,
        "market": MARKET,
        "account": {"development": 1},
    }
    return OwnerHome.create(path, **(values | changes))  # type: ignore[arg-type]


def test_home_opens_as_it_was_made(tmp_path: Path) -> None:
    policy = {"least-group-size": 4, "most-clip": 2.5, "metrics": ["loss", "accuracy"], "app-hashes": ["ab" * 32]}
    made = make_home(tmp_path / "a", policy=policy, account={"keystore": "key.json", "password-file": "pass word.txt"})
    opened = OwnerHome.open(tmp_path / "a")
    assert opened == made
    assert opened.policy == Policy(least_group_size=4, most_clip=2.5, metrics=("loss", "accuracy"), app_hashes=(b"\xab" * 32,))
    assert opened.account == {"keystore": "key.json", "password-file": "pass word.txt"}
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_home_is_never_made_twice(tmp_path: Path) -> None:
    make_home(tmp_path)
    before = (tmp_path / CONFIG_NAME).read_bytes()
    with pytest.raises(Refused, match="there is an owner home at"):
        make_home(tmp_path, chain_id=1)
    assert (tmp_path / CONFIG_NAME).read_bytes() == before


def test_no_home_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is no owner home at"):
        OwnerHome.open(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rpc-url = ", "does not parse"),
        ("x" * 70_000, "does not parse"),
        ("a = " + "[" * 20_000, "does not parse"),
        ('rpc-url = "x"\nchain-id = 1\n[account]\n', "has entries"),
        (GOOD.replace("1", "true"), "chain-id in .* is True, expected int"),
        (GOOD.replace('"url"', "7"), "rpc-url in .* is 7, expected str"),
        (GOOD.replace(MARKET, "0x12"), "market or factory in .* is not an address"),
        ('factory = "x"\n' + GOOD, "market or factory in .* is not an address"),
        ('agent = "thread"\n' + GOOD, "agent in .* is 'thread', expected 'local' or 'process'"),
        ("policy = 3\n" + GOOD, "policy in .* is 3, expected dict"),
        (GOOD.replace("development = 1", ""), "account has entries \\[\\]; expected keystore"),
        (GOOD.replace("development = 1", "development = -1"), "account has entries"),
        (GOOD.replace("development = 1", "keystore = 1"), "account has entries"),
        (GOOD + "environment = true", "account has entries"),
        ('rpc-url = "x"\nchain-id = 1\nmarket = "x"\ncolour = 1\n[account]\n', "has entries"),
        (
            GOOD + "[policy]\nleast-grup-size = 1",
            "unknown policy entries",
        ),
    ],
)
def test_configuration_that_cannot_be_is_a_named_error(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / CONFIG_NAME).write_text(text)
    with pytest.raises(TermsError, match=reason):
        OwnerHome.open(tmp_path)


def test_configuration_that_is_not_text_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(TermsError, match="does not parse"):
        OwnerHome.open(tmp_path)


TOML_VALUES = st.sampled_from(
    ['"x"', "1", "true", "[]", "{}", "[1, 2]", f'"{MARKET}"', "1.5", "nan", "-3", "2020-01-01", '"process"', "{a = 1}"]
)
TOML_NAMES = st.sampled_from(["rpc-url", "chain-id", "market", "factory", "agent", "account", "policy", "colour"])


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=80), st.dictionaries(TOML_NAMES, TOML_VALUES, min_size=3)))
def test_any_configuration_is_a_home_or_a_named_error(content: str | dict[str, str]) -> None:
    text = content if isinstance(content, str) else "\n".join(f"{name} = {value}" for name, value in content.items())
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG_NAME).write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            home = OwnerHome.open(Path(folder))
        except TermsError:
            return
        assert home.market == MARKET


def test_home_that_could_not_be_opened_is_not_made(tmp_path: Path) -> None:
    for changes in ({"agent": "thread"}, {"account": {}}, {"policy": {"most-clip": "much"}}):
        with pytest.raises(TermsError):
            make_home(tmp_path / "a", **changes)
    assert not (tmp_path / "a").exists()


def test_agent_kind_is_kept_and_local_by_default(tmp_path: Path) -> None:
    assert make_home(tmp_path / "a").agent_kind == "local"
    assert not has_agent_process(tmp_path / "a")
    assert make_home(tmp_path / "b", agent="process").agent_kind == "process"
    assert has_agent_process(tmp_path / "b")


def test_work_of_a_new_home_is_empty(tmp_path: Path) -> None:
    assert make_home(tmp_path).work() == []


def test_factory_is_kept(tmp_path: Path) -> None:
    assert make_home(tmp_path / "a").factory is None
    made = make_home(tmp_path / "b", factory=address_of(3))
    assert OwnerHome.open(tmp_path / "b") == made
    assert made.factory == address_of(3)


def test_agent_of_a_market_that_the_factory_has_not_made_is_refused(tmp_path: Path, devnet: Devnet) -> None:
    connection = connect(devnet.url, expected_chain_id=31337)
    model_owner = dev_wallet(0, connection)
    ours, others = (deploy(connection, model_owner) for _ in range(2))
    market = create_market(connection, model_owner, ours, make_terms(verification=ours.verification))
    create_market(connection, model_owner, others, make_terms(verification=others.verification))
    assert ours.factory != others.factory
    check_created(connection, ours.factory, Address(market.lower()))
    make_home(tmp_path / "ours", rpc_url=devnet.url, market=market, factory=ours.factory).agent()
    with pytest.raises(UnknownMarket, match="has not created the market"):
        check_created(connection, others.factory, market)
    with pytest.raises(UnknownMarket, match="has not created the market"):
        make_home(tmp_path / "others", rpc_url=devnet.url, market=market, factory=others.factory).agent()


def test_market_with_another_verification_is_refused_where_the_operator_wants_the_known_one(tmp_path: Path, devnet: Devnet) -> None:
    connection = connect(devnet.url, expected_chain_id=31337)
    model_owner = dev_wallet(0, connection)
    deployment = deploy(connection, model_owner)
    market = create_market(connection, model_owner, deployment, make_terms(verification=deployment.verification))
    strict = {"known-verification": True}
    make_home(tmp_path / "before", rpc_url=devnet.url, market=market, policy=strict).agent()
    code = connection.code(deployment.verification)
    connection.request("anvil_setCode", deployment.verification, "0x" + code.hex() + "00")
    make_home(tmp_path / "lenient", rpc_url=devnet.url, market=market).agent()
    with pytest.raises(Refused, match=f"its verification {deployment.verification} is not of this version"):
        make_home(tmp_path / "strict", rpc_url=devnet.url, market=market, policy=strict).agent()


@pytest.fixture
def market(devnet: Devnet) -> tuple[Devnet, Address]:
    """A market on the local chain that nobody has joined."""
    connection = connect(devnet.url, expected_chain_id=31337)
    model_owner = dev_wallet(0, connection)
    deployment = deploy(connection, model_owner)
    terms = make_terms(verification=deployment.verification)
    return devnet, create_market(connection, model_owner, deployment, terms)


def test_agent_of_a_home_joins_its_market(tmp_path: Path, market: tuple[Devnet, Address]) -> None:
    devnet, address = market
    home = make_home(tmp_path, rpc_url=devnet.url, market=address)
    home.agent().join()
    connection = connect(devnet.url, expected_chain_id=31337)
    wallet = dev_wallet(1, connection)
    record = EthereumLedger(connection, address, wallet).owner_record(wallet.address)
    assert record.registered
    (key,) = (tmp_path / "keys").glob("mask-*")
    assert key.name == f"mask-31337-{address.lower()}-0000000001.key"


def test_wallet_of_a_keystore_opens_with_its_password_file(tmp_path: Path, devnet: Devnet) -> None:
    connection = connect(devnet.url, expected_chain_id=31337)
    make_wallet(7).save_keystore(tmp_path / "key.json", Secret(b"open sesame"))
    (tmp_path / "password").write_text("open sesame\n")
    home = make_home(tmp_path, account={"keystore": "key.json", "password-file": "password"})
    assert home.wallet(connection).address == address_of(7)


def test_wallet_from_the_environment(tmp_path: Path, devnet: Devnet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "OMNILYTICS_PRIVATE_KEY", bytes(make_wallet(7)._account.key).hex())
    home = make_home(tmp_path, account={"environment": True})
    assert home.wallet(connect(devnet.url, expected_chain_id=31337)).address == address_of(7)


def context_of(**node_config: str | int) -> Context:
    return Context(run_id=1, node_id=1, node_config=dict(node_config), state=RecordDict(), run_config={HOME_KEY: "/elsewhere"})


def test_operators_agent_is_found_by_node_config_or_environment(
    tmp_path: Path, market: tuple[Devnet, Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    devnet, address = market
    for place in range(2):
        make_home(tmp_path / f"owner-{place}", rpc_url=devnet.url, market=address, account={"development": place + 1})
    template = str(tmp_path / "owner-{partition-id}")
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    named = [agent_of_operator(context_of(**{HOME_KEY: template, "partition-id": place})) for place in range(2)]
    monkeypatch.setenv(HOME_VARIABLE, template)
    found = [agent_of_operator(context_of(**{"partition-id": place})) for place in range(2)]
    assert named == found
    connection = connect(devnet.url, expected_chain_id=31337)
    accounts = [agent.ledger.account for agent in named]  # type: ignore[attr-defined]
    assert accounts == [dev_wallet(place + 1, connection).address for place in range(2)]


def test_no_home_named_is_refused_and_the_run_config_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    with pytest.raises(Refused, match="no owner home is named"):
        agent_of_operator(context_of())
