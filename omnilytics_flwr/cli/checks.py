"""What `omnilytics doctor` looks at: each check says what it found, what that is good for, and how to get what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OmnilyticsError

if TYPE_CHECKING:
    from ..evm.connection import Connection

OK, OPTIONAL, MISSING = "ok", "optional", "missing"
PACKAGE = "omnilytics_flwr"
OLDEST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 1 << 30
MOST_LAG_SECONDS = 120
TOOL_SECONDS = 20

_NAME = re.compile(r"^[A-Za-z0-9._-]+")
_EXTRA = re.compile(r"extra == ['\"]([^'\"]+)['\"]")
_OPTIONAL = {"torch": "models in PyTorch", "ray": "simulations"}


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes
    ----------
    what : str
    status : str
        ``ok``, ``missing``, or ``optional``: missing, and needed only for what `found` says.
    found : str
    remedy : str
        Empty if nothing is to be done.
    """

    what: str
    status: str
    found: str
    remedy: str = ""


def check_python() -> Iterator[Check]:
    """The interpreter's version."""
    version = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info[:2] < OLDEST_PYTHON
    yield Check("Python", MISSING if old else OK, version, "install Python 3.11 or newer and make a new environment with it" if old else "")


def check_packages() -> Iterator[Check]:
    """Every package that this one depends on, with its version, and the frameworks that are optional."""
    for requirement in _requirements():
        yield _package(requirement)
    for name, purpose in _OPTIONAL.items():
        extra = {"ray": "simulation"}.get(name, name)
        yield _package(name, f"not here, needed for {purpose} only", f"pip install '{PACKAGE}[{extra}]'")


def check_tools() -> Iterator[Check]:
    """What ships with the package or beside it: compiled contracts, the ceremony's points, the local chain."""
    for name in ("Market", "MarketFactory", "SumcheckVerification"):
        yield _probe(f"contract {name}", lambda: _contract(name))  # noqa: B023 - called at once
    yield _probe("KZG ceremony", _ceremony)
    yield _probe("anvil", _anvil, OPTIONAL, "no, needed for local chains and simulations only")


def check_chain(connection: Connection) -> Iterator[Check]:
    """What a chain must have for a market."""
    yield Check("chain", OK, f"chain {connection.chain_id}, block {connection.block_number():,}")
    yield _probe("fit for markets", lambda: _supported(connection))
    yield _probe("blobs", lambda: _blobs(connection))
    if not connection.is_local:
        yield _lag(connection)


def check_home(path: Path) -> Iterator[Check]:
    """An owner home: that it can be read and written, by its owner only, with room for vectors."""
    from ..data_owner.home import OwnerHome

    try:
        home = OwnerHome.open(path)
    except OmnilyticsError as error:
        yield Check("owner home", MISSING, "does not open", str(error))
        return
    yield Check("owner home", OK, f"market {home.market} on chain {home.chain_id}")
    writable = os.access(path, os.W_OK | os.X_OK)
    yield Check("home writable", OK if writable else MISSING, str(path), "" if writable else f"chown or chmod u+rwx {path}")
    free = shutil.disk_usage(path).free
    remedy = "" if free >= LEAST_FREE_BYTES else "free some: the journal keeps a vector of each open round"
    yield Check("free disk", MISSING if remedy else OK, f"{free / 1e9:.1f} GB", remedy)
    names = [home.account.get(key) for key in ("keystore", "password-file")]
    yield _private(path, 0o700)
    for file in [path / str(name) for name in names if name is not None]:
        yield _private(file, 0o600)


def _probe(what: str, find: Callable[[], str], status: str = MISSING, absent: str = "no") -> Check:
    """What `find` says, or else, with this status, why it cannot."""
    try:
        return Check(what, OK, find())
    except ModuleNotFoundError as error:
        return Check(what, status, absent, f"install {error.name}, see above")
    except (OmnilyticsError, OSError, subprocess.SubprocessError) as error:
        return Check(what, status, absent, str(error))


def _contract(name: str) -> str:
    from ..chain import artifacts

    return f"{len(artifacts.load(name).runtime_code):,} bytes of code"


def _ceremony() -> str:
    from ..crypto.ceremony import tau_g2

    tau_g2()
    return "the points of Ethereum's"


def _anvil() -> str:
    from ..evm.anvil import find_anvil

    anvil = str(find_anvil())
    said = subprocess.run([anvil, "--version"], capture_output=True, text=True, timeout=TOOL_SECONDS, check=True)
    return f"{said.stdout.partition(chr(10))[0]}, {anvil}"


def _supported(connection: Connection) -> str:
    from ..chain.chain_support import check_supported

    check_supported(connection)
    return "point evaluation, BLS12-381, history of block hashes, base fee, blobs"


def _blobs(connection: Connection) -> str:
    from ..chain.chain_support import check_blobs
    from ..evm.fees import blob_base_fee_wei

    check_blobs(connection)
    return f"taken, {blob_base_fee_wei(connection):,} wei for a unit of blob gas"


def _requirements() -> list[str]:
    """Requirements of the installed package, or of the checkout that this file lies in."""
    try:
        return [entry for entry in importlib.metadata.requires(PACKAGE) or [] if not _EXTRA.search(entry)]
    except importlib.metadata.PackageNotFoundError:
        project = Path(__file__).resolve().parents[2] / "pyproject.toml"
        return list(tomllib.loads(project.read_text())["project"]["dependencies"]) if project.is_file() else []


def _package(requirement: str, absent: str = "not here", remedy: str = "") -> Check:
    found = _NAME.match(requirement)
    name = found[0] if found else requirement
    remedy = remedy or f"pip install '{requirement}'"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, OPTIONAL if name in _OPTIONAL else MISSING, absent, remedy)
    return Check(name, OK, version) if _fits(requirement, version) else Check(name, MISSING, f"{version}, expected {requirement}", remedy)


def _fits(requirement: str, version: str) -> bool:
    """Whether a version is in a requirement's range; yes if nothing here can tell."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return True
    return Requirement(requirement).specifier.contains(version, prereleases=True)


def _lag(connection: Connection) -> Check:
    lag = int(time.time()) - connection.timestamp("latest")
    if abs(lag) <= MOST_LAG_SECONDS:
        return Check("clock and node", OK, f"last block {lag} s ago")
    return Check(
        "clock and node", MISSING, f"last block {lag} s ago by this clock", "set the clock by NTP, and see whether the node is in step"
    )


def _private(path: Path, most: int) -> Check:
    what = f"private {path.name}"
    if not path.exists():
        return Check(what, MISSING, f"{path} is not there", "put it there, or correct owner.toml")
    mode = stat.S_IMODE(path.stat().st_mode)
    open_to_others = mode & 0o077
    return Check(what, MISSING if open_to_others else OK, f"mode {mode:o}", f"chmod {most:o} {path}" if open_to_others else "")
