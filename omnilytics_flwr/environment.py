"""Environment variables by which the operator of a server names the market and the place of the account's key.

Flower's run config must not hold these: every data owner's client sees it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .chain.ethereum_ledger import EthereumLedger
from .crypto.address import parse_address
from .errors import ChainError, Malformed, TermsError
from .evm.connection import connect
from .evm.key_source import KeySource
from .evm.wallet import KEY_VARIABLE
from .evm.wallet_sender import sender_for
from .node_address import check_address

RPC_VARIABLE = "OMNILYTICS_RPC_URL"
CHAIN_VARIABLE = "OMNILYTICS_CHAIN_ID"
CONFIRMATIONS_VARIABLE = "OMNILYTICS_CONFIRMATIONS"
BLOBS_VARIABLE = "OMNILYTICS_BLOBS_URL"
MARKET_VARIABLE = "OMNILYTICS_MARKET"
KEYSTORE_VARIABLE = "OMNILYTICS_KEYSTORE"
PASSWORD_FILE_VARIABLE = "OMNILYTICS_PASSWORD_FILE"  # noqa: S105 - a name, not a password
DEV_ACCOUNT_VARIABLE = "OMNILYTICS_DEV_ACCOUNT"

ACCOUNT_VARIABLES = (KEYSTORE_VARIABLE, KEY_VARIABLE, DEV_ACCOUNT_VARIABLE)
"""Where an account may be kept; one of them is set."""


def open_market(*, run_dir: Path | None = None, environment: Mapping[str, str] = os.environ) -> EthereumLedger:
    """The market that the operator of this server names, as its model owner sees it, for ``Omnilytics(..., ledger=open_market())``.

    Read are ``OMNILYTICS_RPC_URL``, ``OMNILYTICS_MARKET``, if set ``OMNILYTICS_CHAIN_ID``, and the account: ``OMNILYTICS_KEYSTORE``
    with ``OMNILYTICS_PASSWORD_FILE`` or ``OMNILYTICS_PASSWORD``, or ``OMNILYTICS_PRIVATE_KEY``, or on a local chain
    ``OMNILYTICS_DEV_ACCOUNT``. ``OMNILYTICS_CONFIRMATIONS`` (default 0) is how many blocks a transaction must have on top of it,
    ``OMNILYTICS_BLOBS_URL`` the beacon node that answers of accused data owners are read from; a local chain serves them itself.

    Parameters
    ----------
    run_dir : Path, optional
        The strategy's run directory: with it, a transaction under way when this process is killed is found again by the next.
    environment : mapping of str to str (default: that of this process)

    Raises
    ------
    ChainError
        A variable is missing or is not what it must be, the key is not where it should be, or the chain does not answer.
    UnknownMarket
        The address holds no market of this version.
    TermsError
        The account is not the market's model owner.
    """
    _needed(environment, RPC_VARIABLE, "the JSON-RPC address of a node, e.g. http://127.0.0.1:8545")
    url = str(_node(environment, RPC_VARIABLE))
    named = _needed(environment, MARKET_VARIABLE, "the address of a market, 0x and 40 digits")
    try:
        market = parse_address(named)
    except Malformed as error:
        raise ChainError(f"{MARKET_VARIABLE}: {error}; set it to the address of a market") from error
    _check_one_account(environment)
    blobs_url = _node(environment, BLOBS_VARIABLE, sockets=False)
    connection = connect(
        url,
        expected_chain_id=_number(environment, CHAIN_VARIABLE),
        confirmations=_number(environment, CONFIRMATIONS_VARIABLE) or 0,
        blobs_url=blobs_url,
        outbox=None if run_dir is None else run_dir / "outbox",
    )
    ledger = EthereumLedger(sender_for(connection, _key_source(environment).wallet(connection, environment=environment)), market)
    owner = ledger.model_owner
    if owner != ledger.account:
        raise TermsError(
            f"account {ledger.account} is not the model owner of market {market}, expected {owner}; "
            f"set one of {', '.join(ACCOUNT_VARIABLES)} to that account, or {MARKET_VARIABLE} to a market of this one"
        )
    return ledger


def _needed(environment: Mapping[str, str], name: str, expected: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise ChainError(
            f"{name} is not set; expected {expected}; set it in the environment of the server (with flwr run, of the SuperLink)"
        )
    return value


def _node(environment: Mapping[str, str], name: str, *, sockets: bool = True) -> str | None:
    address = environment.get(name, "").strip()
    if not address:
        return None
    try:
        check_address(name, address, sockets=sockets)
    except Malformed as error:
        raise ChainError(str(error)) from error
    return address


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ChainError(f"{name} is {text!r}, expected a number; correct or unset it")
    return int(text)


def _check_one_account(environment: Mapping[str, str]) -> None:
    named = [name for name in ACCOUNT_VARIABLES if environment.get(name)]
    if len(named) != 1:
        said = f"{' and '.join(named)} name {len(named)} accounts" if named else "no account is named"
        raise ChainError(f"{said}; expected exactly one of {', '.join(ACCOUNT_VARIABLES)}; set that one in the environment of the server")


def _key_source(environment: Mapping[str, str]) -> KeySource:
    keystore, password_file = (
        Path(environment[name]).expanduser() if environment.get(name) else None for name in (KEYSTORE_VARIABLE, PASSWORD_FILE_VARIABLE)
    )
    return KeySource(keystore, password_file, _number(environment, DEV_ACCOUNT_VARIABLE))
