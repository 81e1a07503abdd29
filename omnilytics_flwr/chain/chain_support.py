"""What a chain has of what markets need: without some it holds none, without blobs none with accusations."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ..crypto.hashing import keccak256
from ..crypto.kzg import versioned_hash
from ..errors import UnsupportedChain
from ..evm.blobs import BLOB_TYPE, ZERO_SIDECAR, zero_sidecar
from ..evm.connection import HISTORY_CONTRACT
from ..evm.dialects import Meaning
from ..evm.endpoint import NodeError
from ..evm.fees import base_fee_wei, blob_base_fee_wei
from ..evm.rpc_values import octets
from ..evm.wallet import Wallet
from ..market.terms import Address
from ..market.terms_bounds import ETHEREUM, ChainLimits

if TYPE_CHECKING:
    from ..evm.connection import Connection

_INFINITY = b"\xc0" + bytes(47)
_ZERO_OPENING = b"\x01" + sha256(_INFINITY).digest()[1:] + bytes(64) + _INFINITY + _INFINITY
PRECOMPILES: dict[str, tuple[int, bytes, int]] = {
    "point evaluation (EIP-4844)": (0x0A, _ZERO_OPENING, 64),
    "BLS12-381 addition (EIP-2537)": (0x0B, bytes(256), 128),
    "BLS12-381 multi-exponentiation (EIP-2537)": (0x0C, bytes(160), 128),
}
"""Address, an input that must pass, and the length of the answer, of each precompile that a verification calls."""

BLOB_FIELDS = ("excessBlobGas", "blobGasUsed")
RETURN_BLOB_HASH = bytes.fromhex("5f 49 5f 52 60 20 5f f3")
"""Code that returns the hash of the first blob."""
_PROBE_FEE_WEI = 10**12
_PROBE_GAS = 21_000

L1_BLOCK = Address("0x4200000000000000000000000000000000000015")
"""Where rollups of the OP kind keep what they know of Ethereum's blocks."""

SETTLEMENT_BYTES = (ETHEREUM.settlement_bytes, 95_000, 60_000)
"""Sizes of transactions that are tried, the largest first."""
_TOO_LARGE = re.compile(r"oversized|too (?:large|big|long)|size", re.IGNORECASE)
_LARGE_GAS = 2**24
_ENVELOPE_BYTES = 256


def check_supported(connection: Connection) -> None:
    """Check that the chain has everything that a computed market needs.

    Raises
    ------
    UnsupportedChain
        The history of block hashes, or a base fee is missing.
    """
    if not connection.code(HISTORY_CONTRACT):
        raise UnsupportedChain(
            f"chain {connection.chain_id} keeps no history of block hashes (EIP-2935); "
            "expected a chain with Ethereum's Prague fork; use another"
        )
    base_fee_wei(connection)


def check_proofs(connection: Connection) -> None:
    """Check that the chain can verify proofs of distances, as exact and projected markets need it.

    Raises
    ------
    UnsupportedChain
        A precompile is missing.
    """
    for name, (number, data, length) in PRECOMPILES.items():
        if len(_precompile(connection, number, data)) != length:
            raise UnsupportedChain(
                f"chain {connection.chain_id} lacks the precompile {number:#04x}, {name}; "
                "expected a chain with Ethereum's Prague fork; use another, or create a computed market"
            )


def limits_of(connection: Connection) -> ChainLimits:
    """What the chain takes, as its node says; nothing that could be mined is sent.

    Raises
    ------
    UnsupportedChain
        It takes no transaction that could settle a round of any size.
    """
    size = next((size for size in SETTLEMENT_BYTES if _takes_bytes(connection, size)), None)
    if size is None:
        raise UnsupportedChain(
            f"chain {connection.chain_id} takes no transactions of {SETTLEMENT_BYTES[-1]:,} bytes; expected to settle rounds by them; "
            "use another chain or node"
        )
    try:
        check_blobs(connection)
    except UnsupportedChain:
        return ChainLimits(size, 0)
    return ChainLimits(size, min(ETHEREUM.blobs, _blobs_of_a_block(connection)))


def is_rollup(connection: Connection) -> bool:
    """Whether the chain is a rollup of the OP kind, whose sequencer chooses of which Ethereum block a random number is."""
    return bool(connection.code(L1_BLOCK))


def check_blobs(connection: Connection) -> None:
    """Check that accused data owners can answer: that the chain takes transactions with blobs.

    Layers on top of Ethereum have the opcode and the precompile, some even the header fields and a price, but take no blobs. What tells
    is what a node says to a blob transaction: one of an account without ether, which nobody could ever mine, is offered to it.

    Raises
    ------
    UnsupportedChain
        It does not, or the node does not know.
    """
    _check_blobs_are_seen(connection)
    refusal = _refusal_of_blobs(connection, 1)
    if refusal is not None:
        raise _without_blobs(connection, f"its node says: {refusal}")


def _check_blobs_are_seen(connection: Connection) -> None:
    latest = connection.block("latest")
    missing = [name for name in BLOB_FIELDS if latest.get(name) is None]
    if missing:
        raise _without_blobs(connection, f"its headers have no {' and no '.join(missing)}")
    blob_base_fee_wei(connection)
    if _sees_no_blobs(connection):
        raise _without_blobs(connection, "a contract does not see the blobs of a transaction")


