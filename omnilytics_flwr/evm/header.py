"""RLP headers of blocks, built from what nodes say about the blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import rlp

from ..crypto.hashing import keccak256
from ..errors import UnsupportedChain
from .endpoint import NodeError
from .rpc_values import BadAnswer, octets

if TYPE_CHECKING:
    from .connection import Connection

_BYTES, _NUMBER = "bytes", "number"
_FIELDS = (
    ("parentHash", _BYTES),
    ("sha3Uncles", _BYTES),
    ("miner", _BYTES),
    ("stateRoot", _BYTES),
    ("transactionsRoot", _BYTES),
    ("receiptsRoot", _BYTES),
    ("logsBloom", _BYTES),
    ("difficulty", _NUMBER),
    ("number", _NUMBER),
    ("gasLimit", _NUMBER),
    ("gasUsed", _NUMBER),
    ("timestamp", _NUMBER),
    ("extraData", _BYTES),
    ("mixHash", _BYTES),
    ("nonce", _BYTES),
)
_FORK_FIELDS = (
    ("baseFeePerGas", _NUMBER),  # London
    ("withdrawalsRoot", _BYTES),  # Shanghai
    ("blobGasUsed", _NUMBER),  # Cancun
    ("excessBlobGas", _NUMBER),
    ("parentBeaconBlockRoot", _BYTES),
    ("requestsHash", _BYTES),  # Prague
    ("blockAccessListHash", _BYTES),  # Amsterdam
    ("slotNumber", _NUMBER),
)


def block_header(connection: Connection, block_number: int) -> bytes:
    """RLP header of a block: the node's own if it gives it away (it knows every fork), else from the fields.

    Raises
    ------
    UnsupportedChain
        Neither hashes to the block's hash.
    """
    block = connection.block(block_number)
    try:
        header = octets("raw header", connection.request("debug_getRawHeader", hex(block_number)))
    except (NodeError, BadAnswer):  # most public nodes have no debug methods
        return header_rlp(block)
    return header if keccak256(header) == octets("hash of a block", block.get("hash"), 32) else header_rlp(block)


def header_rlp(block: Mapping[str, Any]) -> bytes:
    """RLP of the header of a block that ``eth_getBlockByNumber`` answered; hashes to the block's hash.

    Raises
    ------
    UnsupportedChain
        It does not: the chain's headers have fields that this version does not know, or the node tells them wrong.
    """
    present = [field for field in _FORK_FIELDS if block.get(field[0]) is not None]
    try:
        encoded = bytes(rlp.encode([_encoded(block[name], kind) for name, kind in (*_FIELDS, *present)]))
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise UnsupportedChain(f"the node's header lacks or garbles {error}; expected an Ethereum header; ask another node") from error
    if keccak256(encoded) != octets("hash of a block", block.get("hash"), 32):
        raise UnsupportedChain(
            f"the header of block {int(block['number'], 16)} does not hash to {block['hash']}; "
            "expected the fields up to Ethereum's Amsterdam fork; use a newer version of this package, or a node that has "
            "debug_getRawHeader; a draw takes its answer by --header"
        )
    return encoded


def _encoded(value: str, kind: str) -> bytes:
    digits = value.removeprefix("0x")
    if kind == _BYTES:
        return bytes.fromhex(digits)
    number = int(digits, 16)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
