"""Opening keystore files, version 3, as geth, foundry and most wallets write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..decoding import decode_json
from ..errors import ChainError, Malformed

VERSION = 3
KEY_LENGTHS = range(32, 65)
MOST_SCRYPT_BYTES = 2**30
MOST_SCRYPT_STEPS = 2**23
"""Four times what geth's stronger setting takes (2^18 times 8)."""
MOST_ITERATIONS = 10**7
"""Ten times what usual keystores take."""

_STRAY = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError, NotImplementedError, Malformed)
"""What eth-account raises for files that are no keystores."""


def open_keystore(path: Path, password: bytes) -> bytes:
    """The private key in a keystore file.

    Raises
    ------
    ChainError
        The file cannot be read, is no keystore, would take too much memory or time to open, or the password is wrong.
    """
    from eth_account import Account

    text = read_keystore(path)
    try:
        described = decode_json(text, dict[str, Any])
        affordable = _is_affordable(described["crypto"] if "crypto" in described else described["Crypto"])
        if described["version"] != VERSION or not affordable:
            raise ValueError("another version, or too much work")
        return bytes(Account.decrypt(described, password.decode()))
    except _STRAY as error:
        reason = "the password is wrong" if "MAC" in str(error) else "it is no keystore of version 3"
        raise ChainError(
            f"the keystore {path} does not open: {reason}; expected one as geth or foundry write it, and its password; try again"
        ) from None


def read_keystore(path: Path) -> bytes:
    """A keystore file; raises `ChainError` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ChainError(
            f"the keystore {path} cannot be read ({error.strerror}); expected a file; "
            "check the path, or make one with `omnilytics wallet new`"
        ) from error


def _is_affordable(crypto: Mapping[str, Any]) -> bool:
    """Whether deriving the key takes no more memory and time than keystores that are in use do."""

    def number(name: str) -> int:
        value = crypto["kdfparams"][name]
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} is no positive number")
        return value

    if number("dklen") not in KEY_LENGTHS:
        return False
    if crypto["kdf"] == "scrypt":
        work = number("n") * number("r")
        return 128 * work <= MOST_SCRYPT_BYTES and work * number("p") <= MOST_SCRYPT_STEPS
    return bool(crypto["kdf"] == "pbkdf2" and number("c") <= MOST_ITERATIONS)
