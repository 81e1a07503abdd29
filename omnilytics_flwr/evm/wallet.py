"""Accounts: where their keys come from, and what they sign.

A key or password never comes from the command line, where every user of the machine can read it, and never shows in a `repr`.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..crypto.address import Address
from ..errors import ChainError
from .keystore import open_keystore

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from eth_typing import Hash32

    from .connection import Connection

KEY_VARIABLE = "OMNILYTICS_PRIVATE_KEY"
PASSWORD_VARIABLE = "OMNILYTICS_PASSWORD"  # noqa: S105 - a name, not a password
KEY_BYTES = 32
GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Secret:
    """Bytes that nobody should see: no repr, no equality, no pickling; `reveal` gives them."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret()"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a secret is not pickled; pass the place where it is kept")

    def reveal(self) -> bytes:
        """The bytes."""
        return self._value


class Wallet:
    """One account that signs.

    Parameters
    ----------
    key : Secret, 32 bytes
        secp256k1 private key, big-endian; anything else raises `ChainError`.
    """

    def __init__(self, key: Secret) -> None:
        from eth_account import Account

        if len(key.reveal()) != KEY_BYTES or not 0 < int.from_bytes(key.reveal(), "big") < GROUP_ORDER:
            raise ChainError(
                "this is no private key; expected 32 bytes, a number from 1 to the curve's order less 1; check where it is kept"
            )
        self._account: LocalAccount = Account.from_key(key.reveal())

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a wallet is not pickled; pass the place where its key is kept")

    @property
    def address(self) -> Address:
        """The account's address."""
        return Address(self._account.address)

    @classmethod
    def create(cls) -> Wallet:
        """A wallet with a new random key."""
        return cls(Secret(secrets.token_bytes(KEY_BYTES)))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Wallet:
        """The wallet whose key is in ``OMNILYTICS_PRIVATE_KEY``, 64 hexadecimal digits; raises `ChainError` if it is not."""
        text = environment.get(KEY_VARIABLE, "")
        try:
            key = bytes.fromhex(text.strip().removeprefix("0x"))
        except ValueError:
            key = b""
        if not key:
            raise ChainError(f"{KEY_VARIABLE} holds no private key; expected 64 hexadecimal digits; set it, or use a keystore file")
        return cls(Secret(key))

    @classmethod
    def from_keystore(cls, path: Path, password: Secret) -> Wallet:
        """The wallet in a keystore file, version 3; raises as `open_keystore` does."""
        return cls(Secret(open_keystore(path, password.reveal())))

    def save_keystore(self, path: Path, password: Secret) -> None:
        """Write a keystore file, version 3, that only its owner may read; raises `ChainError` if there is one or it cannot be written."""
        text = json.dumps(self._account.encrypt(password.reveal().decode()))
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise ChainError(
                f"the keystore {path} cannot be written ({error.strerror}); expected a new file; choose another path"
            ) from error
        with os.fdopen(descriptor, "w") as file:
            file.write(text)

    def sign_transaction(self, transaction: Mapping[str, Any]) -> tuple[bytes, str]:
        """Signed bytes of a transaction, and its hash as ``0x`` and 64 digits."""
        signed = self._account.sign_transaction(dict(transaction))
        return bytes(signed.raw_transaction), "0x" + bytes(signed.hash).hex()

    def sign_hash(self, signing_hash: bytes) -> bytes:
        """Sign 32 bytes: r, s (the lower of the two) and v, 65 bytes.

        Only for hashes with a domain of their own, such as EIP-712's, or what is signed might be a transaction.
        """
        return bytes(self._account.unsafe_sign_hash(cast("Hash32", signing_hash)).signature)


def read_password(
    *, file: Path | None = None, environment: Mapping[str, str] = os.environ, ask: Callable[[], Secret] | None = None
) -> Secret:
    """A password from the first line of a file, else from ``OMNILYTICS_PASSWORD``, else from a person whom `ask` asks.

    Raises
    ------
    ChainError
        None of them has it, or the file cannot be read.
    """
    if file is not None:
        try:
            return Secret(file.read_text().split("\n", 1)[0].rstrip("\r").encode())
        except OSError as error:
            raise ChainError(f"the password file {file} cannot be read ({error.strerror}); expected a file; check its path") from error
    if PASSWORD_VARIABLE in environment:
        return Secret(environment[PASSWORD_VARIABLE].encode())
    if ask is None:
        raise ChainError(f"no password; expected a password file or {PASSWORD_VARIABLE}; give one of them")
    return ask()


def dev_wallet(index: int, connection: Connection) -> Wallet:
    """Account `index` of the well-known mnemonic; raises `ChainError` if the chain is not local, for everybody has its key."""
    if not connection.is_local:
        raise ChainError(f"chain {connection.chain_id} is not local; expected anvil, for dev accounts' keys are public; use a keystore")
    return Wallet(Secret(dev_key(index)))


@cache
def dev_key(index: int) -> bytes:
    """Private key of account `index` of the well-known mnemonic, 32 bytes."""
    from eth_account.hdaccount import key_from_seed

    return bytes(key_from_seed(_dev_seed(), f"m/44'/60'/0'/0/{index}"))


@cache
def _dev_seed() -> bytes:
    from eth_account.hdaccount import seed_from_mnemonic

    from .anvil import MNEMONIC

    return bytes(seed_from_mnemonic(MNEMONIC, ""))
