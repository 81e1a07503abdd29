"""Copies of the tests' own apps, patched or not, run in this process: server app, grid, client apps, as Flower would call them."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from flwr.app import ArrayRecord, Context, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from runs.plugin.examples import EXAMPLES
from runs.plugin.patches import carry_out, plan
from tests.flower.clients import FakeGrid

APPS = Path(__file__).with_name("plugin_apps")
FIRST_NODE = 100

Scalar = bool | float | int | str


def copy_app(name: str, target: Path, *, patched: bool = True) -> Path:
    """A copy of an app; patched by the patch of Flower's own example for the same framework."""
    shutil.copytree(APPS / name, target, ignore=shutil.ignore_patterns("__pycache__"))
    if patched:
        carry_out(plan(target, EXAMPLES[name].patch()))
    return target


@contextmanager
def loaded(app: Path) -> Iterator[tuple[ServerApp, ClientApp]]:
    """Server and client app of a copy; its modules are forgotten afterwards."""
    components = tomllib.loads((app / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["components"]
    before = set(sys.modules)
    sys.path.insert(0, str(app))
    try:
        parts = [components[key].split(":") for key in ("serverapp", "clientapp")]
        server, client = (getattr(import_module(module), attribute) for module, attribute in parts)
        yield server, client
    finally:
        sys.path.remove(str(app))
        package = parts[0][0].split(".")[0]
        for module in set(sys.modules) - before:
            if module.split(".")[0] == package:
                del sys.modules[module]


def config_of(app: Path, overrides: Mapping[str, Scalar] | None = None) -> dict[str, Scalar]:
    """Run config of an app with overrides."""
    return {**tomllib.loads((app / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"], **(overrides or {})}


def run_in_process(app: Path, owners: int, *, server_config: Mapping[str, Scalar], client_config: Mapping[str, Scalar]) -> FakeGrid:
    """Run an app to its end, one node for each data owner; what it saves comes into the working directory."""
    with loaded(app) as (server, client):
        grid = FakeGrid({FIRST_NODE + place: client for place in range(owners)})
        for context in grid.contexts.values():
            context.node_config["num-partitions"] = owners
            context.run_config = dict(client_config)
        server(grid, Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config=dict(server_config)))
    return grid


def trained_nodes(grid: FakeGrid) -> set[int]:
    """Nodes that were asked to train."""
    return {node for node, message in grid.requests if any(isinstance(record, ArrayRecord) for record in message.content.values())}
