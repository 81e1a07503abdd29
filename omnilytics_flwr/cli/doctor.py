"""``omnilytics doctor``: what is missing on this machine, and how to get it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ..errors import OmnilyticsError
from .accounts import source_of
from .amounts import format_amount
from .options import CHAIN, DEPLOYMENTS, HOME, Settings, example, options
from .output import REFUSED, Printer

if TYPE_CHECKING:
    from .checks import Check
    from .session import Session


@click.command("doctor", epilog=example("omnilytics doctor", "omnilytics doctor --rpc-url http://127.0.0.1:8545 --home alice"))
@options(CHAIN, DEPLOYMENTS, HOME)
def doctor(settings: Settings) -> None:
    """Say what is missing on this machine, and how to get it.

    A chain and an owner home are looked at too if they are named. Exit code 1 if anything is missing that is not optional.
    """
    from .checks import MISSING

    checks = list(_checks(settings))
    missing = [check.what for check in checks if check.status == MISSING]
    if settings.as_json:
        Printer(as_json=True).rows([asdict(check) for check in checks])
    else:
        _show(checks)
        click.echo(f"missing: {', '.join(missing)}" if missing else "nothing is missing")
    if missing:
        click.get_current_context().exit(REFUSED)


def _show(checks: list[Check]) -> None:
    width = max(len(check.what) for check in checks)
    colours = {"ok": "green", "optional": "yellow", "missing": "red"}
    for check in checks:
        click.echo(f"{click.style(f'{check.status:<8}', fg=colours[check.status])}  {check.what:<{width}}  {check.found}")
        if check.remedy:
            click.echo(f"{'':<{width + 12}}-> {check.remedy}")


def _checks(settings: Settings) -> Iterator[Check]:
    from .checks import check_home, check_packages, check_python, check_tools
    from .session import Session

    yield from check_python()
    yield from check_packages()
    yield from check_tools()
    if settings.home is not None:
        yield from _guarded("owner home", check_home(settings.home))
    if settings.rpc_url is not None or settings.home is not None:
        yield from _guarded("chain", _check_chain(Session(settings)))


def _guarded(what: str, checks: Iterator[Check]) -> Iterator[Check]:
    """Checks up to one that cannot be made, and then why."""
    from .checks import MISSING, Check

    try:
        yield from checks
    except OmnilyticsError as error:
        yield Check(what, MISSING, "does not answer as it should", str(error))
    except ModuleNotFoundError as error:
        yield Check(what, MISSING, "cannot be looked at", f"install {error.name}, see above")


def _check_chain(session: Session) -> Iterator[Check]:
    from .checks import check_chain

    yield from check_chain(session.connection)
    yield from _check_market(session)


def _check_market(session: Session) -> Iterator[Check]:
    """The chain's deployment; whether the home's market is one of a trusted factory, and whether the account can pay a transaction."""
    from .checks import OK, OPTIONAL, Check

    try:
        yield Check("known deployment", OK, f"factory {session.known_deployment().factory}")
    except OmnilyticsError:
        remedy = "run `omnilytics market deploy` once for this chain, or name a file by --deployments"
        yield Check("known deployment", OPTIONAL, f"none on chain {session.connection.chain_id}", remedy)
    if session.home is None:
        return
    reader = session.reader
    session.check_trusted(session.home.policy)
    yield Check("market", OK, f"{reader.address}, {reader.state().stage.name.lower()}")
    source = source_of(session.settings, session.home)
    if source.keystore is not None and not source.keystore.is_file():
        return
    account = source.address(session.connection)
    balance_wei = session.connection.balance_wei(account)
    remedy = "" if balance_wei else f"send ether to {account}: it pays for joining, leaving and answers; rounds cost it nothing"
    yield Check("account", OK if balance_wei else OPTIONAL, f"{account}, {format_amount(balance_wei)}", remedy)
