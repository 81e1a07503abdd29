"""Run slither over the contracts; what is accepted is listed in README.md, with reasons.

python contracts/analyse.py    exit 0 if there is nothing else

Slither needs an older web3 than the project: it lives in a virtual environment of its own, ``contracts/.venv``, made here at the
versions of ``slither.txt``. Needs forge (``make setup``).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE / ".venv"
REQUIREMENTS = HERE / "slither.txt"
STAMP = ENVIRONMENT / ".installed"


class AnalysisError(Exception):
    """Slither cannot be run: what happened, and what to do."""


def main() -> int:
    """Install slither if that is not done, run it; return its exit code."""
    try:
        install()
        return run()
    except AnalysisError as error:
        print(f"analyse: {error}", file=sys.stderr)
        return 1


def install() -> None:
    """Make the virtual environment, unless it is there with these requirements."""
    expected = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode() + str(HERE).encode()).hexdigest()
    if STAMP.is_file() and STAMP.read_text(encoding="utf-8") == expected:
        return
    print("analyse: installing slither (contracts/.venv)", flush=True)
    venv.create(ENVIRONMENT, with_pip=True, clear=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run([*pip, "--requirement", str(REQUIREMENTS)], check=False)
    if done.returncode != 0:
        raise AnalysisError("slither could not be installed; check that the package registry can be reached, then run this again")
    STAMP.write_text(expected, encoding="utf-8")


def run() -> int:
    """Run slither on a build of its own, so that forge's stays as it is."""
    programs = sorted((HERE / "node_modules" / "@foundry-rs").glob("forge-*/bin"))
    if not programs:
        raise AnalysisError("there is no forge in contracts/node_modules; run `make setup` first")
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {
            "PATH": f"{programs[0]}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "FOUNDRY_OUT": f"{scratch}/out",
            "FOUNDRY_CACHE_PATH": f"{scratch}/cache",
        }
        return subprocess.run([str(ENVIRONMENT / "bin" / "slither"), "."], cwd=HERE, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
