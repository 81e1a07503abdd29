"""Sends transactions: never one that would be refused, and none twice."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import ChainError, NotFunded, OmnilyticsError, TransactionLost, Unreachable
from . import rpc_values
from .connection import BlockName, Connection, TransactionRecord, poll
from .dialects import Meaning
from .endpoint import NodeError
from .fees import raised, suggested
from .outbox import Outbox, Pending
from .reverts import PLAIN, Reverts, revert_data
from .rpc_values import BadAnswer
from .sender import Sender
from .transaction import Mined, Payload, call_of, mined_of
from .wallet import Wallet

MOST_BYTES = 128 * 1024
"""Public nodes do not pass larger transactions on; blobs do not count."""
TRIES = 5

_INTERNAL_ERROR = -32603


class _NonceTaken(ChainError):
    """Another transaction of the account has this nonce."""


class _Reserved(ChainError):
    """The account has a transaction of the other kind, with or without blobs, that is not mined yet: some nodes take one kind at a time."""


class WalletSender(Sender):
    """Sends what a wallet signs, one transaction at a time; get it from `sender_for`.

    A transaction is estimated first: if the contract refuses, that raises the contract's error, and nothing is sent or paid.
    If no receipt came in time, the next `send` of the same payload goes on under the same nonce; if the connection has an outbox, in
    another process too.
    """

    def __init__(self, connection: Connection, wallet: Wallet) -> None:
        super().__init__(connection, wallet.address)
        self._wallet = wallet
        self._lock = threading.Lock()
        self._done: list[Payload] | None = None
        self._outbox = Outbox(connection.outbox, connection.chain_id, wallet.address)

    def sign_hash(self, signing_hash: bytes) -> bytes:
        """Sign for the account as `Wallet.sign_hash` does."""
        return self._wallet.sign_hash(signing_hash)

    @contextmanager
    def once(self) -> Iterator[None]:
        """As `Sender.once` says; across processes if the connection has an outbox."""
        self._done = []
        try:
            yield
        except OmnilyticsError as error:
            # Only where the next step is known not to be on its way may the steps before it be forgotten.
            if not isinstance(error, (TransactionLost, Unreachable)):
                self._forget()
            raise
        self._forget()

    def _forget(self) -> None:
        for payload in self._done or ():
            self._outbox.remove(payload)
        self._done = None

    def send(self, event: str, payload: Payload, reverts: Reverts = PLAIN) -> Mined:
        """Send a payload and wait until it is mined and confirmed; raises as `Sender.send` says."""
        with self._lock:
            start = time.monotonic()
            resumed = self._outbox.get(payload) is not None
            pending, receipt = self._carry(payload, reverts)
            mined, succeeded = mined_of(receipt, time.monotonic() - start), rpc_values.field(receipt, "status") == 1
            self.connection.note_own(mined.block)
            # Only now: whoever is killed before this line finds the transaction, and its receipt, again.
            if self._done is None or not succeeded:
                self._outbox.remove(payload)
            else:
                self._done.append(payload)
            self._record(event, mined, succeeded=succeeded, resumed=resumed)
        if not succeeded:
            raise self._failure(pending, mined, reverts)
        return mined

    def _carry(self, payload: Payload, reverts: Reverts) -> tuple[Pending, dict[str, Any]]:
        """Bring a payload onto the chain, under another nonce whenever its own was taken; the transaction and its receipt."""
        self._push_on(payload)
        for _ in range(TRIES):
            # What is on its way comes first, even if the contract would now refuse it: perhaps only because it is already mined.
            pending = self._outbox.get(payload)
            pending = self._submit(payload, reverts) if pending is None else self._offer_more(pending)
            receipt = self._await_receipt(pending)
            if receipt is not None:
                return pending, receipt
            self._outbox.remove(payload)
        raise self._crowded()

    def _submit(self, payload: Payload, reverts: Reverts) -> Pending:
        transaction = self._draft(payload, reverts)
        for _ in range(TRIES):
            pending = Pending(payload, transaction | {"nonce": self._next_nonce()})
            self._sign(pending)
            # Kept before it is handed over: a process killed in between must find what may be on its way, or it would pay twice.
            self._outbox.put(pending)
            try:
                self._broadcast(pending)
            except _NonceTaken:
                self._outbox.remove(payload)
                continue
            except _Reserved:
                self._outbox.remove(payload)
                self._await_all_mined()
                continue
            except (NodeError, NotFunded):
                self._outbox.remove(payload)
                raise
            return pending
        raise self._crowded()

    def _push_on(self, payload: Payload) -> None:
        """Offer whatever else is on its way again with higher fees: nothing with a later nonce is mined before it."""
        others = [other for other in self._outbox.held() if other.payload.key != payload.key]
        if not others:
            return
        mined = self._count(self.connection.named())
        for other in others:
            if other.transaction["nonce"] >= mined:
                with contextlib.suppress(ChainError):  # it is not what is being sent
                    self._offer_more(other)

    def _offer_more(self, pending: Pending) -> Pending:
        """A transaction that is on its way, offered again with higher fees if it may need them."""
        if self._included(pending) is not None or self._is_void(pending):
            return pending
        payload = pending.payload
        fees = raised(pending.transaction, suggested(self.connection, blobs=bool(payload.blobs)))
        if fees is None:
            return pending
        # Either form may be mined, whichever a miner saw, so all hashes are kept and asked for.
        fresh = Pending(payload, pending.transaction | fees, hashes=list(pending.hashes))
        self._sign(fresh)
        self._outbox.put(fresh)
        try:
            self._broadcast(fresh)
        except (_NonceTaken, _Reserved, NodeError, NotFunded):
            # The node does not want more, or the account has no more: the old form still stands.
            self._outbox.put(pending)
            return pending
        return fresh

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
            raise TransactionLost(pending.hashes[-1], self.connection.endpoint.timeout_seconds) from error

    def _offer(self, pending: Pending) -> None:
        try:
            self.connection.request("eth_sendRawTransaction", "0x" + pending.raw().hex())
        except NodeError as error:
            if error.meaning is Meaning.KNOWN or self._is_known(pending.hashes[-1]):
                return
            if error.meaning in (Meaning.NONCE_TAKEN, Meaning.NOT_REPLACED):
                raise _NonceTaken(str(error)) from error
            if error.meaning is Meaning.RESERVED:
                raise _Reserved(str(error)) from error
            if error.meaning is Meaning.POOR:
                raise NotFunded(f"{self.address} cannot pay: {error.message}; expected value and fee; send it ether") from error
            # Nodes use this code after the pool took a transaction as well as before; taking it for a refusal would send it twice.
            if error.code == _INTERNAL_ERROR:
                raise TransactionLost(pending.hashes[-1], self.connection.endpoint.timeout_seconds) from error
            raise

    def _await_receipt(self, pending: Pending) -> dict[str, Any] | None:
        """The receipt, once it has enough blocks on top; None if another transaction has the nonce for good.

        What the node does wrong in the meantime is waited out.
        """
        limit, trouble, void_since = self.connection.receipt_seconds, None, None

        def outcome() -> tuple[dict[str, Any] | None] | None:
            nonlocal trouble, void_since
            try:
                found = self._outcome(pending)
            except ChainError as error:
                trouble = error
                return None
            if found != (None,):
                void_since = None
                return found
            # One node may count the transaction while another does not have its receipt yet: whoever believes both sends it twice.
            void_since = void_since or time.monotonic()
            return found if time.monotonic() - void_since >= self.connection.lag_seconds else None

        try:
            return poll(outcome, limit, "the receipt")[0]
        except Unreachable as error:
            raise TransactionLost(pending.hashes[-1], limit) from trouble or error

    def _outcome(self, pending: Pending) -> tuple[dict[str, Any] | None] | None:
        """The receipt, or None, once it is known which; a transaction that the node does not know is handed over again."""
        receipt = self._included(pending)
        if receipt is not None:
            depth = self.connection.block_number() - rpc_values.field(receipt, "blockNumber")
            return (receipt,) if depth >= self.connection.confirmations else None
        if self._is_void(pending):
            return (None,)
        # A restart or a reorganisation makes nodes forget; the same bytes can be mined only once, so they may always be offered again.
        if not any(map(self._is_known, pending.hashes)):
            self._broadcast(pending)
        return None

    def _included(self, pending: Pending) -> dict[str, Any] | None:
        """Receipt of whichever of the hashes was mined."""
        for transaction_hash in pending.hashes:
            receipt = self.connection.request("eth_getTransactionReceipt", transaction_hash)
            if receipt is not None and rpc_values.record("receipt", receipt).get("blockNumber") is not None:
                return rpc_values.record("receipt", receipt)
        return None

    def _is_void(self, pending: Pending) -> bool:
        """Whether another transaction has the nonce, with enough blocks on top.

        With one at least: nodes may count a transaction a moment before they have its receipt, or its block.
        """
        nonce = pending.transaction["nonce"]
        if self._count("latest") <= nonce:
            return False
        below = self.connection.block_number() - max(self.connection.confirmations, 1)
        return below >= 0 and self._count(hex(below)) > nonce and self._included(pending) is None

    def _is_known(self, transaction_hash: str) -> bool:
        return self.connection.request("eth_getTransactionByHash", transaction_hash) is not None

    def _next_nonce(self) -> int:
        pending, named = self._count("pending"), self.connection.named()
        # A node that lags does not count our own last transaction, whatever it takes for pending.
        return pending if named == "latest" else max(pending, self._count(named))

    def _count(self, block: BlockName) -> int:
        """How many transactions of the account there are up to a block: the next nonce."""
        return rpc_values.quantity("nonce", self.connection.of_block("eth_getTransactionCount", self.address, block))

    def _record(self, event: str, mined: Mined, *, succeeded: bool, resumed: bool) -> None:
        self.connection.transactions.append(
            TransactionRecord(
                event=event,
                account=self.address,
                transaction_hash=mined.transaction_hash,
                block=mined.block,
                gas_used=mined.gas_used,
                fee_wei=mined.fee_wei,
                seconds=mined.seconds,
                succeeded=succeeded,
                resumed=resumed,
            )
        )

    def _failure(self, pending: Pending, mined: Mined, reverts: Reverts) -> OmnilyticsError:
        """Why a mined transaction failed, by repeating it as a call on the state after and before its block."""
        call = call_of(self.address, pending.transaction)
        for number in (mined.block, mined.block - 1):
            try:
                self.connection.of_block("eth_call", call, hex(number))
            except NodeError as error:
                reason = revert_data(error)
                if reason is not None:
                    return reverts.exception(reason)
        return ChainError(
            f"transaction {mined.transaction_hash} failed in block {mined.block} after {mined.gas_used} gas "
            "for a reason that does not show again; expected success; read the market's state, then try again"
        )

    def _await_all_mined(self) -> None:
        """Wait until the account has nothing in the pool; raises `Unreachable` if that takes longer than a receipt may."""

        def is_free() -> bool | None:
            return self._count("pending") <= self._count(self.connection.named()) or None

        poll(is_free, self.connection.receipt_seconds, f"the end of the other transactions of {self.address}")

    def _crowded(self) -> ChainError:
        return ChainError(f"{self.address} sends from elsewhere at the same time; expected a free nonce; stop the other sender")


def sender_for(connection: Connection, wallet: Wallet) -> WalletSender:
    """The one sender of an account on a connection: two would take the same nonce, and forget what the other has on its way."""
    with connection.lock:
        return connection.senders.setdefault(wallet.address, WalletSender(connection, wallet))
