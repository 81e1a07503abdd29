"""The ABI codec, on values that Solidity's own documentation and the market's interface give."""

from __future__ import annotations

import pytest

from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.errors import Malformed
from omnilytics_flwr.evm.abi import Abi, decode_values

OWNER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
OWNER_WORD = bytes(12) + bytes.fromhex(OWNER[2:])

POINT = {"name": "point", "type": "tuple[]", "components": [{"name": "x", "type": "uint256"}, {"name": "who", "type": "address"}]}
ABI = Abi(
    [
        {"type": "function", "name": "baz", "inputs": [{"type": "uint32"}, {"type": "bool"}], "outputs": [POINT]},
        {"type": "function", "name": "take", "inputs": [POINT], "outputs": []},
        {
            "type": "event",
            "name": "Joined",
            "inputs": [
                {"name": "owner", "type": "address", "indexed": True},
                {"name": "seat", "type": "uint8", "indexed": True},
                {"name": "maskKey", "type": "bytes32", "indexed": False},
                {"name": "note", "type": "string", "indexed": True},
            ],
        },
        {"type": "constructor", "inputs": []},
    ]
)
JOINED = keccak256(b"Joined(address,uint8,bytes32,string)")


def test_call_data_documented_example_is_encoded_so() -> None:
    expected = "cdcd77c0" + "45".rjust(64, "0") + "1".rjust(64, "0")
    assert ABI.call_data("baz", 69, True).hex() == expected


def test_call_data_tuple_array_has_canonical_selector() -> None:
    assert ABI.call_data("take", [(1, OWNER)])[:4] == keccak256(b"take((uint256,address)[])")[:4]


def test_results_nested_addresses_have_checksums() -> None:
    data = word(32) + word(2) + word(7) + OWNER_WORD + word(8) + OWNER_WORD
    assert ABI.results("baz", data) == (((7, OWNER), (8, OWNER)),)


@pytest.mark.parametrize("data", [b"", word(32), word(32) + word(1) + word(7), word(2**255)])
def test_results_short_or_wild_data_raises_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        ABI.results("baz", data)


def test_log_known_event_gives_fields_in_order() -> None:
    topics = (JOINED, OWNER_WORD, word(9), keccak256(b"hello"))
    assert ABI.log(topics, b"\xaa" * 32) == ("Joined", {"owner": OWNER, "seat": 9, "maskKey": b"\xaa" * 32, "note": keccak256(b"hello")})


@pytest.mark.parametrize("topics", [(), (keccak256(b"Other()"),), (JOINED, OWNER_WORD, word(9))])
def test_log_other_event_is_none(topics: tuple[bytes, ...]) -> None:
    assert ABI.log(topics, b"\xaa" * 32) is None


def test_decode_values_tuples_in_tuples_keep_their_shape() -> None:
    data = word(1) + OWNER_WORD + OWNER_WORD + word(5)
    assert decode_values(["(uint8,(address,address[1]),uint256)"], data) == ((1, (OWNER, (OWNER,)), 5),)
