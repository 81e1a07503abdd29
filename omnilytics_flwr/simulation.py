"""Flower's simulation, which one Ctrl-C or SIGTERM ends within seconds."""

from __future__ import annotations

import gc
import logging
import math
import os
import sys
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from .errors import ProtocolError
from .interruption import signals_interrupt

if TYPE_CHECKING:
    from flwr.clientapp import ClientApp


def simulate(
    server_app: ServerApp,
    client_app: ClientApp,
    nodes: int,
    *,
    workers: int = 2,
    client_resources: Mapping[str, float] | None = None,
) -> None:
    """Run apps in Flower's simulation.

    Parameters
    ----------
    server_app : ServerApp
    client_app : ClientApp
    nodes : int
        How many are simulated.
    workers : int (default: 2)
        Clients at work at a time.
    client_resources : mapping of str to float, optional
        What each of them gets, as Flower's simulation names it: ``num_cpus`` cores, ``num_gpus`` GPUs, of which parts can be shared. By
        default one core, and an equal part of the GPUs that Ray finds.

    Raises
    ------
    ProtocolError
        There are not as many GPUs as so many workers need.
    KeyboardInterrupt
        On Ctrl-C and SIGTERM, once the simulation has ended.
    """
    from flwr.simulation import run_simulation

    server, logger = _LeavableServerApp(server_app), logging.getLogger("flwr")
    logger.addFilter(server.keeps)
    try:
        resources = _start_ray(workers, client_resources or {})
        with signals_interrupt(server.leave):
            run_simulation(server, client_app, nodes, backend_config={"client_resources": resources})
    finally:
        server.is_over = True
        if not server.is_left:
            logger.removeFilter(server.keeps)
    if server.is_left:
        raise KeyboardInterrupt


def _start_ray(workers: int, wanted: Mapping[str, float]) -> dict[str, Any]:
    """Start Ray as Flower would, but earlier: it takes SIGTERM for itself, and the simulation takes it back. What each client gets."""
    cores = wanted.get("num_cpus", 1)
    if find_spec("ray") is None:
        return {"num_cpus": cores, "num_gpus": 0.0}  # Flower says what is missing

    import ray

    if not ray.is_initialized():
        # Workers find what this process finds.
        paths = os.pathsep.join([*sys.path, *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            ray.init(
                num_cpus=math.ceil(workers * cores),
                logging_level=logging.ERROR,
                log_to_driver=False,
                include_dashboard=False,
                runtime_env={"env_vars": {"PYTHONPATH": paths}},
            )
        except SystemExit:
            raise KeyboardInterrupt from None
    there = float(ray.cluster_resources().get("GPU", 0.0))  # type: ignore[no-untyped-call]
    return {**wanted, "num_cpus": cores, "num_gpus": _gpus_of_each(workers, wanted, there)}


def _gpus_of_each(workers: int, wanted: Mapping[str, float], there: float) -> float:
    """GPUs of each client; without a wish, equal parts of those that are `there`, so that none of them stays idle."""
    if "num_gpus" not in wanted:
        return min(1.0, there / workers)
    if wanted["num_gpus"] * workers > there:
        raise ProtocolError(
            f"{workers} clients at a time with {wanted['num_gpus']:g} GPUs each need {workers * wanted['num_gpus']:g}, and Ray finds "
            f"{there:g}; start fewer workers, or give each client a smaller part"
        )
    return wanted["num_gpus"]


def _kill_clients() -> None:
    """Kill Ray's actors, for which Flower waits; it keeps their handles to itself."""
    import ray
    from ray.actor import ActorHandle

    for found in gc.get_objects():
        if type(found) is ActorHandle:
            ray.kill(found)


class _LeavableServerApp(ServerApp):
    """A server app that an interrupted simulation leaves behind, instead of waiting until its strategy looks up.

    Flower waits for its server app before the process can end. The app runs in a thread for which nothing waits.
    """

    def __init__(self, app: ServerApp) -> None:
        super().__init__()
        self._app = app
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.is_left = self.is_over = False

    def __call__(self, grid: Grid, context: Context) -> None:
        """Run the app until it ends or is left."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                self._app(grid, context)
            except BaseException as failure:
                failures.append(failure)
            finally:
                self._ended.set()

        self._thread = threading.Thread(target=run, name="server app", daemon=True)
        self._thread.start()
        self._ended.wait()
        if failures and not self.is_left:
            raise failures[0]

    def leave(self) -> None:
        """Let go of the app and of the clients at work; the simulation then ends by itself."""
        self.is_left = True
        self._ended.set()
        threading.Thread(target=_kill_clients, daemon=True).start()

    def keeps(self, record: logging.LogRecord) -> bool:
        """Whether a record is worth telling: not what fails because the simulation was interrupted."""
        return not self.is_left or (self.is_over and (self._thread is None or record.thread != self._thread.ident))
