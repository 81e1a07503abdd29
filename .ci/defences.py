"""Remove one defence at a time and see the test that watches it fail: a test that passes all the same would prove nothing.

    python .ci/defences.py            # every defence (make defences)
    python .ci/defences.py NAME...    # some

Works on a copy of the checkout; the checkout itself is not touched. Defences are in ``defences.toml``: a file, the text that is
the defence, what is there without it, and the test that must fail: arguments of pytest, or of ``forge test`` after the word forge.
A defence of the contracts is compiled before.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CANNOT_RUN = 2
LIST = Path(__file__).with_name("defences.toml")
LINKED = ("contracts/node_modules", "runs/node_modules")
WARM = ("contracts/out", "contracts/cache")
"""What forge has compiled; it compiles again what differs."""
SECONDS = 900
TESTS_FAILED = 1
"""Exit code of pytest and forge when tests ran and some failed; anything else of pytest means that it could not even ask."""


@dataclass(frozen=True, slots=True)
class Defence:
    """One defence.

    Attributes
    ----------
    name, says : str
    file : str
        Where it is.
    text, without : str
        What it is, once in the file, and what to put in its place.
    test : str
        The test that must fail, as pytest is asked for it, or forge after the word forge.
    """

    name: str
    says: str
    file: str
    text: str
    without: str
    test: str


def main(names: list[str]) -> int:
    """Check the named defences, or all; 0 if every test failed as it should."""
    defences = [Defence(**entry) for entry in tomllib.loads(LIST.read_text())["defence"]]
    unknown = set(names) - {one.name for one in defences}
    if unknown:
        print(f"there is no defence {sorted(unknown)}; there are {', '.join(one.name for one in defences)}", file=sys.stderr)
        return 2
    idle = []
    for one in defences:
        if names and one.name not in names:
            continue
        with tempfile.TemporaryDirectory(prefix="omnilytics-defence-") as folder:
            verdict = _try(one, Path(folder))
        print(f"{one.name:<22} {verdict:<48} {one.test}", flush=True)
        if not verdict.startswith("fails without it"):
            idle.append(one.name)
    print(f"{len(idle)} of the tests did not fail as they should: {', '.join(idle)}" if idle else "every test fails without its defence")
    return 1 if idle else 0


def _try(defence: Defence, copy: Path) -> str:
    _copy(copy)
    if _run_test(copy, defence.test) != 0:
        return "does not pass with its defence in place"
    path = copy / defence.file
    source = path.read_text()
    if source.count(defence.text) != 1:
        return f"its text is {source.count(defence.text)} times in {defence.file}"
    path.write_text(source.replace(defence.text, defence.without))
    if defence.file.startswith("contracts/") and _python(copy, "contracts/compile.py") != 0:
        return "does not compile without it"
    return "fails without it" if _run_test(copy, defence.test) == TESTS_FAILED else "PASSES without it, or cannot run"


def _copy(target: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    for name in LINKED:
        if (ROOT / name).is_dir():
            (target / name).symlink_to(ROOT / name)
    for name in WARM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name)


def _run_test(copy: Path, test: str) -> int:
    first, *rest = test.split()
    if first == "forge":
        (forge,) = (copy / "contracts" / "node_modules" / "@foundry-rs").glob("forge-*/bin/forge*")
        # A filtered run compiles only what its tests import; they deploy contracts by name.
        built = _run(copy / "contracts", str(forge), "build", FOUNDRY_PROFILE="quick") == 0
        return _run(copy / "contracts", str(forge), "test", *rest, FOUNDRY_PROFILE="quick") if built else CANNOT_RUN
    return _python(copy, "-m", "pytest", "-q", "-n", "0", "-x", "-p", "no:cacheprovider", first, *rest)


def _python(copy: Path, *arguments: str) -> int:
    # The copy's package goes before the installed one.
    return _run(copy, sys.executable, "-P", *arguments, PYTHONPATH=str(copy))


def _run(folder: Path, *command: str, **variables: str) -> int:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)} | variables
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=SECONDS, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
