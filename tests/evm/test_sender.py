"""Transactions: refused ones cost nothing, sent ones are never sent twice."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode

from omnilytics_flwr.errors import ChainError, LedgerError, NotFunded, TransactionLost
from omnilytics_flwr.evm.abi import Abi
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.reverts import Reverts
from omnilytics_flwr.evm.sender import MOST_GAS
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import Wallet, dev_wallet
from omnilytics_flwr.market.refusals import REFUSALS, Underfunded, VerificationBadPoint
from omnilytics_flwr.market.terms import Address

from ..support.nodes import FaultyNode
from .tiny_contracts import COUNTING, ONCE, REVERTING, WORKING, counted, deployed, nonce, send

ERRORS = Abi(
    [
        {
            "type": "error",
            "name": "MarketUnderfunded",
            "inputs": [{"name": "escrowWei", "type": "uint256"}, {"name": "neededWei", "type": "uint256"}],
        },
        {"type": "error", "name": "VerificationBadPoint", "inputs": []},
    ]
)
REVERTS = Reverts([ERRORS], REFUSALS)
UNDERFUNDED = next(e for e in ERRORS.errors.values() if e.name == "MarketUnderfunded").selector + encode(["uint256", "uint256"], [3, 8])
BAD_POINT = next(e for e in ERRORS.errors.values() if e.name == "VerificationBadPoint").selector


@pytest.fixture
def contract(connection: Connection, wallet: Wallet) -> Address:
    """Counts its calls."""
    return deployed(connection, wallet, COUNTING)


def test_send_mined_receipt_has_gas_fee_and_logs(connection: Connection, wallet: Wallet, contract: Address) -> None:
    before = connection.balance_wei(wallet.address)
    mined = send(connection, wallet, Payload(contract, b"", 5))
    assert connection.balance_wei(wallet.address) == before - mined.fee_wei - 5
    assert mined.logs == ((contract, (), (1).to_bytes(32, "big")),)
    assert mined.block == connection.block_number()
    record = connection.transactions[-1]
    assert (record.event, record.account, record.transaction_hash) == ("test", wallet.address, mined.transaction_hash)
    assert (record.block, record.gas_used, record.fee_wei) == (mined.block, mined.gas_used, mined.fee_wei)
    assert record.seconds > 0
    assert record.succeeded


@pytest.mark.parametrize(
    ("reason", "kind", "facts"),
    [
        (UNDERFUNDED, Underfunded, (3, 8)),
        (BAD_POINT, VerificationBadPoint, ()),
        (b"", LedgerError, ("the contract refused: no reason given",)),
        (b"\x12\x34\x56\x78", LedgerError, ("the contract refused: unknown error 0x12345678",)),
    ],
)
def test_send_refused_raises_typed_and_costs_nothing(
    connection: Connection, wallet: Wallet, reason: bytes, kind: type[LedgerError], facts: tuple[object, ...]
) -> None:
    contract = deployed(connection, wallet, REVERTING)
    before = (connection.balance_wei(wallet.address), nonce(connection, wallet), len(connection.transactions))
    with pytest.raises(kind) as caught:
        send(connection, wallet, Payload(contract, reason), REVERTS)
    assert type(caught.value) is kind
    assert caught.value.args == facts
    assert (connection.balance_wei(wallet.address), nonce(connection, wallet), len(connection.transactions)) == before


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (bytes.fromhex("08c379a0") + encode(["string"], ["out of cheese"]), "out of cheese"),
        (bytes.fromhex("4e487b71") + encode(["uint256"], [0x11]), "panic 0x11"),
        (UNDERFUNDED[:-1], "facts do not decode"),
        (bytes.fromhex("08c379a0") + b"\xff" * 64, "unknown error 0x08c379a0"),
    ],
)
def test_exception_other_reverts_tell_the_reason(reason: bytes, words: str) -> None:
    error = REVERTS.exception(reason)
    assert type(error) is LedgerError
    assert words in str(error)


def test_send_refused_only_when_mined_raises_typed(connection: Connection, wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = deployed(connection, wallet, ONCE)
    sign, before, start = wallet.sign_transaction, connection.balance_wei(wallet.address), nonce(connection, wallet)

    def be_overtaken(transaction: dict[str, object]) -> tuple[bytes, str]:
        send(connection, dev_wallet(1, connection), Payload(contract, UNDERFUNDED), REVERTS)
        return sign(transaction)

    monkeypatch.setattr(wallet, "sign_transaction", be_overtaken)
    with pytest.raises(Underfunded) as caught:
        send(connection, wallet, Payload(contract, UNDERFUNDED), REVERTS)
    assert caught.value.args == (3, 8)
    assert connection.balance_wei(wallet.address) < before
    assert [record.succeeded for record in connection.transactions][-2:] == [True, False]
    assert nonce(connection, wallet) == start + 1


@pytest.mark.parametrize(("value_wei", "words"), [(1234, "lacks 234 wei; expected 1234 wei"), (1000, "for value and highest fee")])
def test_send_of_what_cannot_be_paid_raises_not_funded(connection: Connection, wallet: Wallet, value_wei: int, words: str) -> None:
    poor = Wallet.create()
    send(connection, wallet, Payload(poor.address, b"", 1000))
    with pytest.raises(NotFunded, match=words):
        send(connection, poor, Payload(wallet.address, b"", value_wei))
    assert nonce(connection, poor) == 0


def test_send_no_receipt_in_time_raises_lost_and_goes_on_with_same_nonce(anvil: Anvil, wallet: Wallet, contract: Address) -> None:
    connection = connect(anvil.url, receipt_seconds=0.2)
    start = nonce(connection, wallet)
    anvil.endpoint.request("evm_setAutomine", False)
    hashes = set()
    for _ in range(3):
        with pytest.raises(TransactionLost) as caught:
            send(connection, wallet, Payload(contract, b""))
        hashes.add(caught.value.args[0])
    assert len(hashes) == 3
    assert int(connection.request("eth_getTransactionCount", wallet.address, "pending"), 16) == start + 1
    anvil.mine()
    assert send(connection, wallet, Payload(contract, b"")).transaction_hash in hashes
    assert nonce(connection, wallet) == start + 1
    assert counted(connection, contract) == 1
    anvil.endpoint.request("evm_setAutomine", True)
    assert send(connection, wallet, Payload(contract, b"")).transaction_hash not in hashes


def test_send_behind_one_that_offers_too_little_raises_that_too() -> None:
    with Anvil() as anvil:  # its own, for a base fee that was set outlives a revert
        connection = connect(anvil.url, receipt_seconds=0.2)
        wallet = dev_wallet(0, connection)
        contract = deployed(connection, wallet, COUNTING)
        anvil.endpoint.request("evm_setAutomine", False)
        with pytest.raises(TransactionLost):
            send(connection, wallet, Payload(contract, b"1"))
        anvil.endpoint.request("anvil_setNextBlockBaseFeePerGas", hex(50 * 10**9))
        anvil.mine()
        assert counted(connection, contract) == 0, "it offers less than the base fee"
        with pytest.raises(TransactionLost):
            send(connection, wallet, Payload(contract, b"2"))
        anvil.mine()
        assert counted(connection, contract) == 2


@pytest.mark.parametrize("lost", [1, 2])
def test_send_answers_lost_on_the_way_is_mined_once(node: FaultyNode, wallet: Wallet, contract: Address, lost: int) -> None:
    connection = connect(node.url)
    node.losing["eth_sendRawTransaction"] = lost
    mined = send(connection, wallet, Payload(contract, b""))
    assert node.passed.count("eth_sendRawTransaction") == lost + 1
    assert counted(connection, contract) == 1
    assert mined.logs[0][2] == (1).to_bytes(32, "big")


def test_send_nonce_taken_in_between_takes_the_next(
    anvil: Anvil, wallet: Wallet, contract: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = connect(anvil.url), connect(anvil.url)
    sign = wallet.sign_transaction
    signed: list[int] = []

    def interfere(transaction: dict[str, int]) -> tuple[bytes, str]:
        signed.append(transaction["nonce"])
        if len(signed) == 1:
            send(second, dev_wallet(0, second), Payload(contract, b"\x01"))
        return sign(transaction)

    monkeypatch.setattr(wallet, "sign_transaction", interfere)
    send(first, wallet, Payload(contract, b""))
    assert signed[1] == signed[0] + 1
    assert counted(first, contract) == 2


def test_send_confirmations_asked_waits_for_blocks_on_top(anvil: Anvil, wallet: Wallet, contract: Address) -> None:
    connection = connect(anvil.url, receipt_seconds=0.2, confirmations=2)
    for mined_on_top in (0, 1):
        with pytest.raises(TransactionLost):
            send(connection, wallet, Payload(contract, b""))
        assert connection.block_number() >= mined_on_top
        anvil.mine()
    assert connection.block_number() - send(connection, wallet, Payload(contract, b"")).block == 2
    assert counted(connection, contract) == 1


def test_send_gas_limit_has_headroom_below_the_cap(connection: Connection, wallet: Wallet) -> None:
    contract = deployed(connection, wallet, WORKING)
    for loops in (1000, 200_000):
        mined = send(connection, wallet, Payload(contract, loops.to_bytes(32, "big")))
        limit = int(connection.request("eth_getTransactionByHash", mined.transaction_hash)["gas"], 16)
        assert mined.gas_used < limit <= MOST_GAS
        assert limit == MOST_GAS or limit > 1.2 * mined.gas_used


@pytest.mark.parametrize(
    ("runtime", "data", "words"),
    [(WORKING, (300_000).to_bytes(32, "big"), r"(?i)gas"), (COUNTING, bytes(131_072), "131072")],
    ids=["more gas than a transaction may have", "more bytes than public nodes take"],
)
def test_send_too_large_is_not_sent(connection: Connection, wallet: Wallet, runtime: bytes, data: bytes, words: str) -> None:
    contract = deployed(connection, wallet, runtime)
    before = nonce(connection, wallet)
    with pytest.raises((ChainError, LedgerError), match=words):
        send(connection, wallet, Payload(contract, data))
    assert nonce(connection, wallet) == before
