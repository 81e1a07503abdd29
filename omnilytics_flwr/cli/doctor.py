"""``omnilytics doctor``: what is missing on this machine, and how to get it.

Checks import whatever is heavy themselves, so the command runs where almost nothing is installed.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import OmnilyticsError, UnsupportedChain
from ..market.amount import format_amount
from ..system import NO_POSIX, has_posix
from .printer import REFUSED
from .session import Session, options
from .settings import CHAIN, DEPLOYMENTS, HOME, example

if TYPE_CHECKING:
    from ..evm.connection import Connection

OK, OPTIONAL, MISSING = "ok", "optional", "missing"
_COLOURS = {OK: "green", OPTIONAL: "yellow", MISSING: "red"}

PACKAGE = "omnilytics_flwr"
OLDEST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 1 << 30
MOST_LAG_SECONDS = 120
TOOL_SECONDS = 20

_NAME = re.compile(r"^[A-Za-z0-9._-]+")
_EXTRA = re.compile(r"extra == ['\"]([^'\"]+)['\"]")
_FRAMEWORKS = {"torch": ("models in PyTorch", "torch"), "ray": ("simulations", "simulation")}
"""Optional packages: what each is for, and the extra that brings it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes
    ----------
    status : {"ok", "optional", "missing"}
        ``optional`` is missing too, but needed only for what `found` says.
    remedy : str
        Empty if there is nothing to do.
    """

    what: str
    status: str
    found: str
    remedy: str = ""


@click.command("doctor", epilog=example("omnilytics doctor", "omnilytics doctor --rpc-url http://127.0.0.1:8545 --home alice"))
@options(CHAIN, DEPLOYMENTS, HOME)
def doctor(session: Session) -> None:
    """Say what is missing on this machine, and how to get it.

    Checks a chain and an owner home too if you name them. The exit code is 1 if anything is missing that is not optional.
    """
    checks = list(_checks(session))
    missing = [check.what for check in checks if check.status == MISSING]
    if session.settings.as_json:
        session.printer().rows([asdict(check) for check in checks])
    else:
        _show(checks)
        click.echo(f"missing: {', '.join(missing)}" if missing else "nothing is missing")
    if missing:
        click.get_current_context().exit(REFUSED)


def _show(checks: list[Check]) -> None:
    width = max(len(check.what) for check in checks)
    for check in checks:
        click.echo(f"{click.style(f'{check.status:<8}', fg=_COLOURS[check.status])}  {check.what:<{width}}  {check.found}")
        if check.remedy:
            click.echo(f"{'':<{width + 12}}-> {check.remedy}")


def _checks(session: Session) -> Iterator[Check]:
    settings = session.settings
    yield check_system()
    yield check_python()
    yield from check_packages()
    yield from _check_tools()
    if settings.home is not None:
        yield from _until_refused("owner home", _check_home(settings.home))
    if settings.rpc_url is not None or settings.home is not None:
        yield from _until_refused("chain", _check_chain(session))


def _until_refused(what: str, checks: Iterator[Check]) -> Iterator[Check]:
    """Checks up to the first that cannot be made, and then why."""
    try:
        yield from checks
    except OmnilyticsError as error:
        yield Check(what, MISSING, "is not as it should be", str(error))
    except ModuleNotFoundError as error:
        yield Check(what, MISSING, "cannot be checked", _installed(error.name))


def _probe(what: str, find: Callable[[], str], status: str = MISSING, absent: str = "no") -> Check:
    """What `find` says, or else, with this status, why it cannot."""
    try:
        return Check(what, OK, find())
    except ModuleNotFoundError as error:
        return Check(what, status, absent, _installed(error.name))
    except (OmnilyticsError, OSError, subprocess.SubprocessError) as error:
        return Check(what, status, absent, str(error))


def _installed(module: str | None) -> str:
    """How to get a module that is missing: there is no way to get those of another system."""
    return f"install {module}, see above" if has_posix() else NO_POSIX


def check_system() -> Check:
    """The operating system."""
    remedy = "" if has_posix() else NO_POSIX
    return Check("system", MISSING if remedy else OK, platform.system(), remedy)


def check_python() -> Check:
    """The interpreter's version."""
    remedy = "" if sys.version_info[:2] >= OLDEST_PYTHON else "install Python 3.11 or newer and make a new environment with it"
    return Check("Python", MISSING if remedy else OK, ".".join(map(str, sys.version_info[:3])), remedy)


