"""The vectors that accused data owners answered with, read from a market's logs and the blobs of the transactions that these name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..crypto.hashing import word
from ..crypto.kzg import BLOB_BYTES
from ..errors import BlobsMissing, ChainError
from ..evm import rpc_values
from ..evm.abi import Abi
from ..evm.beacon import SLOT_SECONDS, BeaconNode
from ..evm.blobs import blobs_by_hash
from ..evm.dialects import Meaning
from ..evm.endpoint import NodeError
from ..evm.transaction import log_of
from ..market.terms import Address
from ..node_address import redacted

if TYPE_CHECKING:
    from ..evm.connection import Connection

ANSWERED = "Answered"
DELIVERED = "Delivered"
WINDOW_BLOCKS = 2000
"""So many blocks are asked for at once, and half as many whenever a node refuses."""
SLOT_SECONDS_OF = {100: 5, 10_200: 5}
"""Of Gnosis and its test chain."""
BLOB_DAYS = 18
"""Nobody is bound to keep blobs for longer."""


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """One answer: `count` polynomials from `first` on are the blobs of a transaction after the first `skipped`."""

    first: int
    count: int
    skipped: int
    transaction_hash: str
    block: int


@dataclass(frozen=True, slots=True)
class AnswerQuery:
    """Whose answer is looked for.

    Attributes
    ----------
    market : Address
    round_number, seat : int
    polynomials : int
        B.
    since : int
        Unix seconds: it is not older than that.
    """

    market: Address
    round_number: int
    seat: int
    polynomials: int
    since: int

    def missing(self, found: int, advice: str) -> BlobsMissing:
        """The error for an answer of which only `found` polynomials are there."""
        return BlobsMissing(self.round_number, self.seat, found * BLOB_BYTES, self.polynomials * BLOB_BYTES, advice)


def fetch_vector(connection: Connection, abi: Abi, answer: AnswerQuery) -> bytes:
    """The vector of an answer as it travels, 131,072 bytes for each polynomial; its blobs are checked against their hashes.

    Raises
    ------
    BlobsMissing
        The answer is not complete, or nobody that this connection knows keeps its blobs.
    """
    parts = find_parts(connection, abi, answer)
    if sum(part.count for part in parts) != answer.polynomials:
        raise answer.missing(sum(part.count for part in parts), "wait for the rest of it until the accusation lapses")
    blobs: list[bytes] = []
    for part in parts:
        found = fetch_blobs(connection, part)
        if len(found) != part.count:
            raise answer.missing(len(blobs) + len(found), _advice(connection, part))
        blobs += found
    return b"".join(blobs)


def find_parts(connection: Connection, abi: Abi, answer: AnswerQuery) -> list[AnswerPart]:
    """The parts of an answer that belong together from the first polynomial on, latest blocks searched first."""
    found: dict[int, AnswerPart] = {}
    for logs in _logs(connection, abi, ANSWERED, answer):
        for part in (_part(abi, log) for log in logs):
            found.setdefault(part.first, part)
        if sum(part.count for part in _in_order(found)) >= answer.polynomials:
            break
    return _in_order(found)


def fetch_delivery(connection: Connection, abi: Abi, answer: AnswerQuery) -> bytes:
    """Projected digest and signature that an accused of a projected market brought with its last polynomial, 96 bytes.

    Raises
    ------
    BlobsMissing
        It has not answered in full.
    """
    for logs in _logs(connection, abi, DELIVERED, answer):
        for log in reversed(logs):
            fields = _fields(abi, DELIVERED, log)
            return bytes(fields["projectedDigest"]) + bytes(fields["signature"])  # type: ignore[call-overload,no-any-return]
    raise answer.missing(0, "wait for the rest of it until the accusation lapses")


def fetch_blobs(connection: Connection, part: AnswerPart) -> list[bytes]:
    """The blobs of one part that are to be had, each the one that the transaction names."""
    transaction = rpc_values.record("transaction", connection.request("eth_getTransactionByHash", part.transaction_hash))
    named = transaction.get("blobVersionedHashes")
    if not isinstance(named, list) or len(named) < part.skipped + part.count:
        raise rpc_values.bad("list of blobs", named)
    hashes = [rpc_values.octets("hash of a blob", blob_hash, 32) for blob_hash in named[part.skipped : part.skipped + part.count]]
    blobs = blobs_by_hash(_served(connection, part, hashes))
    return [blobs[blob_hash] for blob_hash in hashes if blob_hash in blobs]


def _served(connection: Connection, part: AnswerPart, hashes: Sequence[bytes]) -> list[bytes]:
    """What somebody serves as the blobs of a part."""
    if connection.blobs_url is not None:
        timestamp, found, failure = connection.timestamp(part.block), list[bytes](), None
        for url in connection.blobs_url.split(","):
            slot_seconds = SLOT_SECONDS_OF.get(connection.chain_id, SLOT_SECONDS)
            try:
                found += BeaconNode(url.strip(), connection.endpoint.timeout_seconds, slot_seconds).blobs(timestamp, hashes)
            except ChainError as error:  # the next one may serve them
                failure = error
            if len(blobs_by_hash(found)) >= len(set(hashes)):
                return found
        if failure is not None and not found:
            raise failure
        return found
    served = connection.request("anvil_getBlobsByTransactionHash", part.transaction_hash) if connection.is_local else None
    if not isinstance(served, list):
        return []
    return [rpc_values.octets("blob", blob) for blob in served]


def _advice(connection: Connection, part: AnswerPart) -> str:
    """What to do if the blobs of a part are not served."""
    if connection.blobs_url is None:
        return (
            f"execution nodes do not keep the blobs of transaction {part.transaction_hash}: set OMNILYTICS_BLOBS_URL, or in Python the "
            "connection's blobs_url, to the address of a beacon node that keeps all blobs (a supernode or semi-supernode)"
        )
    return (
        f"{redacted(connection.blobs_url)} does not serve the blobs of transaction {part.transaction_hash}: name a beacon node that keeps "
        f"all blobs (a supernode or semi-supernode), which it does for {BLOB_DAYS} days"
    )


def _logs(connection: Connection, abi: Abi, event: str, answer: AnswerQuery) -> Iterator[list[dict[str, object]]]:
    """Logs of an event that is about this answer, by spans of blocks, the latest first, back to its earliest time."""
    topic = next(topic for topic, signature in abi.events.items() if signature.name == event)
    topics = ["0x" + topic.hex(), None, "0x" + word(answer.round_number).hex(), "0x" + word(answer.seat).hex()]
    last, blocks = connection.block_number(), WINDOW_BLOCKS
    while last >= 0:
        first = max(0, last - blocks + 1)
        window = {"address": answer.market, "topics": topics, "fromBlock": hex(first), "toBlock": hex(last)}
        try:
            found = connection.request("eth_getLogs", window)
        except NodeError as error:
            if error.meaning is not Meaning.RANGE or blocks == 1:
                raise
            blocks //= 2
            continue
        yield rpc_values.records("logs", found)
        if connection.timestamp(first) < answer.since:
            return
        last = first - 1


def _part(abi: Abi, log: dict[str, object]) -> AnswerPart:
    fields = _fields(abi, ANSWERED, log)
    transaction_hash = "0x" + rpc_values.octets("transactionHash", log.get("transactionHash"), 32).hex()
    start, count, first = (int(str(fields[name])) for name in ("from", "count", "first"))
    return AnswerPart(start, count, start - first, transaction_hash, rpc_values.field(log, "blockNumber"))


def _fields(abi: Abi, event: str, log: dict[str, object]) -> dict[str, object]:
    decoded = abi.log(*log_of(log)[1:])
    if decoded is None or decoded[0] != event:
        raise rpc_values.bad("log", log)
    return decoded[1]


def _in_order(found: dict[int, AnswerPart]) -> list[AnswerPart]:
    """Parts from polynomial 0 on, each beginning where the one before ends."""
    parts: list[AnswerPart] = []
    while (part := found.get(parts[-1].first + parts[-1].count if parts else 0)) is not None and part.count > 0:
        parts.append(part)
    return parts
