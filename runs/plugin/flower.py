"""Runs of an app in Flower's simulation, by ``flwr run``, with a SuperLink of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from omnilytics_flwr.trial import app_run

from ..deployment.processes import ProcessError

ROOT = Path(__file__).resolve().parents[2]


def run_app(app: Path, work: Path, *, supernodes: int, run_config: Mapping[str, float | int | str], environment: Mapping[str, str]) -> str:
    """Run an app to its end; what ``flwr run --stream`` printed.

    Parameters
    ----------
    app : Path
        Folder of its pyproject.toml.
    work : Path
        Working directory of the run.
    supernodes : int
        How many nodes are simulated.
    run_config : mapping of str to scalar
        Overrides.
    environment : mapping of str to str
        Added to that of the server and of the simulated nodes, e.g. `LocalMarket.environment`.

    Raises
    ------
    ProcessError
        The run failed.
    """
    overrides = " ".join(f"{key}={json.dumps(value)}" for key, value in run_config.items())
    command = app_run.FlwrRun.parse(["flwr", "run", str(app), "--run-config", overrides])
    with (work / "run.log").open("w+", encoding="utf-8") as output:
        completed = app_run.run_app(command, {**offline(work), **environment}, nodes=supernodes, work=work, output=output)
        output.seek(0)
        printed = output.read()
    if not completed:
        raise ProcessError(f"the run of {app} failed; expected it to complete; it printed last:\n{printed[-2000:]}")
    return printed


def inside(folder: Path, command: list[str]) -> list[str]:
    """A command that runs in a folder."""
    return ["sh", "-c", 'cd "$0" && exec "$@"', str(folder), *command]


def offline(work: Path) -> dict[str, str]:
    """Environment in which this checkout's modules are found from everywhere, and data sets only below `work`."""
    modules = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {"PATH": programs, "PYTHONPATH": modules, "HF_HUB_OFFLINE": "1", "HF_HOME": str(work / "hf")}
