"""Blobs: named by hash when signed, carried beside the transaction, and paid for."""

from __future__ import annotations

import time
from itertools import pairwise

import ckzg
import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st

from omnilytics_flwr.crypto.ceremony import ckzg_setup, setup_path
from omnilytics_flwr.crypto.curve import compress, split_points
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.crypto.kzg import BLOB_BYTES, commit, versioned_hash
from omnilytics_flwr.errors import Malformed, NotFunded, TransactionLost, UnsupportedChain, WrongLength
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.blobs import ZERO_SIDECAR, Sidecar, blobs_by_hash, commitments_of, sidecar_of, versioned_hashes
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.reverts import PLAIN
from omnilytics_flwr.evm.transaction import Mined, Payload
from omnilytics_flwr.evm.wallet import Wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.dispute import blob_hash_of

from ..chain.market_play import wide_vector

VECTOR = wide_vector().to_bytes()
FEES = {"chainId": 1, "nonce": 0, "gas": 21000, "maxFeePerGas": 2, "maxPriorityFeePerGas": 1, "maxFeePerBlobGas": 2}
SIX = tuple(VECTOR[at * BLOB_BYTES : (at + 1) * BLOB_BYTES] for at in range(6))
LARGE = {"a blob": SIX[0], "no polynomial": b"\xff" * BLOB_BYTES}
"""By names, as Hypothesis shows what it draws."""


def send(connection: Connection, wallet: Wallet, payload: Payload) -> Mined:
    return sender_for(connection, wallet).send("blobs", payload, PLAIN)


def to_itself(wallet: Wallet, carried: tuple[bytes, ...] = SIX[:1], value_wei: int = 0) -> Payload:
    return Payload(wallet.address, b"", value_wei, carried)


def test_commitments_are_those_of_the_vector_that_travels() -> None:
    points = split_points(commit(wide_vector()))[:6]
    assert list(commitments_of(SIX)) == [compress(point) for point in points]
    assert versioned_hashes(SIX) == [blob_hash_of(point) for point in points]


def test_cell_proofs_prove_all_cells_of_their_blobs() -> None:
    sidecar, setup = sidecar_of(SIX[:2]), ckzg.load_trusted_setup(str(setup_path()), 0)
    for place, blob in enumerate(sidecar.blobs):
        cells = ckzg.compute_cells(blob, setup)
        proofs = sidecar.cell_proofs[128 * place : 128 * (place + 1)]
        assert ckzg.verify_cell_kzg_proof_batch([sidecar.commitments[place]] * 128, list(range(128)), cells, list(proofs), setup)


def test_zero_sidecar_is_that_of_a_blob_of_zeros() -> None:
    assert sidecar_of((bytes(BLOB_BYTES),)) == ZERO_SIDECAR


def test_transaction_with_blobs_has_the_hash_of_the_one_without(wallet: Wallet) -> None:
    signed, transaction_hash = wallet.sign_transaction(to_itself(wallet).fields() | FEES)
    wrapped = sidecar_of(SIX[:1]).wrapped(signed)
    body, version, carried, commitments, proofs = rlp.decode(wrapped[1:])
    assert wrapped[:1] == signed[:1] == b"\x03"
    assert rlp.encode(body) == signed[1:]
    assert transaction_hash == "0x" + keccak256(signed).hex()
    assert (version, carried, commitments, len(proofs)) == (b"\x01", [SIX[0]], [*commitments_of(SIX[:1])], 128)


def test_signing_takes_far_less_than_loading_the_setup(wallet: Wallet) -> None:
    """A sender's second blob transaction costs the proofs alone; eth-account would load the setup three times for each."""
    sidecar_of(SIX[:1])
    start = time.process_time()
    ckzg_setup.__wrapped__()
    loading = time.process_time() - start
    start = time.process_time()
    sidecar = sidecar_of((SIX[5],))
    signed, _ = wallet.sign_transaction(to_itself(wallet, (SIX[5],)).fields() | FEES)
    sidecar.wrapped(signed)
    assert time.process_time() - start < loading


def test_send_six_blobs_are_mined_and_paid(connection: Connection, wallet: Wallet) -> None:
    before = connection.balance_wei(wallet.address)
    mined = send(connection, wallet, to_itself(wallet, SIX))
    assert connection.balance_wei(wallet.address) == before - mined.fee_wei
    transaction = connection.request("eth_getTransactionByHash", mined.transaction_hash)
    assert transaction["blobVersionedHashes"] == ["0x" + h.hex() for h in versioned_hashes(SIX)]
    assert mined.fee_wei >= mined.gas_used * 10**9 + 6 * BLOB_BYTES
    served = connection.request("anvil_getBlobsByTransactionHash", mined.transaction_hash)
    assert [bytes.fromhex(blob[2:]) for blob in served] == list(SIX)


