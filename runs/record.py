"""Run records: one directory a run, with everything that its figures came from."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from omnilytics_flwr import EthereumLedger
from omnilytics_flwr.explore.market_document import WatchedMarket
from omnilytics_flwr.explore.page_file import write_page

from .screen import in_percent

PACKAGES = ("omnilytics-flwr", "flwr", "torch", "web3", "eth-account", "py_arkworks_bls12381", "cryptography", "numpy", "ray")


def new_folder(run: Path) -> Path:
    """A new, empty record folder under ``records/`` of a run, named by the time."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    for suffix in ("", *(f"-{i}" for i in range(2, 100))):
        folder = run / "records" / f"{stamp}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"100 records of the second {stamp} under {run}; wait a second and start again")


def point_latest(folder: Path) -> Path:
    """Let the link ``latest`` of the run point to this record; return the link."""
    link = folder.parent.parent / "latest"
    temporary = link.with_name(f".latest-{os.getpid()}")
    temporary.symlink_to(Path("records") / folder.name)
    os.replace(temporary, link)
    return link


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write readable JSON."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_recipe(path: Path, recipe: Any) -> None:
    """Write the recipe as it was resolved, every key, as JSON."""
    write_json(path, dataclasses.asdict(recipe))


def write_market_page(folder: Path, ledger: EthereumLedger, accuracies: Sequence[float] = ()) -> Path:
    """Write the market as `omnilytics explore` shows it, as one file to keep or to send; return it.

    Parameters
    ----------
    folder : Path
        Of the record.
    ledger : EthereumLedger
        The market, on a chain that still runs.
    accuracies : sequence of float, 0 .. 1 (default: none)
        The model owner's own, before the first round and after each: they are on no chain.
    """
    file = folder / "market.html"
    write_page(file, WatchedMarket(ledger, 0).document() | ({"accuracy": [in_percent(one) for one in accuracies]} if accuracies else {}))
    return file


def circumstances() -> dict[str, Any]:
    """Versions, commit and machine of this run."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "missing"
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain")),
        "versions": versions,
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