def check_packages() -> Iterator[Check]:
    """Every package that this one depends on, with its version, and the frameworks that are optional."""
    for requirement in _requirements():
        yield _package(requirement)
    for name, (purpose, extra) in _FRAMEWORKS.items():
        yield _package(name, f"not here, needed for {purpose} only", "pip install " + " ".join(map(repr, _requirements(extra))))


def _requirements(extra: str = "") -> list[str]:
    """Requirements of the installed package, or of the checkout that this file lies in; of one of its extras, or without any."""
    try:
        found = [(entry, _EXTRA.search(entry)) for entry in importlib.metadata.requires(PACKAGE) or []]
    except importlib.metadata.PackageNotFoundError:
        path = Path(__file__).resolve().parents[2] / "pyproject.toml"
        project = tomllib.loads(path.read_text())["project"] if path.is_file() else {}
        return list(project.get("optional-dependencies", {}).get(extra, []) if extra else project.get("dependencies", []))
    if extra:
        return [entry.partition(";")[0].strip() for entry, named in found if named and named[1] == extra]
    return [entry for entry, named in found if not named]


def _package(requirement: str, absent: str = "not here", remedy: str = "") -> Check:
    found = _NAME.match(requirement)
    name = found[0] if found else requirement
    remedy = remedy or f"pip install '{requirement}'"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, OPTIONAL if name in _FRAMEWORKS else MISSING, absent, remedy)
    return Check(name, OK, version) if _fits(requirement, version) else Check(name, MISSING, f"{version}, expected {requirement}", remedy)


def _fits(requirement: str, version: str) -> bool:
    """Whether a version is in a requirement's range; yes if nothing here can tell."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return True
    return Requirement(requirement).specifier.contains(version, prereleases=True)


def _check_tools() -> Iterator[Check]:
    """What ships with the package or beside it: compiled contracts, the ceremony's points, the local chain."""
    yield from _until_refused("contracts", _check_contracts())
    yield _probe("KZG ceremony", _ceremony)
    yield _probe("anvil", _anvil, OPTIONAL, "no, needed for local chains and simulations only")


def _check_contracts() -> Iterator[Check]:
    from ..chain import artifacts
    from ..chain.deploy import DEPLOYED

    for name in (artifacts.MARKET, *DEPLOYED):
        yield _probe(f"contract {name}", lambda: f"{len(artifacts.load(name).runtime_code):,} bytes of code")  # noqa: B023 - called at once


def _ceremony() -> str:
    from ..crypto.ceremony import tau_g2

    tau_g2()
    return "the points of Ethereum's"


def _anvil() -> str:
    from ..evm.anvil import find_anvil

    anvil = str(find_anvil())
    said = subprocess.run([anvil, "--version"], capture_output=True, text=True, timeout=TOOL_SECONDS, check=True)
    return f"{said.stdout.partition(chr(10))[0]}, {anvil}"


def _check_home(path: Path) -> Iterator[Check]:
    """An owner home: only its owner reads and writes it, and there is room for vectors."""
    from ..data_owner.owner_home import OwnerHome

    home = OwnerHome.open(path)
    yield Check("owner home", OK, f"market {home.config.market} on chain {home.config.chain_id}")
    remedy = "" if os.access(path, os.W_OK | os.X_OK) else f"chown or chmod u+rwx {path}"
    yield Check("home writable", MISSING if remedy else OK, str(path), remedy)
    free = shutil.disk_usage(path).free
    remedy = "" if free >= LEAST_FREE_BYTES else "free some: the journal keeps a vector of each open round"
    yield Check("free disk", MISSING if remedy else OK, f"{free / 1e9:.1f} GB", remedy)
    yield _private(path, 0o700)
    for secret in (home.config.account.keystore, home.config.account.password_file):
        if secret is not None:
            yield _private(path / secret, 0o600)


