"""Reading all that reached a market from a chain: its logs, and the calls behind them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..audit.gates import voucher_gate
from ..audit.history import MarketCall, MarketEnd, MarketHistory, MarketLog, MarketTransaction, OwnerFacts, TokenTransfer
from ..audit.market_base import Gate
from ..audit.verifications import ComputedVerification, SumcheckVerification, Verification
from ..crypto.address import ZERO_ADDRESS, Address
from ..errors import ChainError, Malformed
from ..evm import erc20, rpc_values
from ..evm.endpoint import NodeError
from ..evm.logs import logs_between
from ..evm.transaction import Mined, log_of, mined_of
from ..market.stage import Event
from . import artifacts
from .market_reader import MarketReader

if TYPE_CHECKING:
    from ..evm.connection import Connection
    from ..market.terms import Terms

_READERS = 4
"""Requests that are on their way at a time: a distant node answers each of some thousand only after a while."""
_CALLS = frozenset(event.value for event in Event)
_PRICED_BY_BLOBS = frozenset((Event.ACCUSE.value, Event.ANSWER.value))
"""Calls that look at the price of blobs."""
_VERIFICATIONS: Mapping[str, Callable[[Terms], Verification]] = {
    artifacts.VERIFICATION: lambda terms: SumcheckVerification(),
    artifacts.COMPUTED: ComputedVerification,
}
"""What recomputes the verdicts of each verification that this version knows."""


class HistoryReader:
    """What reached a market, read once and then block by block.

    Parameters
    ----------
    reader : MarketReader
    first_block : int (default: 0)
        No earlier block has anything of the market.
    """

    def __init__(self, reader: MarketReader, first_block: int = 0) -> None:
        self._reader = reader
        self._connection: Connection = reader.connection
        self._abi = artifacts.load(artifacts.MARKET).abi
        self._next = first_block
        self._blocks: dict[int, dict[str, Any]] = {}

    def read_through(self, last_block: int) -> tuple[MarketTransaction, ...]:
        """Transactions after those that were read before, through a block.

        Raises
        ------
        ChainError
            The node cannot show them; many have no logs of old blocks.
        """
        grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for log in logs_between(self._connection, self._reader.address, self._next, last_block):
            grouped["0x" + rpc_values.octets("transactionHash", log.get("transactionHash"), 32).hex()].append(log)
        with ThreadPoolExecutor(_READERS) as pool:
            found = tuple(pool.map(self._transaction, grouped, grouped.values()))
        self._next = max(self._next, last_block + 1)
        return found

    def _transaction(self, transaction_hash: str, logs: Sequence[Mapping[str, Any]]) -> MarketTransaction:
        number = rpc_values.field(logs[0], "blockNumber")
        block = self._block(number)
        receipt = rpc_values.record("receipt", self._connection.request("eth_getTransactionReceipt", transaction_hash))
        mined, said = mined_of(receipt, 0.0), self._connection.request("eth_getTransactionByHash", transaction_hash)
        transaction = rpc_values.record("transaction", said) if said is not None else {}
        calls = self._calls(transaction_hash, transaction)
        return MarketTransaction(
            transaction_hash=transaction_hash,
            block=number,
            timestamp=rpc_values.field(block, "timestamp"),
            sender=rpc_values.address("from", receipt.get("from")),
            calls=calls,
            logs=tuple(self._logs(logs)),
            transfers=self._transfers(mined),
            blob_hashes=tuple(rpc_values.octets("hash of a blob", one, 32) for one in transaction.get("blobVersionedHashes") or ()),
            base_fee_wei=rpc_values.field(block, "baseFeePerGas"),
            blob_base_fee_wei=self._blob_base_fee_wei(number, receipt, calls),
            gas_used=mined.gas_used,
            fee_wei=mined.fee_wei,
        )

    def _block(self, number: int) -> dict[str, Any]:
        if number not in self._blocks:
            self._blocks[number] = self._connection.block(number)
        return self._blocks[number]

    def _logs(self, logs: Iterable[Mapping[str, Any]]) -> Iterable[MarketLog]:
        for log in logs:
            _, topics, data = log_of(dict(log))
            decoded = self._abi.log(topics, data)
            if decoded is None:
                raise rpc_values.bad("log", log)
            yield decoded

    def _transfers(self, mined: Mined) -> tuple[TokenTransfer, ...]:
        token = self._reader.terms().token
        if token == ZERO_ADDRESS:
            return ()
        moved = (TokenTransfer(*transfer) for transfer in erc20.transfers(mined.logs, token))
        return tuple(one for one in moved if self._reader.address in (one.sender, one.to))

    def _calls(self, transaction_hash: str, transaction: Mapping[str, Any]) -> tuple[MarketCall, ...] | None:
        """What a transaction asked of the market; of one that came through another contract only a node that traces can tell."""
        if not transaction:
            return None
        direct = self._call(transaction)
        if direct is not None:
            return (direct,)
        try:
            trace = self._connection.request("debug_traceTransaction", transaction_hash, {"tracer": "callTracer"})
        except NodeError:
            return None
        return tuple(call for frame in _frames(trace) if (call := self._call(frame)) is not None)

    def _call(self, frame: Mapping[str, Any]) -> MarketCall | None:
        """A call of the market from a transaction or a frame of a trace."""
        if not frame.get("to") or rpc_values.address("to", frame.get("to")) != self._reader.address:
            return None
        try:
            call = self._abi.call(rpc_values.octets("input", frame.get("input")))
        except Malformed:
            return None
        if call is None or call[0] not in _CALLS:
            return None
        value_wei = rpc_values.field(frame, "value") if frame.get("value") else 0
        return MarketCall(rpc_values.address("from", frame.get("from")), call[0], tuple(call[1].values()), value_wei)

    def _blob_base_fee_wei(self, number: int, receipt: Mapping[str, Any], calls: Sequence[MarketCall] | None) -> int | None:
        """Price of blob gas in a block, as far as a call depends on it and the node tells."""
        if receipt.get("blobGasPrice"):
            return rpc_values.field(receipt, "blobGasPrice")
        if not any(call.function in _PRICED_BY_BLOBS for call in calls or ()):
            return None
        try:
            history = rpc_values.record("fee history", self._connection.request("eth_feeHistory", "0x1", hex(number), []))
            return rpc_values.quantity("baseFeePerBlobGas", history["baseFeePerBlobGas"][0])
        except (ChainError, KeyError, IndexError, TypeError):
            return None


def read_history(reader: MarketReader, *, first_block: int = 0, confirmations: int = 0) -> MarketHistory:
    """All that reached a market up to the latest block, or that on which so many have been mined, and what the market says of itself then.

    Parameters
    ----------
    reader : MarketReader
    first_block : int (default: 0)
        No earlier block has anything of the market.

    Raises
    ------
    ChainError
        The node cannot show it.
    """
    connection, then = reader.connection, reader.snapshot(confirmations)
    block = then.block_number
    transactions = HistoryReader(then, first_block).read_through(block)
    draws = [int(str(fields["drawBlock"])) for one in transactions for name, fields in one.logs if name == "Frozen"]
    return MarketHistory(
        chain_id=reader.chain_id,
        market=reader.address,
        model_owner=reader.model_owner,
        terms=reader.terms(),
        blobs=reader.blobs(),
        transactions=transactions,
        block_hashes={draw: rpc_values.octets("hash", connection.block(draw).get("hash"), 32) for draw in draws if draw <= block},
        end=_end(then, block, transactions),
    )


def verification_of(reader: MarketReader) -> Verification | None:
    """What recomputes the verdicts of the market's verification; None if this version does not know it."""
    code = reader.connection.code(reader.terms().verification)
    return next((make(reader.terms()) for name, make in _VERIFICATIONS.items() if artifacts.load(name).is_code(code)), None)


