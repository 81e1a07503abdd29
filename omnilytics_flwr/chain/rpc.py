"""A connection to a chain: what it is, what it can do, what it holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, TypeVar

from ..errors import Unreachable, UnsupportedChain, WrongChain
from ..market.terms import Address
from .endpoint import Endpoint, NodeError, redacted
from .refusing import Refusals, revert_data

T = TypeVar("T")

HISTORY_CONTRACT = Address("0x0000F90827F1C53a10cb7A02335B175320002935")
"""Where EIP-2935 keeps the hashes of the last 8191 blocks."""
FIRST_POLL_SECONDS = 0.005
LONGEST_POLL_SECONDS = 1.0

_INFINITY = b"\xc0" + bytes(47)
_ZERO_OPENING = b"\x01" + sha256(_INFINITY).digest()[1:] + bytes(64) + _INFINITY + _INFINITY
PRECOMPILES: dict[str, tuple[int, bytes, int]] = {
    "point evaluation (EIP-4844)": (0x0A, _ZERO_OPENING, 64),
    "BLS12-381 addition (EIP-2537)": (0x0B, bytes(256), 128),
    "BLS12-381 multi-exponentiation (EIP-2537)": (0x0C, bytes(160), 128),
}
"""Address, an input that must pass, and the length of the answer, of each precompile that a verification calls."""


@dataclass(frozen=True, slots=True)
class TransactionRecord:
    """A transaction that was sent and mined, for a run's record.

    A refused one is not among them, for it was never sent, unless something overtook it on its way.

    Attributes
    ----------
    event : str
        What it did, e.g. ``"open"``.
    account : Address
        Who sent it.
    transaction_hash : str
        ``0x`` and 64 digits.
    block, gas_used, fee_wei : int
    seconds : float
        From the estimate to the receipt, waiting included.
    succeeded : bool
    """

    event: str
    account: Address
    transaction_hash: str
    block: int
    gas_used: int
    fee_wei: int
    seconds: float
    succeeded: bool


class Connection:
    """A chain behind an endpoint; make one with `connect`. Threads may share it.

    Attributes
    ----------
    endpoint : Endpoint
    chain_id : int
        EIP-155 chain id.
    receipt_seconds : float
        How long a receipt, or a block, is waited for.
    confirmations : int
        Blocks on top of a transaction's before it counts.
    transactions : list of TransactionRecord
        All transactions mined through this connection, in order.
    """

    def __init__(self, endpoint: Endpoint, chain_id: int, *, receipt_seconds: float, confirmations: int) -> None:
        self.endpoint = endpoint
        self.chain_id = chain_id
        self.receipt_seconds = receipt_seconds
        self.confirmations = confirmations
        self.transactions: list[TransactionRecord] = []
        self.senders: dict[Address, Any] = {}
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Connection({redacted(self.endpoint.url)!r}, chain_id={self.chain_id})"

    def request(self, method: str, *params: object) -> Any:
        """Result of any JSON-RPC request; raises as `Endpoint.request` does."""
        return self.endpoint.request(method, *params)

    @cached_property
    def is_local(self) -> bool:
        """Whether this is a development chain, which mines when it is told to."""
        return str(self.request("web3_clientVersion")).lower().startswith("anvil")

    def block_number(self) -> int:
        """Number of the latest block."""
        return int(self.request("eth_blockNumber"), 16)

    def block(self, number: int | str) -> dict[str, Any]:
        """A block's header fields as the node gives them.

        Raises
        ------
        UnsupportedChain
            The node has no such block.
        """
        found = self.request("eth_getBlockByNumber", number if isinstance(number, str) else hex(number), False)
        if not isinstance(found, dict):
            raise UnsupportedChain(f"the node does not have block {number}; expected its header; ask a node with more history")
        return found

    def now(self) -> int:
        """Unix seconds that the next block may bear: the later of clock and last block, or what a local chain says."""
        if self.is_local:
            return int(self.block("pending")["timestamp"], 16)
        return max(int(time.time()), int(self.block("latest")["timestamp"], 16))

    def balance_wei(self, account: Address) -> int:
        """Ether of an account."""
        return int(self.request("eth_getBalance", account, "latest"), 16)

    def code(self, address: Address) -> bytes:
        """Runtime code of a contract; empty if there is none."""
        return bytes.fromhex(self.request("eth_getCode", address, "latest")[2:])

    def call(self, to: Address, data: bytes, refusals: Refusals, *, sender: Address | None = None, blocks_ago: int = 0) -> bytes:
        """What a contract answers, without a transaction; on the present state, or on that of some blocks ago.

        Raises
        ------
        LedgerError
            It refuses.
        """
        call = {"to": to, "data": "0x" + data.hex()} | ({"from": sender} if sender else {})
        try:
            answer: str = self.request("eth_call", call, hex(max(self.block_number() - blocks_ago, 0)) if blocks_ago else "latest")
        except NodeError as error:
            reason = revert_data(error)
            if reason is None:
                raise
            raise refusals.exception(reason) from None
        return bytes.fromhex(answer[2:])

    def await_block(self, number: int) -> None:
        """Wait until a block is there; a local chain is told to mine what is missing.

        Raises
        ------
        Unreachable
            It did not come within `receipt_seconds`.
        """
        if self.is_local:
            missing = number - self.block_number()
            if missing > 0:
                self.request("anvil_mine", hex(missing))
        poll(lambda: self.block_number() >= number or None, self.receipt_seconds, f"block {number}")

    def check_supported(self) -> None:
        """Check that the chain has everything that a market needs; four requests.

        Raises
        ------
        UnsupportedChain
            A precompile, the history of block hashes, or a base fee is missing.
        """
        for name, (number, data, length) in PRECOMPILES.items():
            if len(self._precompile(number, data)) != length:
                raise UnsupportedChain(
                    f"chain {self.chain_id} lacks the precompile {number:#04x}, {name}; "
                    "expected a chain with Ethereum's Prague fork; use another"
                )
        if not self.code(HISTORY_CONTRACT):
            raise UnsupportedChain(
                f"chain {self.chain_id} keeps no history of block hashes (EIP-2935); "
                "expected a chain with Ethereum's Prague fork; use another"
            )
        if "baseFeePerGas" not in self.block("latest"):
            raise UnsupportedChain(
                f"chain {self.chain_id} has no base fee (EIP-1559); expected Ethereum's London fork or later; use another"
            )

    def _precompile(self, number: int, data: bytes) -> bytes:
        try:
            answer: str = self.request("eth_call", {"to": f"0x{number:040x}", "data": "0x" + data.hex()}, "latest")
        except NodeError:
            return b""
        return bytes.fromhex(answer[2:])


def connect(
    url: str,
    *,
    expected_chain_id: int | None = None,
    timeout_seconds: float = 30.0,
    receipt_seconds: float = 180.0,
    confirmations: int = 0,
) -> Connection:
    """Connect to a chain.

    Parameters
    ----------
    url : str
        ``http://``, ``https://``, or the path of an IPC socket.
    expected_chain_id : int, optional
        EIP-155 chain id that it must be.
    timeout_seconds : float, > 0 (default: 30)
        Time limit of a request.
    receipt_seconds : float, > 0 (default: 180)
        Time limit for a transaction to be mined and confirmed.
    confirmations : int, >= 0 (default: 0)
        Blocks on top of a transaction's block before it counts.

    Raises
    ------
    Unreachable
        No answer within the time limit.
    WrongChain
        It serves another chain.
    """
    endpoint = Endpoint(url, timeout_seconds)
    try:
        chain_id = int(endpoint.request("eth_chainId"), 16)
    except (NodeError, TypeError, ValueError) as error:
        raise Unreachable(f"{redacted(url)} does not tell its chain id ({error}); expected an Ethereum node; check the address") from error
    if expected_chain_id is not None and chain_id != expected_chain_id:
        raise WrongChain(chain_id, expected_chain_id)
    return Connection(endpoint, chain_id, receipt_seconds=receipt_seconds, confirmations=confirmations)


def poll(find: Callable[[], T | None], seconds: float, what: str) -> T:
    """First result of `find` that is not None.

    Raises
    ------
    Unreachable
        None within `seconds`; the message names `what`.
    """
    deadline, pause = time.monotonic() + seconds, FIRST_POLL_SECONDS
    while (found := find()) is None:
        if time.monotonic() > deadline:
            raise Unreachable(f"{what} did not come within {seconds:g} s; expected the chain to go on; check the node, then try again")
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_POLL_SECONDS)
    return found
