"""Whatever comes from outside, right, wrong or malformed: what decodes it returns, or raises an error of our tree."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.known_deployments import parse_deployments
from omnilytics_flwr.chain.market_reader import implementation_of, market_reverts
from omnilytics_flwr.errors import OmnilyticsError
from omnilytics_flwr.evm import rpc_values
from omnilytics_flwr.evm.abi import decode_values
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.endpoint import NodeError
from omnilytics_flwr.evm.header import header_rlp
from omnilytics_flwr.evm.outbox import Outbox, Pending
from omnilytics_flwr.evm.reverts import revert_data
from omnilytics_flwr.evm.transaction import Payload, log_of, mined_of
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_key
from omnilytics_flwr.market.draw import prevrandao_of
from omnilytics_flwr.market.terms import Address

from ..support.nodes import JSON, PURE, REAL, spoiled, survives

HASH = "0x" + "11" * 32
LOG = {"address": "0x" + "22" * 20, "topics": [HASH, HASH], "data": "0x1234"}
RECEIPT: dict[str, Any] = {
    "transactionHash": HASH,
    "blockNumber": "0x5",
    "gasUsed": "0x5208",
    "effectiveGasPrice": "0x3b9aca00",
    "status": "0x1",
    "blobGasUsed": "0x20000",
    "blobGasPrice": "0x1",
    "contractAddress": None,
    "logs": [LOG],
}


@PURE
@given(JSON)
def test_answers_are_what_they_are_asked_to_be(value: object) -> None:
    for parse, kind in ((rpc_values.quantity, int), (rpc_values.octets, bytes), (rpc_values.record, dict), (rpc_values.address, str)):
        with suppress(rpc_values.BadAnswer):
            assert type(parse("answer", value)) is kind
    survives(lambda: rpc_values.records("answer", value))


@PURE
@given(spoiled(RECEIPT), spoiled(LOG), st.binary(max_size=200))
def test_receipts_and_logs_of_a_market(receipt: Any, log: Any, data: bytes) -> None:
    abi = artifacts.load(artifacts.MARKET).abi
    survives(lambda: mined_of(rpc_values.record("receipt", receipt), 1.0))
    survives(lambda: log_of(rpc_values.record("log", log)))
    for topic, signature in abi.events.items():
        topics = [topic, *(data[:32].ljust(32, b"\xff") for _ in range(sum(signature.indexed)))]
        survives(lambda: abi.log(topics, data))  # noqa: B023 - called at once


FUNCTIONS = artifacts.load(artifacts.MARKET).abi.functions
TYPES = [("string",), ("bytes",), ("uint256[]",), ("(string,uint8)[]",), ("address",), ("bool",)]


@PURE
@given(st.sampled_from(TYPES + [FUNCTIONS[name].results for name in sorted(FUNCTIONS)]), st.binary(max_size=300))
@example(("string",), b"\xff" * 64)
@example(("uint256[]",), (32).to_bytes(32, "big") + b"\xff" * 32)
def test_values(types: tuple[str, ...], data: bytes) -> None:
    survives(lambda: decode_values(types, data))


@PURE
@given(st.sampled_from(sorted(market_reverts()._signatures)), st.binary(max_size=150))
@example(bytes.fromhex("08c379a0"), b"\xff" * 64)
def test_revert_data_is_an_error_with_a_text(selector: bytes, rest: bytes) -> None:
    for data in (selector + rest, selector[: len(rest) % 4], rest):
        error = market_reverts().exception(data)
        assert isinstance(error, OmnilyticsError)
        assert str(error)


@PURE
@given(st.one_of(JSON, st.text(max_size=30).map(lambda text: "Reverted " + text)), st.text(max_size=40))
def test_revert_data_of_nodes(data: object, message: str) -> None:
    found = revert_data(NodeError("eth_call", 3, message, data))
    assert found is None or isinstance(found, bytes)


@REAL
@given(data=st.data())
def test_header_fields(connection: Connection, data: st.DataObject) -> None:
    block = connection.block("latest")
    assert prevrandao_of(header_rlp(block)) == bytes.fromhex(block["mixHash"][2:])
    fields = data.draw(spoiled(block))
    assume(isinstance(fields, dict))
    survives(lambda: header_rlp(fields))


@PURE
@given(spoiled({"1": {"verification": LOG["address"], "implementation": LOG["address"], "factory": LOG["address"], "block": 3}}))
def test_known_deployments(deployments: Any) -> None:
    survives(lambda: parse_deployments(json.dumps(deployments, default=repr)))


@PURE
@given(st.binary(max_size=700))
def test_header_bytes_and_code_of_a_proxy(raw: bytes) -> None:
    survives(lambda: prevrandao_of(raw))
    found = implementation_of(raw)
    assert found is None or len(found) == 42


def keystore() -> dict[str, Any]:
    """A keystore with a cheap key derivation."""
    from eth_account import Account

    made: dict[str, Any] = json.loads(json.dumps(Account.encrypt(dev_key(0), "word", kdf="pbkdf2", iterations=2)))
    return made


KEYSTORE = keystore()
DEEP = ["[", '{"crypto":']


@settings(PURE, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(spoiled(KEYSTORE, 4).map(json.dumps), st.text(max_size=50), st.sampled_from(DEEP).map(lambda start: start * 2000)),
    st.binary(max_size=100),
)
@example(json.dumps(KEYSTORE), b"word")
@example(json.dumps(KEYSTORE), b"\xff")
def test_keystores_and_passwords(tmp_path: Path, text: str, raw: bytes) -> None:
    path = tmp_path / "keystore.json"
    for contents in (text.encode(errors="surrogatepass"), raw):
        path.write_bytes(contents)
        for password in (b"word", raw):
            survives(lambda: Wallet.from_keystore(path, Secret(password)))  # noqa: B023 - called at once


KDF = {
    "scrypt": {"dklen": 32, "n": 2, "r": 8, "p": 1, "salt": "00" * 16},
    "pbkdf2": {"dklen": 32, "c": 1, "prf": "hmac-sha256", "salt": "00" * 16},
}


@settings(PURE, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kdf=st.sampled_from(sorted(KDF)), number=st.sampled_from([-1, 0, 1, 3, 2**31, 2**63, 2**64, 10**30, 1.5, "8", None]))
def test_keystores_with_strange_key_derivation_end_at_once(tmp_path: Path, data: st.DataObject, kdf: str, number: object) -> None:
    """None of them may take the machine's memory or an hour."""
    name = data.draw(st.sampled_from(sorted(KDF[kdf])))
    spoilt = KEYSTORE | {"crypto": KEYSTORE["crypto"] | {"kdf": kdf, "kdfparams": KDF[kdf] | {name: number}}}
    path = tmp_path / "keystore.json"
    path.write_text(json.dumps(spoilt))
    survives(lambda: Wallet.from_keystore(path, Secret(b"word")))


ENTRY: dict[str, Any] = {
    "transaction": {"chainId": 1, "nonce": 2, "gas": 21000, "value": 3, "maxFeePerGas": 4, "maxPriorityFeePerGas": 5},
    "signed": "02",
    "hashes": [HASH],
}


@settings(PURE, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        spoiled(ENTRY).map(lambda value: json.dumps(value).encode()), st.binary(max_size=50), st.just(b"[").map(lambda start: start * 2000)
    )
)
@example(json.dumps(ENTRY).encode())
def test_outbox_files(tmp_path: Path, text: bytes) -> None:
    account, payload = Address("0x" + "22" * 20), Payload(None, b"\x01", 3)
    outbox = Outbox(tmp_path, 1, account)
    outbox.put(Pending(payload, payload.fields() | ENTRY["transaction"], b"\x02", [HASH]))
    (path,) = tmp_path.glob("*.json")
    path.write_bytes(text)

    def read() -> None:
        found = Outbox(tmp_path, 1, account).get(payload)
        assert found is not None
        assert found.transaction["data"] == b"\x01"
        assert found.hashes
        found.raw()

    survives(read)
    outbox.remove(payload)
    assert not list(tmp_path.glob("*.json"))
