"""The account that acts. Passwords and keys come from files, the environment or a prompt, never from the command line."""

from __future__ import annotations

import getpass
import os
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ..errors import ChainError
from .settings import Settings, default_keystore

if TYPE_CHECKING:
    from ..data_owner.owner_home import OwnerHome
    from ..evm.key_source import KeySource
    from ..evm.wallet import Secret

_ACCOUNTS = frozenset({"keystore", "dev_account"})
"""Names of the options that name an account."""


def key_source(settings: Settings, home: OwnerHome | None) -> KeySource:
    """The account that the flags name, else that of the owner home, else that of the environment, else that of the configuration.

    In the environment a keystore or development account goes before a bare key. If nothing names an account it is the default wallet;
    raises `ChainError` if there is none.
    """
    from ..evm.key_source import KeySource
    from ..evm.wallet import KEY_VARIABLE

    if home is not None and not settings.explicit & _ACCOUNTS:
        source = home.key_source()
        if source.keystore is not None and ("password_file" in settings.explicit or source.password_file is None):
            source = replace(source, password_file=settings.password_file)
        return source
    has_key = bool(os.environ.get(KEY_VARIABLE))
    named = {name for name in _ACCOUNTS if getattr(settings, name) is not None}
    places = (named & settings.explicit, named & settings.from_environment, set() if has_key else named)
    counting = next((place for place in places if place), set())
    if counting == _ACCOUNTS:
        raise click.UsageError("--keystore and --dev-account, or their variables or entries, name two accounts; give one")
    if "dev_account" in counting:
        return KeySource(dev_account=settings.dev_account)
    if counting or has_key:
        return KeySource(settings.keystore, settings.password_file) if counting else KeySource()
    if default_keystore().is_file():
        return KeySource(default_keystore(), settings.password_file)
    raise ChainError(
        f"no account is named, and {default_keystore()} is no wallet; expected one; make it with `omnilytics wallet new`, "
        f"or name one by --keystore, --home, {KEY_VARIABLE} or --dev-account"
    )


def ask_password(question: str, *, confirm: bool = False) -> Secret:
    """A keystore's password that a person types unseen; raises `ChainError` if nobody does."""
    from ..evm.wallet import PASSWORD_VARIABLE, Secret

    return Secret(ask_secret(question, f"--password-file or {PASSWORD_VARIABLE}", confirm=confirm).encode())


def ask_secret(question: str, instead: str, *, confirm: bool = False) -> str:
    """What a person types unseen; raises `ChainError`, naming what to give instead, if nobody does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", getpass.GetPassWarning)  # without a terminal the answer is read from standard input
            return str(click.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True))
    except click.Abort:
        raise ChainError(f"nobody answered {question!r}; expected an answer at a terminal; give {instead} instead") from None
