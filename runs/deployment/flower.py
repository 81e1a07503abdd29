"""Flower's own programs: a SuperLink with TLS that knows its SuperNodes, one SuperNode for each data owner, and runs of the app."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from .credentials import Certificates, make_certificates, make_node_key
from .parties import DataOwner, ModelOwner
from .processes import Guarded, Processes, free_ports, listens

APP = Path(__file__).with_name("app")
CONNECTION = "demonstration"
START_SECONDS = 120.0
BIN = Path(sys.executable).parent


@dataclass(slots=True)
class Network:
    """A SuperLink and its SuperNodes.

    Attributes
    ----------
    port : int
        Of the SuperLink on the loopback interface.
    nodes : dict of int to Guarded
        SuperNodes by the index of their data owner.
    """

    processes: Processes
    folder: Path
    certificates: Certificates
    port: int
    nodes: dict[int, Guarded]

    def start_node(self, owner: DataOwner) -> None:
        """Register and start a data owner's SuperNode."""
        name = f"supernode-{owner.index}-{sum(one.name.startswith(f'supernode-{owner.index}-') for one in self.processes.all)}"
        private, public = make_node_key(self.folder / "keys", name)
        self.processes.run(f"register-{name}", [program("flwr"), "supernode", "register", str(public), CONNECTION], seconds=START_SECONDS)
        config = f'partition-id={owner.index} digits="{owner.digits}" omnilytics-home="{owner.home.path}"'
        command = [program("flower-supernode"), "--root-certificates", str(self.certificates.authority)]
        command += ["--auth-supernode-private-key", str(private), "--superlink", f"127.0.0.1:{self.port}"]
        command += ["--port", str(free_ports(1)[0]), "--node-config", config]
        self.nodes[owner.index] = self.processes.start(name, command, {"DIGITS_USAGE": str(owner.folder / "usage.jsonl")}, layer=2)

    def await_nodes(self, count: int) -> None:
        """Wait until so many SuperNodes are online."""
        self.processes.await_for(f"{count} SuperNodes online", lambda: self._online() >= count, seconds=START_SECONDS)

    def kill_node(self, owner: int) -> None:
        """End a SuperNode as a power cut would."""
        node = self.nodes.pop(owner)
        node.kill()
        self.processes.forget(node)

    def start_run(self, name: str, settings: dict[str, object]) -> Guarded:
        """Start a run of the app with these settings, by ``flwr run``."""
        return self.processes.start(name, run_command(settings), layer=2)

    def _online(self) -> int:
        listed = self.processes.run("list", [program("flwr"), "supernode", "list", CONNECTION, "--format", "json"], seconds=START_SECONDS)
        return sum(node["status"] == "online" for node in json.loads(listed)["nodes"])


def start_network(processes: Processes, folder: Path, model_owner: ModelOwner, url: str) -> Network:
    """Start a SuperLink that admits registered SuperNodes only, over TLS."""
    folder.mkdir()
    (port,) = free_ports(1)
    certificates = make_certificates(folder / "certificates")
    processes.environment = _environment(folder, port, certificates)
    command = [program("flower-superlink"), "--ssl-ca-certfile", str(certificates.authority), "--ssl-certfile", str(certificates.server)]
    command += ["--ssl-keyfile", str(certificates.server_key), "--enable-supernode-auth", "--disable-runtime-dependency-installation"]
    processes.start("superlink", [*command, "--host", "127.0.0.1", "--port", str(port)], environment_of(model_owner, url))
    processes.await_for("the SuperLink", lambda: listens(port), seconds=START_SECONDS)
    return Network(processes, folder, certificates, port, {})


def start_simulation(processes: Processes, folder: Path, model_owner: ModelOwner, url: str, owners: Path) -> None:
    """Start a SuperLink that simulates the SuperNodes of the data owners whose folders are in `owners`."""
    folder.mkdir()
    (port,) = free_ports(1)
    processes.environment = _environment(folder, port, None)
    command = [program("flower-superlink"), "--insecure", "--simulation", "--disable-runtime-dependency-installation"]
    clients = {
        "DIGITS_SHARES": str(owners / "owner-{partition-id}" / "digits.npz"),
        "OMNILYTICS_OWNER_HOME": str(owners / "owner-{partition-id}" / "home"),
    }
    environment = environment_of(model_owner, url) | clients
    processes.start("superlink-simulation", [*command, "--host", "127.0.0.1", "--port", str(port)], environment)
    processes.await_for("the simulating SuperLink", lambda: listens(port), seconds=START_SECONDS)


def environment_of(model_owner: ModelOwner, url: str) -> dict[str, str]:
    """What the model owner's app reads from its environment."""
    return {
        "DIGITS_TEST_DATA": str(model_owner.digits),
        "DIGITS_RECORDS": str(model_owner.keystore.parent),
        "OMNILYTICS_RPC_URL": url,
        "OMNILYTICS_MARKET": model_owner.ledger.address,
        "OMNILYTICS_KEYSTORE": str(model_owner.keystore),
        "OMNILYTICS_PASSWORD_FILE": str(model_owner.password_file),
    }


def run_command(settings: dict[str, object], *options: str) -> list[str]:
    """``flwr run`` of the app with these settings."""
    overrides = " ".join(f"{key}={json.dumps(value)}" for key, value in settings.items())
    return [program("flwr"), "run", str(APP), CONNECTION, "--stream", "--run-config", overrides, *options]


def write_connection(home: Path, name: str, port: int, certificates: Certificates | None) -> None:
    """Make Flower's folder, whose one connection leads to a SuperLink on the loopback interface; without certificates, unencrypted."""
    home.mkdir()
    trust = "insecure = true" if certificates is None else f'root-certificates = "{certificates.authority.resolve()}"'
    connection = f'[superlink.{name}]\naddress = "127.0.0.1:{port}"\n{trust}\n'
    (home / "config.toml").write_text(f'[superlink]\ndefault = "{name}"\n\n{connection}')


def program(name: str) -> str:
    """Path of a program of this environment."""
    return str(BIN / name)


def _environment(folder: Path, port: int, certificates: Certificates | None) -> dict[str, str]:
    """Environment of all programs: Flower's folder with the connection in it, and one thread a process.

    There are many processes, and sums come out the same whatever else the machine does.
    """
    home = folder / "flwr"
    write_connection(home, CONNECTION, port, certificates)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {"FLWR_HOME": str(home), "FLWR_TELEMETRY_ENABLED": "0", "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", **threads}
