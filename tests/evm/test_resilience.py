"""Nodes that restart, refuse, time out, are slow, forget or reorganise: every payload is on the chain once, or there is a clear end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from omnilytics_flwr.crypto.kzg import BLOB_BYTES
from omnilytics_flwr.errors import ChainError, TransactionLost, Unreachable
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.transaction import Mined, Payload
from omnilytics_flwr.evm.wallet import Wallet, dev_wallet
from omnilytics_flwr.market.terms import Address

from ..support.bad_inputs import full_disk
from ..support.nodes import FaultyNode, faulty_node, impatient, unmined
from .tiny_contracts import COUNTING, counted, deployed, nonce, send

PATIENCE_SECONDS = 60.0

CHILD = """
import sys
from pathlib import Path
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
connection = connect(sys.argv[1], outbox=Path(sys.argv[2]))
sender_for(connection, dev_wallet(0, connection)).send("child", Payload(sys.argv[3], b""))
"""


@pytest.fixture
def contract(connection: Connection, wallet: Wallet) -> Address:
    """Counts its calls."""
    return deployed(connection, wallet, COUNTING)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads to send from while the test lets the node fail."""
    with ThreadPoolExecutor() as pool:
        yield pool


def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pooled(anvil: Anvil) -> list[str]:
    """Hashes of the transactions that wait to be mined."""
    return [transaction["hash"] for transaction in unmined(anvil.endpoint)]


def sent_unmined(anvil: Anvil, pool: ThreadPoolExecutor, connection: Connection, wallet: Wallet, payload: Payload) -> Future[Mined]:
    """A transaction that is in the pool and waited for."""
    anvil.endpoint.request("evm_setAutomine", False)
    future = pool.submit(send, connection, wallet, payload)
    until(lambda: pooled(anvil))
    return future


def test_first_transaction_of_a_chain_is_sent_once_though_it_counts_before_its_block_is_there() -> None:
    """A node in the middle of mining block 1: its state has the transaction, its latest block is 0, and there is no receipt."""
    with Anvil() as fresh, faulty_node(fresh.url) as node:
        connection = connect(node.url)
        looks, mid_block = iter(range(3)), True

        def mining(early: object) -> Callable[[dict[str, object]], object]:
            """What is answered early, for as long as the block is not there."""
            return lambda answer: answer | {"result": early} if "eth_sendRawTransaction" in node.passed and mid_block else answer

        def receipt(answer: dict[str, object]) -> object:
            nonlocal mid_block
            mid_block = next(looks, None) is not None
            return answer | {"result": None} if mid_block else answer

        node.falsifying = {
            "eth_getTransactionReceipt": receipt,
            "eth_blockNumber": mining("0x0"),
            "eth_getTransactionCount": mining("0x1"),
        }
        send(connection, dev_wallet(0, connection), Payload(Address("0x" + "11" * 20), b""))
        assert node.passed.count("eth_sendRawTransaction") == 1
        assert fresh.endpoint.request("eth_blockNumber") == "0x1"


def test_dropped_while_waited_for_is_handed_over_again(
    anvil: Anvil, pool: ThreadPoolExecutor, connection: Connection, wallet: Wallet, contract: Address
) -> None:
    future = sent_unmined(anvil, pool, connection, wallet, Payload(contract, b""))
    (transaction_hash,) = pooled(anvil)
    for _ in range(2):
        anvil.endpoint.request("anvil_dropTransaction", transaction_hash)
        until(lambda: pooled(anvil) == [transaction_hash])
    anvil.mine()
    assert future.result(PATIENCE_SECONDS).transaction_hash == transaction_hash
    assert counted(connection, contract) == 1


