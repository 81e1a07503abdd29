"""``omnilytics wallet``: making, importing and looking at wallets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import ChainError
from .account import ask_password, ask_secret
from .market_facts import account_facts
from .printer import Printer
from .session import Session, options
from .settings import ACCOUNT, CHAIN, DEPLOYMENTS, FILE, HOME, KEYSTORE, PASSWORD, default_keystore, example, to_address

if TYPE_CHECKING:
    from ..evm.wallet import Wallet
    from ..market.terms import Address


@click.group(epilog=example("omnilytics wallet new --keystore alice.json"))
def wallet() -> None:
    """Encrypted wallets.

    They are keystore files, version 3, as geth, foundry and most wallets read and write them.
    """


@wallet.command("new", epilog=example("omnilytics wallet new --keystore alice.json --password-file alice.password"))
@options(KEYSTORE, PASSWORD)
def new(session: Session) -> None:
    """Make a wallet with a new random key.

    It goes where --keystore says, or else to the place where every command looks.
    """
    from ..evm.wallet import Wallet

    _save(session, Wallet.create)


@wallet.command("import", epilog=example("omnilytics wallet import --private-key-file alice.key --keystore alice.json"))
@click.option("--private-key-file", type=FILE, help="File with 64 hexadecimal digits; else OMNILYTICS_PRIVATE_KEY, else a prompt.")
@options(KEYSTORE, PASSWORD)
def import_(session: Session, private_key_file: Path | None) -> None:
    """Encrypt a private key that you have."""
    from ..evm.wallet import KEY_VARIABLE, Secret, Wallet

    def read() -> Wallet:
        if private_key_file is None and os.environ.get(KEY_VARIABLE):
            return Wallet.from_environment()
        if private_key_file is not None:
            text = private_key_file.read_text(errors="replace")
        else:
            text = ask_secret("Private key", f"--private-key-file or {KEY_VARIABLE}")
        try:
            return Wallet(Secret(bytes.fromhex(text.strip().removeprefix("0x"))))
        except ValueError:
            raise ChainError("that is no private key; expected 64 hexadecimal digits; check where it comes from") from None

    _save(session, read)


@wallet.command("show", epilog=example("omnilytics wallet show --market 0x... --market 0x...", "omnilytics wallet show --all-markets"))
@click.option("--address", metavar="ADDRESS", callback=to_address, help="Look at this account instead of your own.")
@click.option(
    "--market",
    "markets",
    envvar="OMNILYTICS_MARKET",
    metavar="ADDRESS",
    callback=to_address,
    multiple=True,
    help="Market to look into; repeatable.",
)
@click.option("--all-markets", is_flag=True, help="Look into every market of the chain's known factory that knows the account.")
@options(HOME, CHAIN, DEPLOYMENTS, ACCOUNT)
def show(session: Session, address: Address | None, markets: tuple[Address, ...], all_markets: bool) -> None:
    """Address, balance, and what markets hold for the account.

    Markets hold stake, claims and credits.

    Without an endpoint, this shows the address only. It asks for a password only if the keystore does not state its address.
    """
    found = address or session.address()
    if session.settings.rpc_url is None and session.settings.home is None:
        session.printer().facts({"address": found})
        return
    facts: dict[str, Any] = {
        "address": found,
        "chain_id": session.connection.chain_id,
        "balance_wei": session.connection.balance_wei(found),
    }
    named = click.get_current_context().get_parameter_source("markets") is ParameterSource.COMMANDLINE
    wanted = (session.home.config.market,) if session.home is not None and not named else markets
    printer = session.printer()
    if all_markets or wanted:
        facts["markets"] = _in_markets(session, found, wanted, all_markets=all_markets)
        printer = Printer(session.settings.as_json, now=session.connection.now())
    printer.facts(facts)


def _in_markets(session: Session, account: Address, wanted: tuple[Address, ...], *, all_markets: bool) -> list[dict[str, Any]]:
    """What each market holds for the account; of all markets those that hold something."""
    from ..chain.deploy import markets
    from ..chain.market_reader import MarketReader

    if all_markets:
        wanted = markets(session.connection, session.deployment)
    rows = [account_facts(MarketReader(session.connection, market), account) for market in wanted]
    return [row for row in rows if not all_markets or row["role"] != "none" or row["credit_wei"] or row["refund_wei"]]


def _save(session: Session, make: Callable[[], Wallet]) -> None:
    from ..evm.wallet import read_password

    path = session.settings.keystore or default_keystore()
    if path.exists():
        raise ChainError(f"there is a file at {path} already; expected a new one, for it may be a wallet; choose another by --keystore")
    made = make()
    password = read_password(file=session.settings.password_file, ask=lambda: ask_password(f"Password for {path}", confirm=True))
    if not password.reveal():
        raise ChainError("the password is empty; expected at least one character; choose another")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made.save_keystore(path, password)
    printer = session.printer()
    printer.facts({"address": made.address, "keystore": str(path)})
    printer.note("Keep the file and its password in two places: without both the account is lost.")
