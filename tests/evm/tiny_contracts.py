"""Tiny contracts, written in the machine's own words, that fail as the tests need it, and how they are sent to."""

from __future__ import annotations

from omnilytics_flwr.crypto.address import Address
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.reverts import PLAIN, Reverts
from omnilytics_flwr.evm.transaction import Mined, Payload
from omnilytics_flwr.evm.wallet import Wallet
from omnilytics_flwr.evm.wallet_sender import sender_for

_COPY_INPUT = "36 5f 5f 37"
_REVERT_INPUT = _COPY_INPUT + "36 5f fd"

REVERTING = bytes.fromhex(_REVERT_INPUT)
"""Reverts with its input as reason."""

ONCE = bytes.fromhex("5f 54 60 0a 57 60 01 5f 55 00 5b" + _REVERT_INPUT)
"""Takes any input once; from then on reverts with it."""

COUNTING = bytes.fromhex("5f 54 60 01 01 5f 55 5f 54 5f 52 60 20 5f a0 00")
"""Counts its calls in slot 0 and logs the count, without topics."""

WORKING = bytes.fromhex("5f 35 5b 60 20 5f 20 5f 52 60 01 90 03 80 60 02 57 00")
"""Hashes as many times as its input word says."""


def creation_code(runtime: bytes) -> bytes:
    """Code that deploys `runtime`, at most 255 bytes."""
    return bytes.fromhex(f"60 {len(runtime):02x} 80 60 09 5f 39 5f f3") + runtime


def send(connection: Connection, wallet: Wallet, payload: Payload, reverts: Reverts = PLAIN) -> Mined:
    """Send by the account's sender."""
    return sender_for(connection, wallet).send("test", payload, reverts)


def deployed(connection: Connection, wallet: Wallet, runtime: bytes) -> Address:
    """Address of a new contract with this code."""
    contract = send(connection, wallet, Payload(None, creation_code(runtime))).contract
    assert contract is not None
    return contract


def counted(connection: Connection, contract: Address) -> int:
    """Calls that a `COUNTING` contract has counted."""
    return connection.quantity("eth_getStorageAt", contract, "0x0", "latest")


def nonce(connection: Connection, wallet: Wallet) -> int:
    """How many transactions of an account are mined."""
    return connection.quantity("eth_getTransactionCount", wallet.address, "latest")
