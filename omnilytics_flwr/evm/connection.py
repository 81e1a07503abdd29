"""A connection to a chain: which chain it is, what it supports, and what accounts hold there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..crypto.address import Address
from ..errors import Unreachable, UnsupportedChain, WrongChain
from ..node_address import redacted
from . import rpc_values
from .dialects import Meaning
from .endpoint import Endpoint, NodeError, checked, repeated
from .own_block import OwnBlock
from .reverts import Reverts, revert_data

if TYPE_CHECKING:
    from .wallet_sender import WalletSender

T = TypeVar("T")

HISTORY_CONTRACT = Address("0x0000F90827F1C53a10cb7A02335B175320002935")
"""Where EIP-2935 keeps the hashes of the last 8191 blocks."""
FIRST_POLL_SECONDS = 0.005
LONGEST_POLL_SECONDS = 1.0
LAG_PAUSE_SECONDS = 0.2
LAG_SECONDS = 15.0
"""So far behind the others a node may be, of several that answer under one address."""

BlockName = str | dict[str, object]
"""How a request names the block whose state it asks for: a number, a tag, or a hash (EIP-1898)."""


@dataclass(frozen=True, slots=True)
class TransactionRecord:
    """A transaction that was sent and mined, for a run's record.

    A refused one is not among them, for it was never sent, unless something overtook it on its way.

    Attributes
    ----------
    event : str
        What it did, e.g. ``"open"``.
    transaction_hash : str
        ``0x`` and 64 digits.
    seconds : float
        From the estimate to the receipt, waiting included.
    resumed : bool
        Whether it was on its way already: an earlier call, perhaps in an earlier process, had sent it.
    """

    event: str
    account: Address
    transaction_hash: str
    block: int
    gas_used: int
    fee_wei: int
    seconds: float
    succeeded: bool
    resumed: bool


@dataclass(eq=False, repr=False)
class Connection:
    """A chain behind an endpoint; make one with `connect`, which says what its fields are. Threads may share it.

    Attributes
    ----------
    transactions : list of TransactionRecord
        All transactions mined through this connection, in order.
    """

    endpoint: Endpoint
    chain_id: int
    _: KW_ONLY
    receipt_seconds: float
    confirmations: int
    blobs_url: str | None = None
    outbox: Path | None = None
    transactions: list[TransactionRecord] = field(default_factory=list, init=False)
    senders: dict[Address, WalletSender] = field(default_factory=dict, init=False)
    lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _own: OwnBlock = field(init=False)

    def __post_init__(self) -> None:
        self._own = OwnBlock(self.outbox, self.chain_id)

    def __repr__(self) -> str:
        return f"Connection({redacted(self.endpoint.url)!r}, chain_id={self.chain_id})"

    def request(self, method: str, *params: object) -> Any:
        """Result of any JSON-RPC request; raises as `Endpoint.request` does."""
        return self.endpoint.request(method, *params)

    def quantity(self, method: str, *params: object) -> int:
        """Number that a request answers with; raises `BadAnswer` if it is none, and as `request` does."""
        return rpc_values.quantity(method, self.request(method, *params))

    def octets(self, method: str, *params: object) -> bytes:
        """Bytes that a request answers with; raises `BadAnswer` if they are none, and as `request` does."""
        return rpc_values.octets(method, self.request(method, *params))

    @cached_property
    def is_local(self) -> bool:
        """Whether this is a development chain on this machine, which mines when it is told to.

        What a node elsewhere calls itself counts for nothing: with that word it could relax every policy.
        """
        try:
            return self.endpoint.is_on_this_machine and str(self.request("web3_clientVersion")).lower().startswith("anvil")
        except NodeError as error:
            if error.meaning is not Meaning.NO_METHOD:
                raise
            return False

    @property
    def lag_seconds(self) -> float:
        """For how long a node may lack what another one had."""
        return 0.0 if self.is_local else LAG_SECONDS

    def note_own(self, block: int) -> None:
        """Believe nothing older than this block from now on, for a transaction of ours is in it; a local chain is one node, and may go back."""
        if not self.is_local:
            self._own.note(block)

    @property
    def _own_block(self) -> int:
        return 0 if not self._own.number or self.is_local else self._own.number

    def block_number(self) -> int:
        """Number of the latest block; raises `Unreachable` if the node stays behind our own transactions."""
        found = self.quantity("eth_blockNumber")
        return found if found >= self._own_block else poll(self._own_or_later, self.endpoint.timeout_seconds, f"block {self._own_block}")

    def named(self, block: BlockName = "latest") -> BlockName:
        """How to name a block in a request about its state: the latest one by number, once there are transactions of ours to be seen."""
        return hex(self.block_number()) if block == "latest" and self._own_block else block

    def of_block(self, method: str, *params: object) -> Any:
        """Result of a request that names a block, which a node that lags may not have yet."""
        deadline = time.monotonic() + self.lag_seconds
        while True:
            try:
                return self.request(method, *params)
            except NodeError as error:
                if error.meaning is not Meaning.NO_BLOCK or time.monotonic() > deadline:
                    raise
            time.sleep(LAG_PAUSE_SECONDS)

    def block(self, number: int | str) -> dict[str, Any]:
        """A block's header fields as the node gives them; raises `UnsupportedChain` if it has no such block."""
        if number == "latest":
            return self._latest_or_none() or poll(self._latest_or_none, self.endpoint.timeout_seconds, f"block {self._own_block}")
        return self._header(number if isinstance(number, str) else hex(number))

    def _latest_or_none(self) -> dict[str, Any] | None:
        """The latest header; None if it is older than our own transactions."""
        found = self._header("latest")
        return found if rpc_values.field(found, "number") >= self._own_block else None

    def _header(self, named: str) -> dict[str, Any]:
        deadline = time.monotonic() + self.lag_seconds
        while not isinstance(found := self.of_block("eth_getBlockByNumber", named, False), dict):
            if time.monotonic() > deadline:
                raise UnsupportedChain(f"the node does not have block {named}; expected its header; ask a node with more history")
            time.sleep(LAG_PAUSE_SECONDS)
        return found

    def timestamp(self, number: int | str) -> int:
        """Unix seconds of a block; raises as `block` does."""
        return rpc_values.field(self.block(number), "timestamp")

    def now(self, latest: dict[str, Any] | None = None) -> int:
        """Unix seconds that the next block may bear: the later of clock and last block, or what a local chain says."""
        if self.is_local:
            return self.timestamp("pending")
        return max(int(time.time()), rpc_values.field(latest or self.block("latest"), "timestamp"))

    def balance_wei(self, account: Address, block: BlockName = "latest") -> int:
        """Ether of an account, in the state of a block."""
        return rpc_values.quantity("balance", self.of_block("eth_getBalance", account, self.named(block)))

    def code(self, address: Address) -> bytes:
        """Runtime code of a contract; empty if there is none."""
        return rpc_values.octets("code", self.of_block("eth_getCode", address, self.named()))

    def call(self, to: Address, data: bytes, reverts: Reverts, *, sender: Address | None = None, block: BlockName = "latest") -> bytes:
        """What a contract answers, without a transaction, on the state of a block; raises `LedgerError` if it refuses."""
        call = {"to": to, "data": "0x" + data.hex()} | ({"from": sender} if sender else {})
        try:
            return rpc_values.octets("eth_call", self.of_block("eth_call", call, self.named(block)))
        except NodeError as error:
            reason = revert_data(error)
            if reason is None:
                raise
            raise reverts.exception(reason) from None

    def await_block(self, number: int) -> None:
        """Wait until a block is there; a local chain is told to mine what is missing.

        Raises
        ------
        Unreachable
            No new block came within `receipt_seconds`.
        """
        if self.is_local:
            repeated(partial(self._mine_up_to, number), self.endpoint.timeout_seconds)
        found = self.block_number()
        while found < number:
            found = poll(partial(self._later_than, found), self.receipt_seconds, f"block {found + 1}")

    def _mine_up_to(self, number: int) -> None:
        """Mine what is missing now: a request whose answer was lost may have mined it already, and one block too many moves deadlines."""
        missing = number - self.block_number()
        if missing > 0:
            self.endpoint.request_once("anvil_mine", hex(missing))

    def _later_than(self, number: int) -> int | None:
        found = self.block_number()
        return found if found > number else None

    def _own_or_later(self) -> int | None:
        found = self.quantity("eth_blockNumber")
        return found if found >= self._own_block else None