@pytest.mark.parametrize("depth", [1, 3])
def test_reorganised_away_while_confirmed_is_handed_over_again(
    anvil: Anvil, pool: ThreadPoolExecutor, wallet: Wallet, contract: Address, depth: int
) -> None:
    connection = connect(anvil.url, confirmations=depth)
    future = pool.submit(send, connection, wallet, Payload(contract, b""))
    until(lambda: counted(connection, contract) == 1)
    first = anvil.endpoint.request("eth_getBlockByNumber", "latest", False)
    anvil.mine(depth - 1)
    anvil.endpoint.request("anvil_reorg", depth, [])
    until(lambda: counted(connection, contract) == 1)
    anvil.mine(depth)
    mined = future.result(PATIENCE_SECONDS)
    assert first["transactions"] == [mined.transaction_hash]
    assert connection.block(mined.block)["hash"] != first["hash"]
    assert counted(connection, contract) == 1


def test_nonce_taken_by_another_while_waited_for_is_sent_anew(
    anvil: Anvil, pool: ThreadPoolExecutor, connection: Connection, wallet: Wallet, contract: Address
) -> None:
    future = sent_unmined(anvil, pool, connection, wallet, Payload(contract, b""))
    (transaction_hash,) = pooled(anvil)
    nonce = int(anvil.endpoint.request("eth_getTransactionByHash", transaction_hash)["nonce"], 16)
    fields = {"type": 2, "to": wallet.address, "value": 0, "data": b"", "gas": 30_000, "chainId": connection.chain_id, "nonce": nonce}
    raw, replacement = wallet.sign_transaction(fields | {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**11})
    anvil.endpoint.request("eth_sendRawTransaction", "0x" + raw.hex())
    until(lambda: pooled(anvil) == [replacement])
    anvil.mine(2)
    until(lambda: pooled(anvil))
    anvil.mine()
    assert future.result(PATIENCE_SECONDS).transaction_hash not in {transaction_hash, replacement}
    assert counted(connection, contract) == 1


def test_node_that_refuses_for_a_while_is_waited_out(
    anvil: Anvil, node: FaultyNode, pool: ThreadPoolExecutor, wallet: Wallet, contract: Address
) -> None:
    connection = connect(node.url)
    future = sent_unmined(anvil, pool, connection, wallet, Payload(contract, b""))
    impatient(connection.endpoint)
    node.refusing = True
    anvil.mine()
    assert counted(connect(anvil.url), contract) == 1
    passed = len(node.passed)
    with pytest.raises(Unreachable):
        connection.block_number()
    assert not future.done()
    assert len(node.passed) == passed
    node.refusing = False
    future.result(PATIENCE_SECONDS)
    assert counted(connection, contract) == 1


def test_node_that_refuses_for_good_ends_with_transaction_lost_in_time(
    anvil: Anvil, node: FaultyNode, pool: ThreadPoolExecutor, wallet: Wallet, contract: Address
) -> None:
    connection = connect(node.url, receipt_seconds=3.0)
    future = sent_unmined(anvil, pool, connection, wallet, Payload(contract, b""))
    (transaction_hash,) = pooled(anvil)
    impatient(connection.endpoint)
    node.refusing = True
    with pytest.raises(TransactionLost) as caught:
        future.result(PATIENCE_SECONDS)
    assert caught.value.transaction_hash == transaction_hash
    assert isinstance(caught.value.__cause__, Unreachable)
    with pytest.raises(Unreachable):
        send(connection, wallet, Payload(contract, b""))
    node.refusing = False
    anvil.mine()
    assert send(connection, wallet, Payload(contract, b"")).transaction_hash == transaction_hash
    assert counted(connection, contract) == 1


ERROR = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32603, "message": "internal error"}}
NOTHING = {"jsonrpc": "2.0", "id": 0, "result": None}


@pytest.mark.parametrize("got_it", [False, True])
def test_node_that_does_not_say_whether_it_got_it_has_it_once(node: FaultyNode, wallet: Wallet, contract: Address, got_it: bool) -> None:
    """Once it times out, and has not; once it errs, and has."""
    connection = connect(node.url, timeout_seconds=3.0, receipt_seconds=1.0)
    if got_it:
        node.falsifying = {"eth_sendRawTransaction": lambda _: ERROR, "eth_getTransactionByHash": lambda _: NOTHING}
    else:
        node.holding = {"eth_sendRawTransaction"}
    with pytest.raises(TransactionLost):
        send(connection, wallet, Payload(contract, b""))
    until(lambda: counted(connection, contract) == got_it)
    node.falsifying, node.holding = {}, set()
    send(connection, wallet, Payload(contract, b""))
    assert counted(connection, contract) == 1