def check_answers(connection: Connection, blobs: int) -> None:
    """Check that an accused could answer by this node, whose limits may be narrower than the chain's.

    Parameters
    ----------
    connection : Connection
    blobs : int
        Most blobs of a transaction of an answer.

    Raises
    ------
    UnsupportedChain
        The chain takes no blobs, or this node no transaction with so many.
    """
    _check_blobs_are_seen(connection)
    refusal = _refusal_of_blobs(connection, blobs, no_method=True)
    if refusal is not None:
        raise UnsupportedChain(
            f"this node takes no transaction with {blobs} blobs, {blobs * 131_072:,} bytes, of which an answer to an accusation is made: it "
            f"says {refusal}; raise its limits (the body of a request has twice as many digits), or use another node: who cannot answer "
            "loses the stake"
        )


def _without_blobs(connection: Connection, reason: str) -> UnsupportedChain:
    return UnsupportedChain(
        f"chain {connection.chain_id} takes no transactions with blobs: {reason}; expected Ethereum's Osaka fork (EIP-4844 and "
        "EIP-7594), for without blobs nobody could answer an accusation; use another chain, or terms without accusations"
    )


def _precompile(connection: Connection, number: int, data: bytes) -> bytes:
    try:
        return connection.octets("eth_call", {"to": f"0x{number:040x}", "data": "0x" + data.hex()}, "latest")
    except NodeError as error:
        if error.meaning is not Meaning.REVERT:
            raise
        return b""


def _sees_no_blobs(connection: Connection) -> bool:
    """Whether a contract sees no blob hash in a call that has one; False if the node cannot pretend that there is such a contract."""
    contract, caller = (Address("0x" + keccak256(name)[12:].hex()) for name in (b"probe", b"caller"))
    blob_hash = versioned_hash(ZERO_SIDECAR.commitments[0])
    call: dict[str, Any] = {"from": caller, "to": contract, "blobVersionedHashes": ["0x" + blob_hash.hex()], "maxFeePerBlobGas": "0x2"}
    overrides = {contract: {"code": "0x" + RETURN_BLOB_HASH.hex()}, caller: {"balance": hex(10**24)}}
    try:
        answer = octets("eth_call", connection.request("eth_call", call, "latest", overrides))
    except NodeError:
        return False
    return answer not in (b"", blob_hash)


def _blobs_of_a_block(connection: Connection) -> int:
    """Most blobs in a block (EIP-7910); if the node does not tell, most of a transaction that it is offered."""
    try:
        return int(connection.request("eth_config")["current"]["blobSchedule"]["max"])
    except NodeError as error:
        if error.meaning is not Meaning.NO_METHOD:
            raise
    except (KeyError, TypeError, ValueError):
        pass
    return next((blobs for blobs in range(ETHEREUM.blobs, 1, -1) if _refusal_of_blobs(connection, blobs) is None), 1)


def _refusal_of_blobs(connection: Connection, blobs: int, *, no_method: bool = False) -> str | None:
    """Why the node takes no blob transactions; None if all that it has against one is that nobody could pay for it.

    With `no_method`, a node that takes no transactions at all is one that refuses; by itself it tells nothing of the chain.
    """
    fields = {
        "type": BLOB_TYPE,
        "gas": _PROBE_GAS,
        "maxFeePerBlobGas": _PROBE_FEE_WEI,
        "blobVersionedHashes": [versioned_hash(ZERO_SIDECAR.commitments[0])] * blobs,
    }
    refusal = _refusal(connection, zero_sidecar(blobs).wrapped(_unpayable(connection, fields)))
    # Only what it says of the payment shows that it has read the rest.
    unheard = (Meaning.POOR,) if no_method else (Meaning.POOR, Meaning.NO_METHOD)
    return None if refusal is None or refusal.meaning in unheard else refusal.message


def _takes_bytes(connection: Connection, size: int) -> bool:
    """Whether the node says something else than that it is too large of a transaction that nobody could pay for."""
    refusal = _refusal(connection, _unpayable(connection, {"type": 2, "gas": _LARGE_GAS, "data": bytes(size - _ENVELOPE_BYTES)}))
    if refusal is None or refusal.meaning in (Meaning.POOR, Meaning.NO_METHOD):
        return True
    if not _TOO_LARGE.search(refusal.message):
        raise refusal
    return False


def _unpayable(connection: Connection, fields: dict[str, Any]) -> bytes:
    """A signed transaction of an account without ether."""
    plain = {"chainId": connection.chain_id, "nonce": 0, "to": bytes(20), "value": 0, "data": b""}
    fees = {"maxFeePerGas": _PROBE_FEE_WEI, "maxPriorityFeePerGas": _PROBE_FEE_WEI}
    return Wallet.create().sign_transaction(plain | fees | fields)[0]


def _refusal(connection: Connection, signed: bytes) -> NodeError | None:
    """What the node says of a transaction that it cannot take."""
    try:
        connection.request("eth_sendRawTransaction", "0x" + signed.hex())
    except NodeError as error:
        return error
    return None
