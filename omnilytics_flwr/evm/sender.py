"""Sending transactions: refused ones are never sent, sent ones are never sent twice."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from ..errors import ChainError, NotFunded, OmnilyticsError, TransactionLost, Unreachable
from . import rpc_values
from .connection import Connection, TransactionRecord, poll
from .endpoint import NodeError
from .fees import highest_cost_wei, raised, suggested
from .outbox import Outbox, Pending
from .reverts import Reverts, revert_data
from .rpc_values import BadAnswer
from .transaction import Mined, Payload, call_of, mined_of
from .wallet import Wallet

MOST_GAS = 2**24
"""EIP-7825: no transaction may have a higher gas limit."""
MOST_BYTES = 128 * 1024
"""Public nodes do not pass larger transactions on; blobs do not count."""
SPARE_GAS = 10_000
TRIES = 5

_KNOWN = ("already known", "already imported", "known transaction", "already exists")
_TAKEN = ("nonce too low", "replacement transaction underpriced", "replacement underpriced", "nonce is too low")
_POOR = ("insufficient funds", "insufficient balance")
_UNSURE = frozenset({-32002, -32005, -32603})
"""Codes of errors (limits, internal ones) after which a transaction may be on its way all the same."""


class _NonceTaken(ChainError):
    """Another transaction of the account has this nonce."""


class Sender:
    """Sends for one account through one connection, one transaction at a time; get it from `sender_for`.

    A transaction is estimated first: if the contract refuses, that raises the contract's error, and nothing is sent or paid.
    If a sent transaction got no receipt in time, the next `send` of the same payload goes on with the same nonce; if the connection has
    an outbox, so does that of another process. Before a later one is sent, others that are still on their way are offered more. While
    it is waited for, a transaction that the node has forgotten, by a restart or a reorganisation, is handed over again; one whose nonce
    another transaction has taken is sent anew.
    """

    def __init__(self, connection: Connection, wallet: Wallet) -> None:
        self._connection = connection
        self._wallet = wallet
        self._lock = threading.Lock()
        self._outbox = Outbox(connection.outbox, connection.chain_id, wallet.address)

    def send(self, event: str, payload: Payload, reverts: Reverts) -> Mined:
        """Send a payload and wait until it is mined and confirmed.

        Parameters
        ----------
        event : str
            Name for the record.
        payload : Payload
        reverts : Reverts
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
            Any other trouble with the node, or with the outbox.
        """
        with self._lock:
            start = time.monotonic()
            pending, receipt = self._carry(payload, reverts)
            mined, succeeded = mined_of(receipt, time.monotonic() - start), rpc_values.field(receipt, "status") == 1
            self._outbox.remove(payload)
            self._record(event, mined, succeeded)
        if not succeeded:
            raise self._failure(pending, mined, reverts)
        return mined

    def _carry(self, payload: Payload, reverts: Reverts) -> tuple[Pending, dict[str, Any]]:
        """Bring a payload onto the chain, under another nonce whenever its own was taken; the transaction and its receipt."""
        self._push_on(payload)
        for _ in range(TRIES):
            pending = self._resume(payload) or self._submit(payload, reverts)
            receipt = self._await_receipt(pending)
            if receipt is not None:
                return pending, receipt
            self._outbox.remove(payload)
        raise self._crowded()

    def _submit(self, payload: Payload, reverts: Reverts) -> Pending:
        transaction = self._build(payload, reverts)
        for _ in range(TRIES):
            pending = Pending(payload, transaction | {"nonce": self._count("pending")})
            self._sign(pending)
            self._outbox.put(pending)
            try:
                self._broadcast(pending)
            except _NonceTaken:
                self._outbox.remove(payload)
                continue
            except (NodeError, NotFunded):
                self._outbox.remove(payload)
                raise
            return pending
        raise self._crowded()

    def _resume(self, payload: Payload) -> Pending | None:
        """The transaction that is on its way with this payload, if there is one, offered again with higher fees if it may need them."""
        pending = self._outbox.get(payload)
        return None if pending is None else self._offer_more(pending)

    def _push_on(self, payload: Payload) -> None:
        """Offer whatever else is on its way again with higher fees: nothing with a later nonce is mined before it."""
        for other in self._outbox.held():
            if other.payload.key == payload.key:
                continue
            with contextlib.suppress(ChainError):  # it is not what is being sent
                self._offer_more(other)

    def _offer_more(self, pending: Pending) -> Pending:
        """A transaction that is on its way, offered again with higher fees if it may need them."""
        if self._included(pending) is not None or self._is_void(pending):
            return pending
        payload = pending.payload
        fees = raised(pending.transaction, suggested(self._connection, blobs=bool(payload.blobs)))
        if fees is None:
            return pending
        fresh = Pending(payload, pending.transaction | fees, hashes=list(pending.hashes))
        self._sign(fresh)
        self._outbox.put(fresh)
        try:
            self._broadcast(fresh)
        except (_NonceTaken, NodeError, NotFunded):
            self._outbox.put(pending)
            return pending
        return fresh

    def _build(self, payload: Payload, reverts: Reverts) -> dict[str, Any]:
        transaction = payload.fields() | {"chainId": self._connection.chain_id, "gas": MOST_GAS}
        self._check_funds(payload.value_wei)
        estimate = rpc_values.quantity("estimate of gas", self._estimate(call_of(self._wallet.address, transaction), reverts))
        transaction["gas"] = min(estimate + estimate // 5 + SPARE_GAS, MOST_GAS)
        transaction |= suggested(self._connection, blobs=bool(payload.blobs))
        self._check_funds(highest_cost_wei(transaction))
        return transaction

    def _estimate(self, call: dict[str, Any], reverts: Reverts) -> str:
        try:
            estimate: str = self._request("eth_estimateGas", call)
        except NodeError as error:
            reason = revert_data(error)
            if reason is None:
                raise
            raise reverts.exception(reason) from None
        return estimate

    def _check_funds(self, needed_wei: int) -> None:
        missing = needed_wei - self._connection.balance_wei(self._wallet.address)
        if missing > 0:
            raise NotFunded(
                f"{self._wallet.address} lacks {missing} wei; expected {needed_wei} wei for value and highest fee; send it the difference"
            )

    def _sign(self, pending: Pending) -> None:
        pending.signed, transaction_hash = self._wallet.sign_transaction(pending.transaction)
        if len(pending.signed) > MOST_BYTES:
            raise ChainError(
                f"the transaction has {len(pending.signed)} bytes; public nodes take {MOST_BYTES}; use terms with fewer owners or weights"
            )
        pending.hashes.append(transaction_hash)

    def _broadcast(self, pending: Pending) -> None:
        """Hand the signed bytes over, repeatedly if the node does not answer: the same bytes cannot be mined twice."""
        try:
            self._offer(pending)
        except (Unreachable, BadAnswer) as error:
            raise TransactionLost(pending.hashes[-1], self._connection.endpoint.timeout_seconds) from error

    def _offer(self, pending: Pending) -> None:
        try:
            self._request("eth_sendRawTransaction", "0x" + pending.raw().hex())
        except NodeError as error:
            message = error.message.lower()
            if any(words in message for words in _KNOWN) or self._is_known(pending.hashes[-1]):
                return
            if any(words in message for words in _TAKEN):
                raise _NonceTaken(str(error)) from error
            if any(words in message for words in _POOR):
                raise NotFunded(f"{self._wallet.address} cannot pay: {error.message}; expected value and fee; send it ether") from error
            if error.code in _UNSURE:
                raise TransactionLost(pending.hashes[-1], self._connection.endpoint.timeout_seconds) from error
            raise

    def _await_receipt(self, pending: Pending) -> dict[str, Any] | None:
        """The receipt, once it has enough blocks on top; None if another transaction has the nonce for good.

        What the node does wrong in the meantime is waited out.
        """
        limit, trouble = self._connection.receipt_seconds, None

        def outcome() -> tuple[dict[str, Any] | None] | None:
            nonlocal trouble
            try:
                return self._outcome(pending)
            except ChainError as error:
                trouble = error
                return None

        try:
            return poll(outcome, limit, "the receipt")[0]
        except Unreachable as error:
            raise TransactionLost(pending.hashes[-1], limit) from trouble or error

    def _outcome(self, pending: Pending) -> tuple[dict[str, Any] | None] | None:
        """The receipt, or None, once it is known which; a transaction that the node does not know is handed over again."""
        receipt = self._included(pending)
        if receipt is not None:
            depth = self._connection.block_number() - rpc_values.field(receipt, "blockNumber")
            return (receipt,) if depth >= self._connection.confirmations else None
        if self._is_void(pending):
            return (None,)
        if not any(map(self._is_known, pending.hashes)):
            self._broadcast(pending)
        return None

    def _included(self, pending: Pending) -> dict[str, Any] | None:
        """Receipt of whichever of the hashes was mined."""
        for transaction_hash in pending.hashes:
            receipt = self._request("eth_getTransactionReceipt", transaction_hash)
            if receipt is not None and rpc_values.record("receipt", receipt).get("blockNumber") is not None:
                return rpc_values.record("receipt", receipt)
        return None

    def _is_void(self, pending: Pending) -> bool:
        """Whether another transaction has the nonce, with enough blocks on top.

        With one at least: nodes may count a transaction a moment before they have its receipt.
        """
        nonce = pending.transaction["nonce"]
        if self._count("latest") <= nonce:
            return False
        on_top = max(self._connection.confirmations, 1)
        return self._count(hex(max(self._connection.block_number() - on_top, 0))) > nonce and self._included(pending) is None

    def _is_known(self, transaction_hash: str) -> bool:
        return self._request("eth_getTransactionByHash", transaction_hash) is not None

    def _count(self, block: str) -> int:
        """How many transactions of the account there are up to a block: the next nonce."""
        return self._connection.quantity("eth_getTransactionCount", self._wallet.address, block)

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

    def _failure(self, pending: Pending, mined: Mined, reverts: Reverts) -> OmnilyticsError:
        """Why a mined transaction failed, by repeating it as a call on the state after and before its block."""
        call = call_of(self._wallet.address, pending.transaction)
        for number in (mined.block, mined.block - 1):
            try:
                self._request("eth_call", call, hex(number))
            except NodeError as error:
                reason = revert_data(error)
                if reason is not None:
                    return reverts.exception(reason)
        return ChainError(
            f"transaction {mined.transaction_hash} failed in block {mined.block} after {mined.gas_used} gas "
            "for a reason that does not show again; expected success; read the market's state, then try again"
        )

    def _crowded(self) -> ChainError:
        return ChainError(f"{self._wallet.address} sends from elsewhere at the same time; expected a free nonce; stop the other sender")

    def _request(self, method: str, *params: object) -> Any:
        return self._connection.request(method, *params)


def sender_for(connection: Connection, wallet: Wallet) -> Sender:
    """The one sender of an account on a connection, so that its transactions wait for each other."""
    with connection.lock:
        sender: Sender = connection.senders.setdefault(wallet.address, Sender(connection, wallet))
    return sender