def connect(
    url: str,
    *,
    expected_chain_id: int | None = None,
    timeout_seconds: float = 30.0,
    receipt_seconds: float = 180.0,
    confirmations: int = 0,
    blobs_url: str | None = None,
    outbox: Path | None = None,
) -> Connection:
    """Connect to a chain.

    Parameters
    ----------
    url : str
        ``http://``, ``https://``, or the path of an IPC socket; several, with commas between them, stand in for each other.
    expected_chain_id : int, optional
        EIP-155 chain id that it must be.
    timeout_seconds : float, > 0 (default: 30)
        Time limit of a request.
    receipt_seconds : float, > 0 (default: 180)
        Time limit for a transaction to be mined and confirmed.
    confirmations : int, >= 0 (default: 0)
        Blocks on top of a transaction's block before it counts.
    blobs_url : str, optional
        ``http://`` or ``https://`` address of a beacon node's API, for fetching blobs; it must keep all of them (a supernode or
        semi-supernode), which it does for 18 days; several, with commas between them. A local chain serves them by itself.
    outbox : Path, optional
        Folder that keeps each signed transaction from before it is sent until it is mined, so that the next process finds what a killed
        one had on its way; and the block of the last one, so that it believes no state before that. Accounts may share it; machines and
        users may not.

    Raises
    ------
    Unreachable
        No answer within the time limit, or an address is none.
    WrongChain
        It serves another chain.
    """
    endpoint = Endpoint(url, timeout_seconds)
    if blobs_url is not None:
        checked("the beacon node", blobs_url, sockets=False)
    try:
        chain_id = rpc_values.quantity("eth_chainId", endpoint.request("eth_chainId"))
    except (NodeError, rpc_values.BadAnswer) as error:
        raise Unreachable(f"{redacted(url)} does not tell its chain id ({error}); expected an Ethereum node; check the address") from error
    if expected_chain_id is not None and chain_id != expected_chain_id:
        raise WrongChain(chain_id, expected_chain_id)
    endpoint.chain_id = chain_id
    return Connection(endpoint, chain_id, receipt_seconds=receipt_seconds, confirmations=confirmations, blobs_url=blobs_url, outbox=outbox)


def poll(find: Callable[[], T | None], seconds: float, what: str) -> T:
    """First result of `find` that is not None; raises `Unreachable` if `what` did not come within `seconds`."""
    deadline, pause = time.monotonic() + seconds, FIRST_POLL_SECONDS
    while (found := find()) is None:
        if time.monotonic() > deadline:
            raise Unreachable(f"{what} did not come within {seconds:g} s; expected the chain to go on; check the node, then try again")
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_POLL_SECONDS)
    return found
