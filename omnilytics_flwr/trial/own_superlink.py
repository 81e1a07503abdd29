"""A SuperLink for simulations that nobody else shares: its own port and folder, ended with this process."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from ..evm.guarded_process import GuardedProcess
from ..flower.compat import NO_INSTALLATION_VARIABLE

PROGRAMS = Path(sys.executable).parent
"""Where the programs of this environment are; Flower starts some by name."""

_READY = "Uvicorn running on "
_NAME = "local"


def without_secrets() -> dict[str, str]:
    """The environment without what it says of the user's own wallet, node and market: an app from elsewhere needs none of it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OMNILYTICS_")}


class OwnSuperLink:
    """A running SuperLink; use it as a context manager.

    Parameters
    ----------
    folder : Path
        An empty one, for all that Flower keeps: apps, settings, the log.
    environment : mapping of str to str
        Added to that of the apps.
    work : Path, optional
        Folder in which the apps run; by default the present one.

    Attributes
    ----------
    environment : dict of str to str
        With it, ``flwr`` commands find this SuperLink and no other, and apps take packages from beside Flower.

    Raises
    ------
    Unreachable
        It did not start; the message has its output.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], *, work: Path | None = None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        home = folder / "flwr"
        home.mkdir()
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "{_NAME}"\n\n[superlink.{_NAME}]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
        )
        self.environment = {
            "PATH": os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", "")]),
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            NO_INSTALLATION_VARIABLE: "1",
        }
        command = [str(PROGRAMS / "flower-superlink"), "--insecure", "--simulation", "--host", "127.0.0.1", "--port", str(port)]
        self._process = GuardedProcess(
            command,
            mark=_READY,
            log=folder / "superlink.log",
            environment={**without_secrets(), **self.environment, **environment},
            folder=work,
        )

    def __enter__(self) -> OwnSuperLink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._process.close()
