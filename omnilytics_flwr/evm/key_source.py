"""Where any party keeps its account's key: a keystore file, a development account of a local chain, or the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..crypto.address import Address, parse_address
from ..decoding import decode_json
from ..errors import ChainError, Malformed
from .keystore import read_keystore
from .wallet import Secret, Wallet, dev_wallet, read_password

if TYPE_CHECKING:
    from .connection import Connection


@dataclass(frozen=True, slots=True)
class KeySource:
    """One place where a key is kept; with neither a keystore nor a development account it is ``OMNILYTICS_PRIVATE_KEY``.

    Attributes
    ----------
    keystore : Path or None
        File of keystore version 3.
    password_file : Path or None
        Its first line opens the keystore; None stands for ``OMNILYTICS_PASSWORD``.
    dev_account : int or None
        Index of a well-known account of a local chain.
    """

    keystore: Path | None = None
    password_file: Path | None = None
    dev_account: int | None = None

    def wallet(
        self, connection: Connection | None, *, environment: Mapping[str, str] = os.environ, ask: Callable[[], Secret] | None = None
    ) -> Wallet:
        """What signs for the account.

        Parameters
        ----------
        connection : Connection or None
            Needed for a development account only.
        environment : mapping of str to str (default: that of this process)
        ask : callable, optional
            Asks a person for the keystore's password, if neither file nor environment has it.

        Raises
        ------
        ChainError
            The keystore does not open, a development account is asked for on a chain that is not local, or there is no key at all.
        """
        if self.dev_account is not None:
            if connection is None:
                raise ChainError("a development account needs its chain; expected an endpoint; name it by --rpc-url")
            return dev_wallet(self.dev_account, connection)
        if self.keystore is None:
            return Wallet.from_environment(environment)
        read_keystore(self.keystore)  # before anybody is asked for the password of what is not there
        return Wallet.from_keystore(self.keystore, read_password(file=self.password_file, environment=environment, ask=ask))

    def address(self, connection: Connection | None, *, ask: Callable[[], Secret] | None = None) -> Address:
        """Address of the account, without its password if the keystore states it; raises as `wallet` does."""
        if self.keystore is not None:
            try:
                stated = decode_json(read_keystore(self.keystore), dict[str, Any])["address"]
            except (Malformed, KeyError):
                pass  # many keystores do not state it, and what is no keystore is told when it is opened
            else:
                return parse_address("0x" + str(stated).lower().removeprefix("0x"))
        return self.wallet(connection, ask=ask).address