def _check_deployment(session: Session) -> Check:
    """The contracts of the chain: there may be none yet, but what is named must be right."""
    what, path = "known deployment", session.settings.deployments
    try:
        session.known_deployment()
    except UnsupportedChain:
        pass
    except click.UsageError as error:
        if path is None or path.exists():
            return Check(what, MISSING, "is not as it should be", error.message)
    else:
        return _probe(what, lambda: f"factory {session.deployment.factory}")
    remedy = "run `omnilytics market deploy` once for this chain, or name a file by --deployments"
    return Check(what, OPTIONAL, f"none on chain {session.connection.chain_id}", remedy)


def _private(path: Path, most: int) -> Check:
    what = f"private {path.name}"
    if not path.exists():
        return Check(what, MISSING, f"{path} is not there", "put it there, or correct owner.toml")
    mode = stat.S_IMODE(path.stat().st_mode)
    remedy = f"chmod {most:o} {path}" if mode & 0o077 else ""
    return Check(what, MISSING if remedy else OK, f"mode {mode:o}", remedy)


def _check_chain(session: Session) -> Iterator[Check]:
    """What a chain must have for a market, and its deployment; of an owner home, its market and its account."""
    connection = session.connection
    yield Check("chain", OK, f"chain {connection.chain_id}, block {connection.block_number():,}")
    yield _probe("fit for markets", lambda: _supported(connection))
    yield _probe("proofs", lambda: _proofs(connection), OPTIONAL, "no, needed by exact and projected markets, not by computed ones")
    yield _probe("blobs", lambda: _blobs(connection), OPTIONAL, "no, needed by markets with accusations")
    if not connection.is_local:
        yield _lag(connection)
    yield _check_deployment(session)
    if session.home is not None:
        session.check_trusted(session.home.policy)
        yield Check("market", OK, f"{session.market}, {session.reader.state().stage.name.lower()}")
        yield _probe("a round", lambda: _round(session))
        yield _probe("answers", lambda: _answers(session))
        yield from _check_account(session)


def _supported(connection: Connection) -> str:
    from ..chain.chain_support import check_supported

    check_supported(connection)
    return "history of block hashes, base fee"


def _proofs(connection: Connection) -> str:
    from ..chain.chain_support import check_proofs

    check_proofs(connection)
    return "point evaluation, BLS12-381"


def _blobs(connection: Connection) -> str:
    from ..chain.chain_support import check_blobs
    from ..evm.fees import blob_base_fee_wei

    check_blobs(connection)
    return f"taken, {blob_base_fee_wei(connection):,} wei for a unit of blob gas"


def _round(session: Session) -> str:
    """What a round takes of this machine; raises `Refused` if the disk has no room for it."""
    from ..data_owner.round_needs import RoundNeeds

    needs = RoundNeeds.of(session.reader.scheme())
    if session.home is not None:
        session.home.journal().check_room(needs.disk_bytes)
    return str(needs)


def _answers(session: Session) -> str:
    from ..data_owner.owner_home import try_node

    cost_wei = try_node(session.reader)
    return f"to an accusation would pass, and cost {format_amount(cost_wei)} today" if cost_wei else "are not called for in this market"


def _lag(connection: Connection) -> Check:
    lag = int(time.time()) - connection.timestamp("latest")
    remedy = "" if abs(lag) <= MOST_LAG_SECONDS else "set the clock by NTP, and see whether the node is in step"
    return Check("clock and node", MISSING if remedy else OK, f"last block {lag} s ago by this clock", remedy)


def _check_account(session: Session) -> Iterator[Check]:
    """Whether the account can pay for a transaction."""
    if session.source.keystore is not None and not session.source.keystore.is_file():
        return  # told already, as a file that is not private
    account = session.address()
    balance_wei = session.connection.balance_wei(account)
    remedy = "" if balance_wei else f"send ether to {account}: it pays for joining, leaving and answers; rounds cost it nothing"
    yield Check("account", OK if balance_wei else OPTIONAL, f"{account}, {format_amount(balance_wei)}", remedy)