def test_receipt_that_one_of_several_nodes_lacks_is_waited_for(
    anvil: Anvil, node: FaultyNode, pool: ThreadPoolExecutor, wallet: Wallet, contract: Address
) -> None:
    node.falsifying = {"web3_clientVersion": lambda _: NOTHING | {"result": "Geth/v1.16.5"}}
    node.falsifying |= {"eth_getTransactionReceipt": lambda _: NOTHING, "eth_getTransactionByHash": lambda _: NOTHING}
    connection = connect(node.url)
    future = pool.submit(send, connection, wallet, Payload(contract, b""))
    until(lambda: "eth_getTransactionReceipt" in node.passed)
    anvil.mine(3)
    seen = len(node.passed)
    until(lambda: node.passed[seen:].count("eth_getTransactionReceipt") > 4)
    node.falsifying = {}
    future.result(PATIENCE_SECONDS)
    assert counted(connection, contract) == 1


def test_node_restarted_while_waited_for_gets_it_again(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    options = AnvilOptions(state=tmp_path / "chain.json")
    first = Anvil(options)
    with faulty_node(first.url) as node:
        connection = connect(node.url)
        wallet = dev_wallet(0, connection)
        contract = deployed(connection, wallet, COUNTING)
        future = sent_unmined(first, pool, connection, wallet, Payload(contract, b""))
        (transaction_hash,) = pooled(first)
        first.close()
        with Anvil(options) as second:
            assert counted(connect(second.url), contract) == 0
            node.upstream = second.url
            assert future.result(PATIENCE_SECONDS).transaction_hash == transaction_hash
            assert counted(connection, contract) == 1


@pytest.mark.parametrize("arrived", [True, False])
def test_process_killed_after_signing_is_gone_on_with_under_the_same_nonce(
    anvil: Anvil, node: FaultyNode, wallet: Wallet, contract: Address, tmp_path: Path, arrived: bool
) -> None:
    outbox = tmp_path / "outbox"
    connection = connect(anvil.url, outbox=outbox)
    start = nonce(connection, wallet)
    anvil.endpoint.request("evm_setAutomine", False)
    node.holding = set() if arrived else {"eth_sendRawTransaction"}
    process = subprocess.Popen([sys.executable, "-c", CHILD, node.url, str(outbox), contract])
    try:
        until(lambda: pooled(anvil) if arrived else node.held.is_set())
    finally:
        process.kill()
        process.wait()
    (entry,) = outbox.iterdir()
    assert entry.stat().st_mode & 0o777 == 0o600
    assert outbox.stat().st_mode & 0o777 == 0o700
    known = set(pooled(anvil))
    assert len(known) == arrived
    anvil.endpoint.request("evm_setAutomine", True)
    if arrived:
        anvil.mine()
    mined = send(connection, wallet, Payload(contract, b""))
    assert known <= {mined.transaction_hash}
    assert counted(connection, contract) == 1
    assert nonce(connection, wallet) == start + 1
    assert list(outbox.iterdir()) == []
    send(connection, wallet, Payload(contract, b""))
    assert counted(connection, contract) == 2


def test_stuck_transaction_of_a_process_before_is_raised_by_the_next(wallet: Wallet, tmp_path: Path) -> None:
    with Anvil() as anvil:  # its own, for a base fee that was set outlives a revert
        contract = deployed(connect(anvil.url), wallet, COUNTING)
        anvil.endpoint.request("evm_setAutomine", False)
        with pytest.raises(TransactionLost):
            send(connect(anvil.url, receipt_seconds=0.2, outbox=tmp_path), wallet, Payload(contract, b"1"))
        anvil.endpoint.request("anvil_setNextBlockBaseFeePerGas", hex(50 * 10**9))
        anvil.mine()
        restarted = connect(anvil.url, receipt_seconds=0.2, outbox=tmp_path)
        assert counted(restarted, contract) == 0, "it offers less than the base fee"
        with pytest.raises(TransactionLost):
            send(restarted, wallet, Payload(contract, b"2"))
        anvil.mine()
        assert counted(restarted, contract) == 2


def test_file_of_the_outbox_that_another_has_signed_is_not_raised(anvil: Anvil, wallet: Wallet, contract: Address, tmp_path: Path) -> None:
    anvil.endpoint.request("evm_setAutomine", False)
    connection = connect(anvil.url, receipt_seconds=0.1, outbox=tmp_path)
    stranger = dev_wallet(1, connection)
    with pytest.raises(TransactionLost):
        send(connection, stranger, Payload(contract, b"1"))
    (path,) = tmp_path.iterdir()
    path.rename(tmp_path / path.name.replace(stranger.address.lower(), wallet.address.lower()))
    before = set(pooled(anvil))
    with pytest.raises(TransactionLost):
        send(connect(anvil.url, receipt_seconds=0.1, outbox=tmp_path), wallet, Payload(contract, b"2"))
    (sent,) = set(pooled(anvil)) - before
    assert anvil.endpoint.request("eth_getTransactionByHash", sent)["input"] == "0x32"


def test_blobs_beside_another_pending_transaction_wait_until_it_is_mined(
    anvil: Anvil, node: FaultyNode, pool: ThreadPoolExecutor, wallet: Wallet, contract: Address
) -> None:
    node.reserving = True
    connection = connect(node.url, receipt_seconds=0.2)
    anvil.endpoint.request("evm_setAutomine", False)
    with pytest.raises(TransactionLost):
        send(connection, wallet, Payload(contract, b"1"))
    blobs = Payload(wallet.address, b"", blobs=(bytes(BLOB_BYTES),))
    with pytest.raises(Unreachable, match="the end of the other transactions"):
        send(connection, wallet, blobs)
    connection.receipt_seconds = PATIENCE_SECONDS
    future = pool.submit(send, connection, wallet, blobs)
    offered = node.passed.count("eth_sendRawTransaction")
    until(lambda: node.passed.count("eth_sendRawTransaction") > offered)
    anvil.mine()
    until(lambda: pooled(anvil))
    anvil.mine()
    future.result(PATIENCE_SECONDS)
    assert counted(connection, contract) == 1


def test_outbox_that_cannot_be_written_sends_nothing(anvil: Anvil, wallet: Wallet, contract: Address, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    connection = connect(anvil.url, outbox=tmp_path / "file" / "outbox")
    with pytest.raises(ChainError, match="cannot be read"):
        send(connection, wallet, Payload(contract, b""))
    assert counted(connection, contract) == 0


def test_what_needs_no_file_is_sent_though_the_disk_is_full(
    anvil: Anvil, wallet: Wallet, contract: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as an answer to an accusation: without it the stake is lost."""
    connection = connect(anvil.url, outbox=tmp_path)
    monkeypatch.setattr("omnilytics_flwr.files.os.fsync", full_disk)
    with pytest.raises(ChainError, match=r"cannot be written \(No space left"):
        send(connection, wallet, Payload(contract, b""))
    assert counted(connection, contract) == 0
    send(connection, wallet, Payload(contract, b"", needs_record=False))
    assert counted(connection, contract) == 1
    assert "is sent without its file" in caplog.text


def test_outbox_of_another_account_or_payload_is_not_taken(anvil: Anvil, wallet: Wallet, contract: Address, tmp_path: Path) -> None:
    connection = connect(anvil.url, receipt_seconds=0.1, outbox=tmp_path)
    anvil.endpoint.request("evm_setAutomine", False)
    lost = set()
    for payload, sender in ((b"", wallet), (b"\x01", wallet), (b"", dev_wallet(1, connection))):
        with pytest.raises(TransactionLost) as caught:
            send(connect(anvil.url, receipt_seconds=0.1, outbox=tmp_path), sender, Payload(contract, payload))
        lost.add(caught.value.transaction_hash)
    assert len(lost) == len(list(tmp_path.iterdir())) == len(pooled(anvil)) == 3
