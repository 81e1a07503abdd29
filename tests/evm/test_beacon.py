"""Beacon nodes: the slot of a block, and blobs whatever the node makes of the question."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from omnilytics_flwr.crypto.kzg import BLOB_BYTES
from omnilytics_flwr.errors import ChainError, Unreachable
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.beacon import BeaconNode
from omnilytics_flwr.evm.blobs import versioned_hashes
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.reverts import PLAIN
from omnilytics_flwr.evm.rpc_values import BadAnswer
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for

from ..support.nodes import Answer, answering

BLOBS = (bytes(BLOB_BYTES), bytes(31) + b"\x01" + bytes(BLOB_BYTES - 32))
HASH = b"\x01" * 32


def body(document: object) -> Answer:
    return 200, json.dumps(document).encode()


GENESIS = body({"data": {"genesis_time": "1000"}})


def test_blobs_of_a_block_by_its_timestamp() -> None:
    with Anvil(AnvilOptions(block_seconds=12)) as anvil:
        connection = connect(anvil.url)
        wallet = dev_wallet(0, connection)
        anvil.mine(3)
        mined = sender_for(connection, wallet).send("blobs", Payload(wallet.address, b"", 0, BLOBS), PLAIN)
        node = BeaconNode(anvil.url + "/")
        assert set(node.blobs(connection.timestamp(mined.block), versioned_hashes(BLOBS))) == set(BLOBS)
        assert node.blobs(connection.timestamp(mined.block) - 12, versioned_hashes(BLOBS)) == []


def test_slot_seconds_of_the_node_are_used() -> None:
    spec = body({"data": {"SECONDS_PER_SLOT": "5"}})
    asked: list[str] = []
    answers = [GENESIS, spec, body({"data": ["0x12"]})]
    with answering(lambda n: answers[n], asked) as url:
        assert BeaconNode(f"{url}/path?key=secret").blobs(1050, [HASH]) == [b"\x12"]
    assert asked[0] == "/path/eth/v1/beacon/genesis?key=secret"
    assert asked[2] == f"/path/eth/v1/beacon/blobs/10?key=secret&versioned_hashes=0x{HASH.hex()}"


def test_node_that_fails_is_asked_again_and_one_that_answers_a_part_for_all() -> None:
    failures = [(503, b""), (200, b"<html>"), (429, b"")]
    answers = [*failures, GENESIS, (404, b""), body({"data": ["0x12"]}), body({"data": ["0x12", "0x34"]})]
    with answering(lambda n: answers[n]) as url:
        assert BeaconNode(url).blobs(1012, [HASH, HASH[::-1]]) == [b"\x12", b"\x34"]


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        ((410, b""), ChainError, "supernode"),
        ((403, b""), ChainError, "supernode"),
        ((503, b""), Unreachable, "HTTP status 503"),
        ((200, b"<html>"), Unreachable, "not JSON"),
        (body({"data": None}), BadAnswer, "list of blobs"),
        (body({"data": [1]}), BadAnswer, "blob"),
    ],
)
def test_node_that_does_not_serve_raises(answer: Answer, expected: type[ChainError], words: str) -> None:
    with answering(lambda n: [GENESIS, (404, b"")][n] if n < 2 else answer) as url, pytest.raises(expected, match=words):
        BeaconNode(url, 0.3).blobs(1012, [HASH])


@pytest.mark.parametrize("genesis", ["x", 12, None, "-1", "1" * 19, "", "١"])
def test_node_without_a_genesis_raises_bad_answer(genesis: object) -> None:
    with answering(lambda _: body({"data": {"genesis_time": genesis}})) as url, pytest.raises(BadAnswer):
        BeaconNode(url, 0.3).blobs(1012, [HASH])


def test_address_that_is_none_raises_and_keys_are_hidden(unused_address: str) -> None:
    with pytest.raises(Unreachable, match="no address of a node"):
        BeaconNode("ftp://somewhere")
    node = BeaconNode(unused_address + "/secret?key=secret", 0.2)
    assert "secret" not in repr(node)
    with pytest.raises(Unreachable, match="does not answer") as caught:
        node.blobs(1012, [HASH])
    assert "secret" not in str(caught.value)


def test_node_that_breaks_off_is_one_that_does_not_answer() -> None:
    def break_off() -> None:
        for _ in range(2):
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=break_off, daemon=True)
        thread.start()
        node = BeaconNode(f"http://127.0.0.1:{server.getsockname()[1]}", timeout_seconds=0.2)
        with pytest.raises(Unreachable):
            node.blobs(1012, [HASH])


@pytest.mark.parametrize(
    ("spec", "slot"),
    [({"SLOT_DURATION_MS": "6000"}, 8), ({"SECONDS_PER_SLOT": "12", "SLOT_DURATION_MS": "6000"}, 4), ({}, 10), (None, 10)],
)
def test_slot_is_what_the_node_or_else_the_chain_says(spec: dict[str, str] | None, slot: int) -> None:
    asked: list[str] = []
    answers = [GENESIS, (404, b"") if spec is None else body({"data": spec}), body({"data": ["0x12"]})]
    with answering(lambda n: answers[n], asked) as url:
        BeaconNode(url, slot_seconds=5).blobs(1050, [HASH])
    assert asked[2].startswith(f"/eth/v1/beacon/blobs/{slot}?")


def test_node_without_the_path_of_blobs_is_asked_for_sidecars() -> None:
    asked: list[str] = []
    answers = [GENESIS, (404, b""), (404, b""), body({"data": [{"index": "0", "blob": "0x12"}]})]
    with answering(lambda n: answers[n], asked) as url:
        assert BeaconNode(url).blobs(1012, [HASH]) == [b"\x12"]
    assert asked[3] == "/eth/v1/beacon/blob_sidecars/1"
