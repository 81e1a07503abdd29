"""Nodes that lie: with any of their answers false, whatever is read or sent through them ends with a value or an error of our tree."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from omnilytics_flwr.chain.answer_blobs import AnswerPart, fetch_blobs
from omnilytics_flwr.chain.chain_support import check_supported
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.evm.beacon import BeaconNode
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_key, dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.terms import Address

from ..support.nodes import JSON, REAL, FaultyNode, answering, spoil, spoiled, survives
from .market_play import Play

HASH = "0x" + "11" * 32


@REAL
@given(
    st.one_of(st.binary(max_size=60), JSON.map(lambda value: json.dumps(value).encode()), st.just(b"[").map(lambda start: start * 2000)),
    st.integers(200, 599),
)
def test_bodies_of_a_node(body: bytes, status: int) -> None:
    assume(status not in (204, 304))
    with answering(lambda _: (status, body)) as url:
        survives(lambda: connect(url, timeout_seconds=0.05))
        survives(lambda: BeaconNode(url, 0.05).blobs(1212, [b"\x01" * 32]))


@REAL
@given(value=JSON, error=JSON)
def test_results_and_errors_of_a_node(value: object, error: object) -> None:
    for answer in ({"result": value}, {"error": error}, {"result": value, "error": error}, {"error": {"code": error, "message": value}}):
        with answering(lambda _: (200, json.dumps({"jsonrpc": "2.0", "id": 0} | answer).encode())) as url:  # noqa: B023
            survives(lambda: connect(url, timeout_seconds=0.05))


METHODS = (
    "eth_blockNumber eth_call eth_chainId eth_estimateGas eth_getBalance eth_getBlockByNumber eth_getCode eth_getLogs "
    "eth_getTransactionByHash eth_getTransactionCount eth_getTransactionReceipt eth_maxPriorityFeePerGas eth_blobBaseFee "
    "eth_sendRawTransaction web3_clientVersion anvil_getBlobsByTransactionHash"
).split()


@REAL
@given(st.sampled_from(METHODS), st.lists(JSON, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_everything_that_is_read_or_sent_with_a_lying_node(
    node: FaultyNode, drawn: Play, method: str, lies: list[Any], random: Random
) -> None:
    seed = random.randrange(2**32)
    node.falsifying = {method: lambda answer: answer | {"result": spoil(answer.get("result"), lies, Random(seed))}}
    survives(lambda: use_everything(connect(node.url, timeout_seconds=0.05, receipt_seconds=0.05), drawn.owner.address))


def use_everything(connection: Connection, market: Address) -> None:
    wallet = Wallet(Secret(dev_key(0)))
    survives(lambda: check_supported(connection))
    ledger = EthereumLedger(sender_for(connection, wallet), market)
    actions: list[Callable[[], object]] = [
        ledger.state,
        ledger.snapshot,
        lambda: ledger.snapshot(1).members(),
        ledger.now,
        ledger.answer_cost_wei,
        lambda: ledger.accusation(1),
        lambda: ledger.answered_vector(1, 1),
        lambda: ledger.owner_record(ledger.account),
        lambda: ledger.group_seats(0),
        ledger.has_known_verification,
        lambda: ledger.check_points(bytes(128)),
        lambda: dev_wallet(0, connection),
        lambda: fetch_blobs(connection, AnswerPart(0, 1, 0, HASH, 1)),
        lambda: ledger.fund(1),
        ledger.leave,
        ledger.draw,
    ]
    for action in actions:
        survives(action)


@REAL
@given(data=st.data(), place=st.sampled_from(["genesis", "spec", "blobs"]))
def test_answers_of_a_beacon_node(data: st.DataObject, place: str) -> None:
    documents = {"genesis": {"data": {"genesis_time": "12"}}, "spec": {"data": {"SECONDS_PER_SLOT": "12"}}, "blobs": {"data": ["0x12"]}}
    documents[place] = data.draw(spoiled(documents[place]))
    order = ["genesis", "spec", "blobs", "blobs"]
    bodies = [json.dumps(documents[name]).encode() for name in order]
    with answering(lambda n: (200, bodies[min(n, 3)])) as url:
        survives(lambda: BeaconNode(url, 0.05).blobs(1212, [b"\x01" * 32]))
