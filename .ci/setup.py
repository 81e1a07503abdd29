"""Install what the project needs into the checkout: ``make setup``.

Three parts, each left alone while the files it depends on are unchanged:

- ``.venv``: the package, editable, with all extras, at the versions of ``constraints.txt``;
- ``contracts/node_modules``: local chain, contract tests, compiler, contract library;
- ``runs/node_modules``: the data of the runs.

Node comes with the virtual environment. Only the standard library is used here.
``python .ci/setup.py --freeze`` rewrites ``constraints.txt`` from the newest versions that fit ``pyproject.toml``,
all but those of `HELD`, which are moved by hand.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NPM = VENV / "bin" / "npm"
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
OLDEST_PYTHON = (3, 11)
TAIL_LINES = 25
BUILD_TOOLS = ("editables", "hatchling", "tomlkit", "trove-classifiers")
# Torch's newest may come only with gigabytes for CUDA; torchvision and the simulation go with one torch and one Flower.
HELD = ("flwr", "torch", "torchvision")
NO_NETWORK = "Check that the package registry can be reached from here (proxy, certificates), then run `make setup` again."


class SetupFailedError(Exception):
    """A step failed: what happened, and what to do."""


def main() -> int:
    """Bring the checkout up to date; return the exit code."""
    try:
        if sys.argv[1:] == ["--freeze"]:
            freeze()
            return 0
        if sys.argv[1:]:
            raise SetupFailedError(f"unknown argument {sys.argv[1]}; expected none, or --freeze")
        with one_at_a_time():
            install_python()
            install_node(ROOT / "contracts", "local chain, contract tests, compiler")
            install_node(ROOT / "runs", "data of the runs")
            check_native_tools()
    except SetupFailedError as error:
        print(f"\nsetup: {error}", file=sys.stderr)
        return 1
    return 0


def install_python() -> None:
    """Create ``.venv`` and install the package with all extras, unless that is done."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:2]))
        raise SetupFailedError(f"Python {found} is too old; 3.11 or newer is needed: make setup PYTHON=/path/to/python3.11")
    # The place is part of the stamp: an environment that was moved or copied does not work.
    stamp = Stamp(
        VENV / ".installed",
        files=[ROOT / "pyproject.toml", CONSTRAINTS],
        facts=[str(ROOT), sys.version],
    )
    if stamp.is_current() and PYTHON.exists():
        return
    with step("virtual environment", ".venv"):
        stamp.remove()
        try:
            venv.create(VENV, with_pip=True, clear=not PYTHON.exists())
        except (OSError, subprocess.CalledProcessError) as error:
            raise SetupFailedError(
                f"no virtual environment could be made: {error}\n"
                "Debian and Ubuntu keep that in a package of its own: install python3-venv, then run `make setup` again."
            ) from error
    with step("Python packages", "about a minute, 1.7 GB on disk"):
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        # Through the environment, so that the build of our own package is constrained too.
        pinned = {"PIP_CONSTRAINT": str(CONSTRAINTS), "PIP_BUILD_CONSTRAINT": str(CONSTRAINTS)}
        run_quietly([*pip, "--editable", ".[all]"], cwd=ROOT, more_environment=pinned, remedy=NO_NETWORK)
    stamp.write()


def install_node(folder: Path, what: str) -> None:
    """Install the locked Node packages of `folder`, unless that is done."""
    modules = folder / "node_modules"
    stamp = Stamp(modules / ".installed", files=[folder / "package.json", folder / "package-lock.json"], facts=[])
    if stamp.is_current():
        return
    with step("Node packages", f"{folder.name}: {what}"):
        run_quietly([str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, remedy=NO_NETWORK)
    stamp.write()


def check_native_tools() -> None:
    """Raise unless anvil and forge came as programs for this machine."""
    for tool in ("anvil", "forge"):
        if not list((ROOT / "contracts" / "node_modules" / "@foundry-rs").glob(f"{tool}-*/bin/{tool}")):
            machine = f"{os.uname().sysname} {os.uname().machine}"
            raise SetupFailedError(
                f"no {tool} for this machine ({machine}) is in contracts/package-lock.json.\n"
                f"Install the package `@foundry-rs/{tool}-<system>-<processor>` of the same version: "
                f"(cd contracts && ../.venv/bin/npm install --no-save ...), then run `make setup` again."
            )


def freeze() -> None:
    """Rewrite the constraints from what a fresh environment resolves to."""
    held = [pin for pin in CONSTRAINTS.read_text(encoding="utf-8").split() if pin.split("==")[0] in HELD]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check"]
        with step("resolving", "a minute or more"):
            run_quietly([*pip, "install", "--quiet", ".[all]", *held, *BUILD_TOOLS], cwd=ROOT, remedy=NO_NETWORK)
        frozen = subprocess.run([*pip, "freeze", "--all"], capture_output=True, text=True, check=True).stdout.split()
    # A local version ("+cpu") names one registry's build; the public part fits them all.
    pins = {line.split("+")[0] for line in frozen if "==" in line and not line.startswith("pip==")}
    header = "# Exact versions of everything that the project installs, build tools included: .ci/setup.py --freeze\n"
    CONSTRAINTS.write_text(header + "".join(f"{pin}\n" for pin in sorted(pins, key=str.lower)), encoding="utf-8")


class Stamp:
    """A file that says from which inputs a part was installed."""

    def __init__(self, path: Path, *, files: list[Path], facts: list[str]) -> None:
        digest = hashlib.sha256()
        for piece in [*(file.read_bytes() for file in files), *(fact.encode() for fact in facts)]:
            digest.update(hashlib.sha256(piece).digest())
        self._path = path
        self._expected = digest.hexdigest()

    def is_current(self) -> bool:
        """Tell whether the part was installed from the inputs as they are now."""
        return self._path.is_file() and self._path.read_text(encoding="utf-8") == self._expected

    def remove(self) -> None:
        """Forget: the part is about to change."""
        self._path.unlink(missing_ok=True)

    def write(self) -> None:
        """Remember: the part is complete."""
        self._path.write_text(self._expected, encoding="utf-8")


@contextlib.contextmanager
def step(what: str, detail: str) -> Iterator[None]:
    """Say what is being done, and afterwards how long it took."""
    print(f"setup: {what} ({detail}) ...", end="", flush=True)
    start = time.monotonic()
    yield
    print(f" {time.monotonic() - start:.0f} s", flush=True)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let a second set-up of the same checkout wait for the first."""
    with Path(__file__).open(encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_quietly(command: list[str], *, cwd: Path, remedy: str, more_environment: Mapping[str, str] | None = None) -> None:
    """Run `command`; show the end of its output only if it fails."""
    environment = {**os.environ, **(more_environment or {})}
    # npm starts `node` by name: the one of the virtual environment must come first.
    environment["PATH"] = f"{VENV / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        tail = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-TAIL_LINES:])
        raise SetupFailedError(f"`{' '.join(command[:4])} ...` ended with {done.returncode}:\n{tail}\n{remedy}")


if __name__ == "__main__":
    sys.exit(main())
