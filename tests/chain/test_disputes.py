"""Disputes on a chain: accusing, answering with real blobs in several transactions, and taking the vector from the chain."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable

import pytest

from omnilytics_flwr.chain.deploy import Deployment, deploy
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.chain.market_reader import MarketReader
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.kzg import BLOB_BYTES
from omnilytics_flwr.errors import BlobsMissing
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market import refusals
from omnilytics_flwr.market.dispute import ANSWER_GAS, BURN_ADDRESS, POLYNOMIAL_GAS, REFUNDED_GAS, refund_wei
from omnilytics_flwr.market.ledger import Receipt
from omnilytics_flwr.market.stage import Stage

from ..support.nodes import answering, faulty_node, serving
from .market_play import GROUPS, POLYNOMIALS, REWARD_WEI, TASK, WEIGHTS, Dispute, Play, create_small_market, mask_key, open_dispute, updates

SEAT = 4
FEE_WEI = 10**12


@pytest.fixture
def dispute(connection: Connection, deployment: Deployment) -> Dispute:
    """A round whose vectors have seven polynomials, just opened."""
    return open_dispute(wide_market(connection, deployment), seat=SEAT)


def wide_market(connection: Connection, deployment: Deployment) -> Play:
    return Play.of(create_small_market(connection, deployment, weights=WEIGHTS, accuse_fee_wei=FEE_WEI))


def test_accused_answers_by_blobs_and_the_vector_is_taken_from_the_chain(connection: Connection, dispute: Dispute) -> None:
    owner, stranger = dispute.owner, EthereumLedger(sender_for(connection, dev_wallet(30, connection)), dispute.owner.address)
    cost_wei = owner.answer_cost_wei()
    receipt = dispute.accuse()
    state, accusation = owner.state(), owner.accusation(SEAT)
    assert receipt.logs["Accused"] == {"epoch": 1, "round": 1, "seats": 1 << SEAT, "answerBy": state.answer_by}
    assert (state.accused, state.answered) == (1 << SEAT, 0)
    assert state.disputes_wei == FEE_WEI + accusation.deposit_wei
    assert accusation.deposit_wei >= cost_wei
    assert (accusation.digest, accusation.answered_polynomials) == (dispute.digests[dispute.play.seats().index(SEAT)], 0)
    with pytest.raises(BlobsMissing, match="with 0 bytes"):
        owner.answered_vector(1, SEAT)
    first = stranger.answer(1, SEAT, dispute.points, 0, dispute.blobs(0))
    assert first.logs["Answered"] == {"epoch": 1, "round": 1, "seat": SEAT, "from": 0, "count": 6, "first": 0}
    assert owner.accusation(SEAT).answered_polynomials == 6
    with pytest.raises(BlobsMissing, match=f"{6 * BLOB_BYTES} bytes, expected {7 * BLOB_BYTES}; wait for the rest"):
        owner.answered_vector(1, SEAT)
    second = stranger.answer(1, SEAT, dispute.points, 6, dispute.blobs(6))
    assert owner.state().answered == 1 << SEAT
    assert MarketReader(connect(connection.endpoint.url), owner.address).answered_vector(1, SEAT) == dispute.vector
    before = connection.balance_wei(stranger.account)
    withdrawn = stranger.withdraw(stranger.account)
    refunded_wei = refund_for(connection, first, 6) + refund_for(connection, second, 1)
    assert withdrawn.logs["Withdrawn"]["refundWei"] == refunded_wei < accusation.deposit_wei
    assert connection.balance_wei(stranger.account) == before - withdrawn.fee_wei + refunded_wei


def test_answer_in_pieces_is_refunded_less_than_it_costs(connection: Connection, dispute: Dispute) -> None:
    dispute.accuse()
    data = dispute.play.data[0]
    pieces = [data.answer(1, SEAT, dispute.points, first, dispute.blobs(first)[:1]) for first in range(POLYNOMIALS)]
    assert dispute.owner.state().answered == 1 << SEAT
    refunded_wei = data.withdraw(data.account).logs["Withdrawn"]["refundWei"]
    assert isinstance(refunded_wei, int)
    assert 0 < refunded_wei < sum(receipt.fee_wei for receipt in pieces)
    cheapest = min(pieces, key=lambda receipt: receipt.gas_used)
    base_fee_wei = int(connection.block(cheapest.block)["baseFeePerGas"], 16)
    assert REFUNDED_GAS < cheapest.gas_used
    assert refund_for(connection, cheapest, 1) < cheapest.gas_used * base_fee_wei + BLOB_BYTES * blob_fee_wei(connection, cheapest)


def test_fee_of_an_answered_accusation_is_burned(connection: Connection, dispute: Dispute) -> None:
    answer_all(dispute)
    before = connection.balance_wei(BURN_ADDRESS)
    withdrawn = dispute.play.data[1].withdraw(BURN_ADDRESS).logs["Withdrawn"]
    assert (withdrawn["amountWei"], withdrawn["refundWei"]) == (0, FEE_WEI)
    assert connection.balance_wei(BURN_ADDRESS) == before + FEE_WEI


def test_answer_pays_for_its_blobs_and_the_record_says_so(connection: Connection, dispute: Dispute) -> None:
    dispute.accuse()
    data = dispute.play.data[0]
    before = connection.balance_wei(data.account)
    receipt = data.answer(1, SEAT, dispute.points, 0, dispute.blobs(0))
    assert before - connection.balance_wei(data.account) == receipt.fee_wei
    mined = connection.request("eth_getTransactionReceipt", receipt.transaction_hash)
    assert int(mined["blobGasUsed"], 16) == 6 * BLOB_BYTES
    assert receipt.fee_wei == receipt.gas_used * int(mined["effectiveGasPrice"], 16) + 6 * BLOB_BYTES * int(mined["blobGasPrice"], 16)
    assert receipt.gas_used <= ANSWER_GAS + 6 * POLYNOMIAL_GAS
    assert connection.transactions[-1].fee_wei == receipt.fee_wei


def test_cost_of_an_answer_is_the_contracts(connection: Connection, dispute: Dispute) -> None:
    owner = dispute.owner
    fees = {"gasPrice": hex(10**12), "from": owner.account}
    call = {"to": owner.address, "data": "0x" + owner._abi.call_data("answerCostWei").hex(), **fees}
    assert owner.answer_cost_wei() == int(connection.request("eth_call", call, "latest"), 16) > 0


def test_refused_dispute_raises_typed_and_is_not_sent(dispute: Dispute) -> None:
    dispute.accuse()
    owner, data, digests, points = dispute.owner, dispute.play.data[0], dispute.digests, dispute.points
    sent = len(owner.connection.transactions)
    attempts: list[tuple[Callable[[], object], type[Exception]]] = [
        (lambda: data.answer(1, SEAT, points, 0, dispute.blobs(0)[::-1]), refusals.WrongBlob),
        (lambda: data.answer(1, SEAT, points, 6, dispute.blobs(6)), refusals.WrongStart),
        (lambda: data.answer(1, SEAT, bytes(96 * POLYNOMIALS), 0, dispute.blobs(0)), refusals.WrongPoint),
        (lambda: data.answer(1, SEAT + 1, points, 0, dispute.blobs(0)), refusals.NotAccused),
        (lambda: dispute.accuse(), refusals.AlreadyAccused),
        (lambda: dispute.play.accuse(0, digests[::-1]), refusals.WrongDigests),
        (lambda: owner.accuse(1, 1 << 200, digests, (bytes(64),)), refusals.UnknownSeats),
        (lambda: owner.accuse(1, 1, digests, (bytes(64),)), refusals.BadSignature),
        (lambda: owner.accuse(1, 0, digests, ()), refusals.NoSeats),
        (lambda: dispute.play.accuse(0, digests, deposit_wei=1), refusals.Underpaid),
    ]
    for attempt, expected in attempts:
        with pytest.raises(expected):
            attempt()
    assert len(owner.connection.transactions) == sent


def test_answered_vector_that_nobody_serves_says_what_is_needed(connection: Connection, dispute: Dispute) -> None:
    answer_all(dispute)
    connection.__dict__["is_local"] = False
    with pytest.raises(BlobsMissing, match=r"with 0 bytes.* OMNILYTICS_BLOBS_URL, .* blobs_url, .* beacon node .*supernode"):
        dispute.owner.answered_vector(1, SEAT)
    genesis, nothing = json.dumps({"data": {"genesis_time": "12"}}).encode(), json.dumps({"data": []}).encode()
    with answering(lambda n: (200, genesis) if n == 0 else (200, nothing) if n > 1 else (404, b"")) as url:
        connection.blobs_url = url + "/secret"
        with pytest.raises(BlobsMissing, match=r"does not serve the blobs of .*supernode.* 18 days") as caught:
            dispute.owner.answered_vector(1, SEAT)
    assert "secret" not in str(caught.value)
    assert (caught.value.actual, caught.value.expected) == (0, len(dispute.vector))
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args


def test_answered_vector_from_a_beacon_node() -> None:
    """Of four, one refuses, one is none, and one keeps nothing; and logs come from a node that gives few blocks at once."""
    genesis = json.dumps({"data": {"genesis_time": "12"}}).encode()
    with (
        Anvil(AnvilOptions(block_seconds=12)) as anvil,
        faulty_node(anvil.url) as node,
        serving(lambda path, _: (200, genesis) if path.endswith("genesis") else (404, b"")) as empty,
        serving(lambda *_: (403, b"")) as closed,
        serving(lambda *_: (404, b"")) as none,
    ):
        connection = connect(node.url, blobs_url=f"{closed},{none},{empty},{anvil.url}/?key=1")
        dispute = open_dispute(wide_market(connection, deploy(sender_for(connection, dev_wallet(0, connection)))), seat=SEAT)
        answer_all(dispute)
        connection.__dict__["is_local"] = False
        node.most_log_blocks = 5
        assert dispute.owner.answered_vector(1, SEAT) == dispute.vector


def test_lapsed_member_loses_its_stake_and_pays_it_again(anvil: Anvil, drawn: Play) -> None:
    owner, silent = drawn.owner, drawn.data[2]
    seat = owner.owner_record(silent.account).seat
    owner.fund(10**18)
    owner.anchor(TASK)
    vectors = updates(drawn.seats(), odd_seats=0)
    points = drawn.open(vectors)
    drawn.accuse(seat, tuple(points_digest(points[other]) for other in drawn.seats()))
    anvil.increase_time(owner.state().answer_by - anvil.now() + 1)
    void = next(group for group in range(GROUPS) if owner.group_seats(group) >> seat & 1)
    receipt = drawn.settle(vectors, points, outside=1 << void)
    burned_wei = 2 * REWARD_WEI
    assert receipt.logs["Voided"] == {"epoch": 1, "round": 1, "groups": 1 << void, "slashedSeats": 1 << seat, "burnedWei": burned_wei}
    assert (owner.state().slashed, owner.state().stage) == (1 << seat, Stage.IDLE)
    connection, before = owner.connection, owner.connection.balance_wei(silent.account)
    fee_wei = silent.join(mask_key(2)).fee_wei
    assert connection.balance_wei(silent.account) == before - fee_wei - 4 * REWARD_WEI
    assert owner.state().slashed == 0
    fee_wei += silent.join(mask_key(3)).fee_wei
    assert connection.balance_wei(silent.account) == before - fee_wei - 4 * REWARD_WEI
    withdrawn = drawn.data[0].withdraw(BURN_ADDRESS)
    assert withdrawn.logs["Withdrawn"]["amountWei"] == burned_wei == connection.balance_wei(BURN_ADDRESS)


def blob_fee_wei(connection: Connection, answer: Receipt) -> int:
    return int(connection.request("eth_getTransactionReceipt", answer.transaction_hash)["blobGasPrice"], 16)


def refund_for(connection: Connection, answer: Receipt, polynomials: int) -> int:
    """What an answer is refunded, at the fees of its block."""
    base_fee_wei = int(connection.block(answer.block)["baseFeePerGas"], 16)
    return refund_wei(polynomials, base_fee_wei=base_fee_wei, blob_base_fee_wei=blob_fee_wei(connection, answer))


def answer_all(dispute: Dispute) -> None:
    dispute.accuse()
    for first in (0, 6):
        dispute.play.data[0].answer(1, SEAT, dispute.points, first, dispute.blobs(first))
