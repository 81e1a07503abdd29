"""Flower's simulation, which one Ctrl-C or SIGTERM ends within seconds."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from .interruption import signals_interrupt

if TYPE_CHECKING:
    from flwr.clientapp import ClientApp


def simulate(server_app: ServerApp, client_app: ClientApp, nodes: int, *, workers: int = 2) -> None:
    """Run apps in Flower's simulation.

    Parameters
    ----------
    server_app : ServerApp
    client_app : ClientApp
    nodes : int
        How many are simulated.
    workers : int (default: 2)
        Clients at work at a time.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C and SIGTERM, once the simulation has ended.
    """
    from flwr.simulation import run_simulation

    server, logger = _LeavableServerApp(server_app), logging.getLogger("flwr")
    logger.addFilter(server.keeps)
    try:
        _start_ray(workers)
        with signals_interrupt(server.leave):
            run_simulation(server, client_app, nodes, backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}})
    finally:
        server.is_over = True
        if not server.is_left:
            logger.removeFilter(server.keeps)
    if server.is_left:
        raise KeyboardInterrupt


def _start_ray(workers: int) -> None:
    """Start Ray as Flower would, but earlier: it takes SIGTERM for itself, and the simulation takes it back."""
    if find_spec("ray") is None:
        return  # Flower says what is missing

    import ray

    if ray.is_initialized():
        return
    # Workers find what this process finds.
    paths = os.pathsep.join([*sys.path, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        ray.init(
            num_cpus=workers,
            logging_level=logging.ERROR,
            log_to_driver=False,
            include_dashboard=False,
            runtime_env={"env_vars": {"PYTHONPATH": paths}},
        )
    except SystemExit:
        raise KeyboardInterrupt from None


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
