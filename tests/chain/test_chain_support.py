"""Chains that cannot hold a market are told apart before anything is paid, above all those without blobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.chain_support import L1_BLOCK, check_answers, check_blobs, check_proofs, check_supported, is_rollup, limits_of
from omnilytics_flwr.chain.deploy import check_deployment, create_market, deploy
from omnilytics_flwr.chain.market_reader import MarketReader, market_reverts
from omnilytics_flwr.crypto.statement import VerificationUnsupportedChain
from omnilytics_flwr.errors import UnsupportedChain
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.connection import HISTORY_CONTRACT, Connection, connect
from omnilytics_flwr.evm.endpoint import NodeError, Overloaded
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.refusals import MarketBadTerms
from omnilytics_flwr.market.terms import ZERO_ADDRESS
from omnilytics_flwr.market.terms_bounds import ETHEREUM, ChainLimits

from ..support.nodes import FaultyNode, Limit, impatient, limited, unmined
from .market_play import small_terms

Falsify = Callable[[dict[str, Any]], object]


def error(code: int, message: str) -> Falsify:
    return lambda _: {"jsonrpc": "2.0", "id": 0, "error": {"code": code, "message": message}}


def result(value: object) -> Falsify:
    return lambda _: {"jsonrpc": "2.0", "id": 0, "result": value}


POOR = error(-32000, "insufficient funds")


def without(*names: str) -> Falsify:
    return lambda answer: answer | {"result": {name: value for name, value in answer["result"].items() if name not in names}}


def test_chain_with_blobs_passes_and_nothing_stays_behind(anvil: Anvil, connection: Connection) -> None:
    number = connection.block_number()
    check_supported(connection)
    check_proofs(connection)
    assert connection.block_number() == number
    assert unmined(anvil.endpoint) == []


@pytest.mark.parametrize(("hardfork", "missing"), [("shanghai", "0x0a"), ("cancun", "0x0b")])
def test_older_fork_is_told_by_what_it_lacks(hardfork: str, missing: str) -> None:
    with Anvil(AnvilOptions(hardfork=hardfork)) as old, pytest.raises(UnsupportedChain, match=missing):
        check_proofs(connect(old.url))


def test_chain_that_cannot_verify_proofs_holds_computed_markets_alone() -> None:
    """The history contract apart, which its fork brings in."""
    with Anvil(AnvilOptions(hardfork="cancun")) as old:
        connection = connect(old.url)
        connection.request("anvil_setCode", HISTORY_CONTRACT, "0x00")
        sender = sender_for(connection, dev_wallet(0, connection))
        deployed = deploy(sender)
        check_deployment(connection, deployed)
        terms = small_terms(deployed, verification=deployed.computed, answer_seconds=0)

        assert deployed.verification == ZERO_ADDRESS
        assert MarketReader(connection, create_market(sender, deployed, terms)).scheme().public_sums


def test_verification_is_not_deployed_where_it_could_not_verify() -> None:
    """Whoever deploys it without the check that Python makes first loses the gas, and no market comes of it."""
    with Anvil(AnvilOptions(hardfork="cancun")) as old:
        connection = connect(old.url)
        connection.request("anvil_setCode", HISTORY_CONTRACT, "0x00")
        code = artifacts.load(artifacts.VERIFICATION).creation_code
        with pytest.raises(VerificationUnsupportedChain, match=r"(?i)0x0{39}b"):
            sender_for(connection, dev_wallet(0, connection)).send("deploy", Payload(None, code), market_reverts())


def test_rollup_of_the_op_kind_is_told_by_its_contract(connection: Connection) -> None:
    assert not is_rollup(connection)
    connection.request("anvil_setCode", L1_BLOCK, "0x00")
    assert is_rollup(connection)


def test_chain_without_history_contract_is_told(connection: Connection) -> None:
    connection.request("anvil_setCode", HISTORY_CONTRACT, "0x")
    with pytest.raises(UnsupportedChain, match="EIP-2935"):
        check_supported(connection)


LIKE: dict[str, tuple[str, Falsify, str]] = {
    "headers without the fields (Arbitrum)": ("eth_getBlockByNumber", without("excessBlobGas", "blobGasUsed"), "no excessBlobGas and no"),
    "one field only": ("eth_getBlockByNumber", without("excessBlobGas"), "no excessBlobGas"),
    "no price": ("eth_blobBaseFee", error(-32601, "the method eth_blobBaseFee does not exist"), "no price of blobs"),
    "opcode that answers zero": ("eth_call", result("0x" + "00" * 32), "does not see the blobs"),
    "transaction type refused (OP stack)": (
        "eth_sendRawTransaction",
        error(-32000, "transaction type not supported"),
        "type not supported",
    ),
    "transaction type refused (nitro)": ("eth_sendRawTransaction", error(-32000, "unsupported transaction type: 3"), "unsupported"),
    "transaction not read (EthereumJS)": ("eth_sendRawTransaction", error(-32700, "tx data could not be parsed"), "could not be parsed"),
    "sidecars without cell proofs": ("eth_sendRawTransaction", error(-32000, "unexpected sidecar version, want: 0, got: 1"), "sidecar"),
}


@pytest.mark.parametrize("kind", LIKE)
def test_chain_without_blobs_is_recognised(node: FaultyNode, kind: str) -> None:
    method, falsify, words = LIKE[kind]
    node.falsifying = {method: falsify}
    with pytest.raises(UnsupportedChain, match=words):
        check_blobs(connect(node.url))


def test_node_that_takes_no_transactions_shows_its_chain_and_carries_no_answer(node: FaultyNode) -> None:
    node.falsifying = {"eth_sendRawTransaction": error(-32601, "the method eth_sendRawTransaction does not exist/is not available")}
    connection = connect(node.url)
    check_blobs(connection)
    with pytest.raises(UnsupportedChain, match=r"takes no transaction with 1 blobs.* does not exist"):
        check_answers(connection, 1)


def test_node_with_a_narrow_limit_takes_no_answer_of_many_blobs(anvil: Anvil, connection: Connection) -> None:
    check_answers(connection, 6)
    with limited(anvil.url, Limit(1_000_000)) as url:
        check_blobs(connect(url))
        check_answers(connect(url), 3)
        with pytest.raises(UnsupportedChain, match=r"no transaction with 6 blobs, 786,432 bytes.* HTTP status 413"):
            check_answers(connect(url), 6)


@pytest.mark.parametrize(
    ("method", "falsify"),
    [
        ("eth_call", error(-32602, "too many arguments, want at most 2")),
        ("eth_call", result("0x")),
        ("eth_sendRawTransaction", error(-32000, "insufficient funds for gas * price + value + blob gas fee: balance 0")),
        ("eth_sendRawTransaction", error(-32601, "the method is not available")),
    ],
    ids=["no overrides", "overrides ignored", "cannot pay", "sending not allowed"],
)
def test_what_a_node_does_not_offer_is_not_held_against_its_chain(node: FaultyNode, method: str, falsify: Falsify) -> None:
    node.falsifying = {method: falsify}
    check_blobs(connect(node.url))


@pytest.mark.parametrize(
    ("method", "check"),
    [
        ("eth_call", check_proofs),
        ("eth_getCode", check_supported),
        ("eth_blobBaseFee", limits_of),
        ("eth_config", limits_of),
        ("eth_sendRawTransaction", limits_of),
    ],
)
def test_trouble_of_a_node_is_not_taken_for_what_its_chain_lacks(
    node: FaultyNode, method: str, check: Callable[[Connection], object]
) -> None:
    connection = connect(node.url)
    impatient(connection.endpoint)
    for code, message, kind in ((-32005, "daily request count exceeded", Overloaded), (-32000, "something else", NodeError)):
        node.falsifying = {method: error(code, message)}
        with pytest.raises(kind, match=message):
            check(connection)


def test_chain_without_blobs_takes_markets_without_accusations_only(node: FaultyNode) -> None:
    connection = connect(node.url)
    sender = sender_for(connection, dev_wallet(0, connection))
    node.falsifying = {"eth_blobBaseFee": error(-32601, "the method eth_blobBaseFee does not exist")}
    deployment = deploy(sender)
    with pytest.raises(MarketBadTerms) as caught:
        create_market(sender, deployment, small_terms(deployment))
    assert caught.value.args == ("answerSeconds", 3600, 0, 0)
    assert MarketReader(connection, create_market(sender, deployment, small_terms(deployment, answer_seconds=0))).blobs() == 0


def test_limits_are_what_the_node_takes(node: FaultyNode, connection: Connection) -> None:
    assert limits_of(connection) == ETHEREUM
    said = iter([error(-32000, "oversized data: transaction size 130944, limit 95000"), *[POOR] * 9])
    node.falsifying = {
        "eth_sendRawTransaction": lambda answer: next(said)(answer),
        "eth_config": result({"current": {"blobSchedule": {"max": 2}}}),
    }
    assert limits_of(connect(node.url)) == ChainLimits(95_000, 2)
    # A chain of at most 2 blobs whose node does not tell: a size, then one blob for the check, then 6, 5, 4, 3 and 2 of them.
    said = iter([POOR, POOR, *[error(-32000, "too many blobs in transaction: have 3, permitted 2")] * 4, POOR])
    node.falsifying["eth_config"] = error(-32601, "the method eth_config does not exist")
    assert limits_of(connect(node.url)) == ChainLimits(ETHEREUM.settlement_bytes, 2)
    node.falsifying = {"eth_sendRawTransaction": error(-32000, "oversized data")}
    with pytest.raises(UnsupportedChain, match="60,000 bytes"):
        limits_of(connect(node.url))
