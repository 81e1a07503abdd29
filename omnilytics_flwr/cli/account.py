"""Which account acts, and its wallet; passwords and keys come from files, the environment or a prompt, never from the command line."""

from __future__ import annotations

import getpass
import json
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ChainError
from .settings import Settings, default_keystore

if TYPE_CHECKING:
    from ..data_owner.home import OwnerHome
    from ..evm.connection import Connection
    from ..evm.wallet import Secret, Wallet
    from ..market.terms import Address


_ACCOUNTS = frozenset({"keystore", "dev_account"})
"""Names of the options that name an account."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where an account's key is: a keystore, a development account of a local chain, or else the environment."""

    keystore: Path | None = None
    password_file: Path | None = None
    dev_account: int | None = None

    def address(self, connection: Connection | None) -> Address:
        """Address of the account, without its password if the keystore tells it; raises as `wallet` does."""
        from ..crypto.address import parse_address
        from ..evm.wallet import Wallet

        stated = keystore_address(self.keystore) if self.keystore is not None else None
        if stated is not None:
            return parse_address(stated)
        if self.keystore is None and self.dev_account is None:
            return Wallet.from_environment().address
        return self.wallet(connection).address

    def wallet(self, connection: Connection | None) -> Wallet:
        """What signs for the account.

        Raises
        ------
        ChainError
            The keystore does not open, a development account is asked for on a chain that is not local, or there is no key at all.
        """
        from ..evm.wallet import Wallet, dev_wallet

        if self.dev_account is not None:
            if connection is None:
                raise ChainError("a development account needs its chain; expected an endpoint; name it by --rpc-url")
            return dev_wallet(self.dev_account, connection)
        if self.keystore is not None:
            _check_there(self.keystore)
            return Wallet.from_keystore(self.keystore, ask_password(self.password_file, f"Password of {self.keystore}"))
        return Wallet.from_environment()


def source_of(settings: Settings, home: OwnerHome | None) -> Source:
    """The account that the flags name, else that of the owner home, else that of the environment, else that of the configuration.

    In the environment a keystore or development account goes before a bare key. If nothing names an account it is the default wallet.

    Raises
    ------
    ChainError
        There is none.
    """
    from ..evm.wallet import KEY_VARIABLE

    if home is not None and not settings.explicit & _ACCOUNTS:
        return _source_of_home(home, settings)
    has_key = bool(os.environ.get(KEY_VARIABLE))
    named = {name for name in _ACCOUNTS if getattr(settings, name) is not None}
    places = (named & settings.explicit, named & settings.from_environment, set() if has_key else named)
    counting = next((place for place in places if place), set())
    if counting == _ACCOUNTS:
        raise click.UsageError("--keystore and --dev-account, or their variables or entries, name two accounts; give one")
    if "dev_account" in counting:
        return Source(dev_account=settings.dev_account)
    if "keystore" in counting:
        return Source(settings.keystore, settings.password_file)
    if has_key:
        return Source()
    if default_keystore().is_file():
        return Source(default_keystore(), settings.password_file)
    raise ChainError(
        f"no account is named, and {default_keystore()} is no wallet; expected one; make it with `omnilytics wallet new`, "
        f"or name one by --keystore, --home, {KEY_VARIABLE} or --dev-account"
    )


def ask_password(file: Path | None, question: str, *, confirm: bool = False) -> Secret:
    """A password from a file, else from ``OMNILYTICS_PASSWORD``, else asked for without showing it.

    Raises
    ------
    ChainError
        There is none and nobody to ask, or it is empty.
    """
    from ..evm.wallet import PASSWORD_VARIABLE, Secret, read_password

    if file is not None or PASSWORD_VARIABLE in os.environ:
        secret = read_password(file=file)
    else:
        secret = Secret(ask_secret(question, f"--password-file or {PASSWORD_VARIABLE}", confirm=confirm).encode())
    if not secret.reveal():
        raise ChainError("the password is empty; expected at least one character; choose another")
    return secret


def ask_secret(question: str, instead: str, *, confirm: bool = False) -> str:
    """What a person types unseen; raises `ChainError`, naming what to give instead, if nobody does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", getpass.GetPassWarning)  # without a terminal the answer is read from standard input
            return str(click.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True))
    except click.Abort:
        raise ChainError(f"nobody answered {question!r}; expected an answer at a terminal; give {instead} instead") from None


def keystore_address(path: Path) -> str | None:
    """Address that a keystore states, as some do; None if it does not or is no keystore."""
    _check_there(path)
    try:
        stated = json.loads(path.read_text())["address"]
    except (ValueError, KeyError, TypeError):
        return None
    return "0x" + str(stated).lower().removeprefix("0x")


def is_interactive() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty()


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise ChainError(f"there is no keystore at {path}; expected a file; check the path, or make one with `omnilytics wallet new`")


def _source_of_home(home: OwnerHome, settings: Settings) -> Source:
    if "development" in home.account:
        return Source(dev_account=int(str(home.account["development"])))
    if "keystore" not in home.account:
        return Source()
    file = home.account.get("password-file")
    named = home.path / str(file) if file is not None else settings.password_file
    return Source(home.path / str(home.account["keystore"]), settings.password_file if "password_file" in settings.explicit else named)