def gate_of(reader: MarketReader) -> Gate | None:
    """What recomputes whom the market's admission contract admits; None if it has none, or one that this version does not know."""
    if not reader.has_voucher_gate():
        return None
    return voucher_gate(chain_id=reader.chain_id, market=reader.address, model_owner=reader.model_owner, gate=reader.terms().admission)


def _end(then: MarketReader, block: int, transactions: Sequence[MarketTransaction]) -> MarketEnd:
    state = then.state()
    joined = [Address(str(fields["owner"])) for one in transactions for name, fields in one.logs if name == "Joined"]
    with ThreadPoolExecutor(_READERS) as pool:
        owners = dict.fromkeys(joined)
        facts = pool.map(lambda owner: OwnerFacts(then.owner_record(owner), then.claimable_wei(owner)), owners)
        payouts = pool.map(lambda number: (then.paid_seats(number), then.bond_share_wei(number)), range(1, state.round + 1))
        return MarketEnd(
            block=block,
            state=state,
            members=then.members(),
            owners=dict(zip(owners, facts, strict=True)),
            payouts=dict(enumerate(payouts, start=1)),
            balance_wei=then.balance_wei(),
            token_balance=then.token_balance(),
        )


def _frames(trace: Any) -> Iterable[Mapping[str, Any]]:
    """Calls of a trace that were not undone, in order."""
    frame = rpc_values.record("trace", trace)
    if frame.get("error"):
        return
    if frame.get("type") == "CALL":
        yield frame
    for inner in rpc_values.records("calls of a trace", frame.get("calls") or []):
        yield from _frames(inner)