def test_send_offers_twice_the_price_of_blobs(anvil: Anvil, wallet: Wallet) -> None:
    connection = connect(anvil.url)
    for carried in (SIX, SIX[::-1], SIX):
        price = connection.quantity("eth_blobBaseFee")
        mined = send(connection, wallet, to_itself(wallet, carried))
        transaction = connection.request("eth_getTransactionByHash", mined.transaction_hash)
        assert int(transaction["maxFeePerBlobGas"], 16) == 2 * price


def test_send_blobs_that_cannot_be_paid_raises_not_funded(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    poor = Wallet.create()
    connection.request("anvil_setBalance", poor.address, hex(10**17))
    price_wei = 10**12
    quantity = connection.quantity
    monkeypatch.setattr(connection, "quantity", lambda method, *p: price_wei if method == "eth_blobBaseFee" else quantity(method, *p))
    send(connection, poor, Payload(poor.address, b""))
    with pytest.raises(NotFunded, match="for value and highest fee"):
        send(connection, poor, to_itself(poor))


def test_send_lost_blobs_are_offered_again_at_twice_the_fees(anvil: Anvil, wallet: Wallet) -> None:
    connection = connect(anvil.url, receipt_seconds=0.2)
    anvil.endpoint.request("evm_setAutomine", False)
    offers = []
    for _ in range(3):
        with pytest.raises(TransactionLost) as caught:
            send(connection, wallet, to_itself(wallet))
        offers.append(connection.request("eth_getTransactionByHash", caught.value.transaction_hash))
    for older, newer in pairwise(offers):
        assert older["nonce"] == newer["nonce"]
        for fee in ("maxFeePerGas", "maxPriorityFeePerGas", "maxFeePerBlobGas"):
            assert int(newer[fee], 16) >= 2 * int(older[fee], 16)
    anvil.mine()
    mined = send(connection, wallet, to_itself(wallet))
    assert mined.transaction_hash in {offer["hash"] for offer in offers}
    assert connection.quantity("eth_getTransactionCount", wallet.address, "latest") == int(offers[0]["nonce"], 16) + 1


@pytest.mark.parametrize("carried", [(bytes(BLOB_BYTES),) * 7, (bytes(BLOB_BYTES - 1),), (b"",)])
def test_blobs_too_many_or_not_as_long_raise_wrong_length(carried: tuple[bytes, ...]) -> None:
    with pytest.raises(WrongLength):
        commitments_of(carried)
    with pytest.raises(Malformed, match="blob 1 is no polynomial"):
        commitments_of((SIX[0], SIX[1][:-32] + b"\xff" * 32))


@settings(max_examples=20)
@given(st.lists(st.one_of(st.binary(max_size=64), st.sampled_from(sorted(LARGE))), max_size=3))
def test_blobs_by_hash_keeps_what_is_a_blob_under_its_real_hash(answers: list[bytes | str]) -> None:
    served = [LARGE[answer] if isinstance(answer, str) else answer for answer in answers]
    found = blobs_by_hash(served)
    assert set(found.values()) == {SIX[0]} & set(served)
    assert set(found) <= {versioned_hash(commitments_of(SIX)[0])}


def test_payload_is_another_with_other_blobs_or_value_and_shows_no_blobs(wallet: Wallet) -> None:
    keys = [to_itself(wallet, carried).key for carried in (SIX, SIX[:1], SIX[1:2], ())] + [to_itself(wallet, value_wei=1).key]
    assert len(set(keys)) == 5
    assert len({Payload(wallet.address, b"\x01", value, any_value=True).key for value in (1, 2)}) == 1
    assert len(repr(Sidecar(SIX, (), ()))) + len(repr(Payload(None, b"", 0, SIX))) < 400


def test_chain_without_a_price_of_blobs_is_unsupported(connection: Connection, wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    request = connection.request
    monkeypatch.setattr(
        connection, "request", lambda method, *p: request("eth_noSuchMethod" if method == "eth_blobBaseFee" else method, *p)
    )
    with pytest.raises(UnsupportedChain, match="no price of blobs"):
        send(connection, wallet, to_itself(wallet))
