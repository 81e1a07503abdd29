"""Sending transactions: refused ones are never sent, sent ones are never sent twice."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from ..errors import ChainError, NotFunded, OmnilyticsError, TransactionLost, Unreachable, UnsupportedChain
from .endpoint import NodeError
from .refusing import Refusals, revert_data
from .rpc import Connection, TransactionRecord, poll
from .transaction import Mined, Payload, mined_of
from .wallet import Wallet

MOST_GAS = 2**24
"""EIP-7825: no transaction may have a higher gas limit."""
MOST_BYTES = 128 * 1024
"""Public nodes do not pass larger transactions on."""
SPARE_GAS = 10_000
DEFAULT_TIP_WEI = 10**9
TRIES = 5

_KNOWN = ("already known", "already imported", "known transaction", "already exists")
_TAKEN = ("nonce too low", "replacement transaction underpriced", "replacement underpriced", "nonce is too low")
_POOR = ("insufficient funds", "insufficient balance")


@dataclass(slots=True)
class _Pending:
    """A payload on its way under one nonce; a bumped fee adds a hash, and at most one of them is ever mined."""

    transaction: dict[str, Any]
    raw: bytes = b""
    hashes: list[str] = field(default_factory=list)


class _NonceTaken(Exception):
    """Another transaction of the account has this nonce."""


class Sender:
    """Sends for one account through one connection, one transaction at a time; get it from `sender_for`.

    A transaction is estimated first: if the contract refuses, that raises the contract's error, and nothing is sent or paid.
    If a sent transaction got no receipt in time, the next `send` of the same payload goes on with the same nonce.
    """

    def __init__(self, connection: Connection, wallet: Wallet) -> None:
        self._connection = connection
        self._wallet = wallet
        self._lock = threading.Lock()
        self._lost: dict[Payload, _Pending] = {}

    def send(self, event: str, payload: Payload, refusals: Refusals) -> Mined:
        """Send a payload and wait until it is mined and confirmed.

        Parameters
        ----------
        event : str
            Name for the record.
        payload : Payload
        refusals : Refusals
            Errors that the called contract may give.

        Raises
        ------
        LedgerError
            The contract refuses.
        NotFunded
            The account cannot pay value and fee; nothing was sent.
        TransactionLost
            No receipt in time; calling again goes on waiting.
        ChainError
            Any other trouble with the node.
        """
        with self._lock:
            start = time.monotonic()
            pending = self._resume(payload) or self._submit_new(payload, refusals)
            self._lost[payload] = pending
            receipt = self._await_receipt(pending)
            del self._lost[payload]
            mined, succeeded = mined_of(receipt, time.monotonic() - start), int(receipt["status"], 16) == 1
            self._record(event, mined, succeeded)
        if not succeeded:
            raise self._failure(pending, receipt, refusals)
        return mined

    def _record(self, event: str, mined: Mined, succeeded: bool) -> None:
        self._connection.transactions.append(
            TransactionRecord(
                event=event,
                account=self._wallet.address,
                transaction_hash=mined.transaction_hash,
                block=mined.block,
                gas_used=mined.gas_used,
                fee_wei=mined.fee_wei,
                seconds=mined.seconds,
                succeeded=succeeded,
            )
        )

    def _submit_new(self, payload: Payload, refusals: Refusals) -> _Pending:
        transaction = self._build(payload, refusals)
        for _ in range(TRIES):
            transaction["nonce"] = int(self._request("eth_getTransactionCount", self._wallet.address, "pending"), 16)
            pending = _Pending(transaction)
            self._sign(pending)
            self._lost[payload] = pending
            try:
                self._broadcast(pending)
            except _NonceTaken:
                del self._lost[payload]
                continue
            except (NodeError, NotFunded):
                del self._lost[payload]
                raise
            return pending
        raise ChainError(f"{self._wallet.address} sends from elsewhere at the same time; expected a free nonce; stop the other sender")

    def _resume(self, payload: Payload) -> _Pending | None:
        """The lost transaction with this payload, sent again with a higher fee; None if there is none or it is void."""
        pending = self._lost.get(payload)
        if pending is None or self._included(pending) is not None:
            return pending
        mined = int(self._request("eth_getTransactionCount", self._wallet.address, "latest"), 16)
        if mined > pending.transaction["nonce"]:
            if self._included(pending) is not None:
                return pending
            del self._lost[payload]
            return None
        base, tip = self._fees()
        old = pending.transaction
        old["maxPriorityFeePerGas"] = max(tip, old["maxPriorityFeePerGas"] * 5 // 4 + 1)
        old["maxFeePerGas"] = max(2 * base + tip, old["maxFeePerGas"] * 5 // 4 + 1)
        self._sign(pending)
        try:
            self._broadcast(pending)
        except _NonceTaken:
            pending.hashes.pop()
        return pending

    def _build(self, payload: Payload, refusals: Refusals) -> dict[str, Any]:
        call = {
            "from": self._wallet.address,
            "data": "0x" + payload.data.hex(),
            "value": hex(payload.value_wei),
            "gas": hex(MOST_GAS),
        }
        call |= {"to": payload.to} if payload.to else {}
        self._check_funds(payload.value_wei)
        estimate = int(self._estimate(call, refusals), 16)
        gas = min(estimate + estimate // 5 + SPARE_GAS, MOST_GAS)
        base, tip = self._fees()
        self._check_funds(payload.value_wei + gas * (2 * base + tip))
        transaction = {
            "type": 2,
            "chainId": self._connection.chain_id,
            "data": payload.data,
            "value": payload.value_wei,
            "gas": gas,
        }
        transaction |= {"maxFeePerGas": 2 * base + tip, "maxPriorityFeePerGas": tip}
        return transaction | ({"to": payload.to} if payload.to else {})

    def _estimate(self, call: dict[str, str], refusals: Refusals) -> str:
        try:
            estimate: str = self._request("eth_estimateGas", call)
        except NodeError as error:
            reason = revert_data(error)
            if reason is None:
                raise
            raise refusals.exception(reason) from None
        return estimate

    def _fees(self) -> tuple[int, int]:
        """Base fee of the latest block and the tip that the node suggests, in wei for a unit of gas."""
        block = self._connection.block("latest")
        if "baseFeePerGas" not in block:
            raise UnsupportedChain("the chain has no base fee (EIP-1559); expected Ethereum's London fork or later; use another")
        try:
            tip = int(self._request("eth_maxPriorityFeePerGas"), 16)
        except NodeError:
            tip = DEFAULT_TIP_WEI
        return int(block["baseFeePerGas"], 16), tip

    def _check_funds(self, needed_wei: int) -> None:
        missing = needed_wei - self._connection.balance_wei(self._wallet.address)
        if missing > 0:
            raise NotFunded(
                f"{self._wallet.address} lacks {missing} wei; expected {needed_wei} wei for value and highest fee; send it the difference"
            )

    def _sign(self, pending: _Pending) -> None:
        pending.raw, transaction_hash = self._wallet.sign_transaction(pending.transaction)
        if len(pending.raw) > MOST_BYTES:
            raise ChainError(
                f"the transaction has {len(pending.raw)} bytes; public nodes take {MOST_BYTES}; use terms with fewer owners or weights"
            )
        pending.hashes.append(transaction_hash)

    def _broadcast(self, pending: _Pending) -> None:
        """Hand the signed bytes over, repeatedly if the node does not answer: the same bytes cannot be mined twice."""
        try:
            self._request("eth_sendRawTransaction", "0x" + pending.raw.hex())
        except NodeError as error:
            message = error.message.lower()
            if any(words in message for words in _KNOWN) or self._is_known(pending.hashes[-1]):
                return
            if any(words in message for words in _TAKEN):
                raise _NonceTaken from error
            if any(words in message for words in _POOR):
                raise NotFunded(f"{self._wallet.address} cannot pay: {error.message}; expected value and fee; send it ether") from error
            raise
        except Unreachable as error:
            raise TransactionLost(pending.hashes[-1], self._connection.endpoint.timeout_seconds) from error

    def _is_known(self, transaction_hash: str) -> bool:
        return self._request("eth_getTransactionByHash", transaction_hash) is not None

    def _included(self, pending: _Pending) -> dict[str, Any] | None:
        """Receipt of whichever of the hashes was mined."""
        receipts = (self._request("eth_getTransactionReceipt", transaction_hash) for transaction_hash in pending.hashes)
        return next((r for r in receipts if r is not None and r.get("blockNumber") is not None), None)

    def _confirmed(self, pending: _Pending) -> dict[str, Any] | None:
        """The receipt, once it has enough blocks on top."""
        receipt, on_top = self._included(pending), self._connection.confirmations
        if receipt is None or not on_top:
            return receipt
        return receipt if self._connection.block_number() >= int(receipt["blockNumber"], 16) + on_top else None

    def _await_receipt(self, pending: _Pending) -> dict[str, Any]:
        limit = self._connection.receipt_seconds
        try:
            return poll(lambda: self._confirmed(pending), limit, "the receipt")
        except Unreachable as error:
            raise TransactionLost(pending.hashes[-1], limit) from error

    def _failure(self, pending: _Pending, receipt: dict[str, Any], refusals: Refusals) -> OmnilyticsError:
        """Why a mined transaction failed, by repeating it as a call on the state after and before its block."""
        transaction, block = pending.transaction, int(receipt["blockNumber"], 16)
        call = {"from": self._wallet.address, "to": transaction.get("to"), "data": "0x" + transaction["data"].hex()}
        call |= {"value": hex(transaction["value"]), "gas": hex(transaction["gas"])}
        for number in (block, block - 1):
            try:
                self._request("eth_call", call, hex(number))
            except NodeError as error:
                reason = revert_data(error)
                if reason is not None:
                    return refusals.exception(reason)
        return ChainError(
            f"transaction {receipt['transactionHash']} failed in block {block} after {int(receipt['gasUsed'], 16)} gas "
            "for a reason that does not show again; expected success; read the market's state, then try again"
        )

    def _request(self, method: str, *params: object) -> Any:
        return self._connection.request(method, *params)


def sender_for(connection: Connection, wallet: Wallet) -> Sender:
    """The one sender of an account on a connection, so that its transactions wait for each other."""
    with connection.lock:
        sender: Sender = connection.senders.setdefault(wallet.address, Sender(connection, wallet))
    return sender
