"""Runs of an app in Flower's simulation, by ``flwr run``, with a SuperLink of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from omnilytics_flwr.flower.compat import NO_INSTALLATION_VARIABLE

from ..deployment.processes import Processes, free_ports, listens

CONNECTION = "plugin"
START_SECONDS = 60.0
RUN_SECONDS = 1800.0
NO_INSTALLATION = {NO_INSTALLATION_VARIABLE: "1"}
"""An app finds its packages beside Flower."""
ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def run_app(app: Path, work: Path, *, supernodes: int, run_config: Mapping[str, float | int | str], environment: Mapping[str, str]) -> str:
    """Run an app to its end; what ``flwr run --stream`` printed.

    Parameters
    ----------
    app : Path
        Folder of its pyproject.toml.
    work : Path
        Working directory of the run; logs and Flower's own folder come in there too.
    supernodes : int
        How many nodes are simulated.
    run_config : mapping of str to scalar
        Overrides.
    environment : mapping of str to str
        Added to that of the server and of the simulated nodes; `LocalMarket.environment`, or what it has for any app: `NO_INSTALLATION`.

    Raises
    ------
    ProcessError
        A program failed or did not end in time.
    """
    (port,) = free_ports(1)
    home = work / "flwr"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    )
    own = {"FLWR_HOME": str(home), "FLWR_TELEMETRY_ENABLED": "0", "HF_HUB_OFFLINE": "1", "HF_HOME": str(work / "hf")}
    with Processes(work / "logs", own | search_paths()) as processes:
        link = [str(BIN / "flower-superlink"), "--insecure", "--simulation"]
        processes.start("superlink", inside(work, [*link, "--host", "127.0.0.1", "--port", str(port)]), environment)
        processes.await_for("the SuperLink", lambda: listens(port), seconds=START_SECONDS)
        overrides = " ".join(f"{key}={json.dumps(value)}" for key, value in run_config.items())
        command = [str(BIN / "flwr"), "run", str(app), CONNECTION, "--stream", "--run-config", overrides]
        return processes.run("run", [*command, "--federation-config", f"num-supernodes={supernodes}"], seconds=RUN_SECONDS)


def inside(folder: Path, command: list[str]) -> list[str]:
    """A command that runs in a folder."""
    return ["sh", "-c", 'cd "$0" && exec "$@"', str(folder), *command]


def search_paths() -> dict[str, str]:
    """Environment in which this environment's programs and this checkout's modules are found from everywhere."""
    programs = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    modules = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PATH": programs, "PYTHONPATH": modules}
