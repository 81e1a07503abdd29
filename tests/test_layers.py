"""Who may import whom, read from the source: crypto below market, both below audit, data owner and model owner; evm below chain; Flower apart."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import omnilytics_flwr

PACKAGE = Path(omnilytics_flwr.__file__).parent
NAME = "omnilytics_flwr"

BELOW: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "files": frozenset({"errors", "system"}),
    "decoding": frozenset({"errors"}),
    "clock": frozenset(),
    "interruption": frozenset(),
    "system": frozenset(),
    "telemetry": frozenset({"errors"}),
    "node_address": frozenset({"errors"}),
    "crypto": frozenset({"errors"}),
    "market": frozenset({"errors", "crypto"}),
    "audit": frozenset({"errors", "crypto", "market"}),
    "data_owner": frozenset({"telemetry", "node_address", "errors", "files", "decoding", "clock", "interruption", "crypto", "market"}),
    "model_owner": frozenset({"errors", "files", "decoding", "clock", "crypto", "market"}),
    "evm": frozenset({"node_address", "errors", "files", "decoding", "clock", "crypto"}),
    "chain": frozenset({"node_address", "errors", "files", "decoding", "clock", "crypto", "market", "audit", "evm"}),
    "flower": frozenset({"errors", "clock", "telemetry", "crypto", "market", "data_owner", "model_owner"}),
}
"""Parts of the package, and what each may import of the others."""

LIBRARIES: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "files": frozenset(),
    "decoding": frozenset({"msgspec"}),
    "clock": frozenset(),
    "telemetry": frozenset({"prometheus_client"}),
    "node_address": frozenset(),
    "interruption": frozenset(),
    "system": frozenset(),
    "crypto": frozenset({"ckzg", "numpy", "cryptography", "Crypto", "py_arkworks_bls12381"}),
    "market": frozenset({"numpy", "eth_abi", "eth_keys", "eth_utils", "rlp"}),
    "audit": frozenset({"rlp"}),
    "data_owner": frozenset({"numpy", "msgspec", "tomli_w"}),
    "model_owner": frozenset({"msgspec", "numpy", "py_arkworks_bls12381"}),
    "evm": frozenset(
        {"ckzg", "msgspec", "web3", "eth_abi", "eth_account", "eth_typing", "eth_utils", "requests", "rlp", "rich", "urllib3"}
    ),
    "chain": frozenset({"ckzg", "msgspec", "web3", "eth_abi", "eth_account", "eth_typing", "eth_utils", "requests", "rlp", "rich"}),
    "flower": frozenset({"numpy", "flwr"}),
}
"""What each part may import from outside the standard library."""

IMPURE = frozenset(
    "logging os pathlib io socket subprocess shutil tempfile time datetime random urllib http asyncio multiprocessing fcntl".split()
)
"""Modules of the standard library that see the world."""

MAY_READ = {"crypto/ceremony.py": frozenset({"pathlib"})}
"""The one file of the pure parts that reads: the ceremony's points, which come in a package."""

LAZILY = {"data_owner/owner_home.py": frozenset({"chain", "evm"})}
"""Imports of a layer above, allowed inside a function and for types only."""


@dataclass(frozen=True)
class Import:
    """One import: the file, the full name of the module, and whether it runs when the file is imported."""

    file: str
    module: str
    at_import: bool

    @property
    def top(self) -> str:
        return self.module.split(".")[0]

    @property
    def part(self) -> str:
        """Part of our package that is imported."""
        names = self.module.split(".")
        return names[1] if len(names) > 1 else "__init__"


def files(part: str) -> list[Path]:
    folder = PACKAGE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{part}.py"]


def imports_of(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text())
    file = path.relative_to(PACKAGE).as_posix()
    later = {id(node) for parent in ast.walk(tree) if _runs_later(parent) for node in ast.walk(parent)}
    here = [NAME, *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, alias.name, id(node) not in later)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *((node.module or "").split(".") if node.module else [])])
            for alias in node.names:
                full = f"{module}.{alias.name}" if module in (NAME, ".".join(here)) and not node.module else module
                yield Import(file, full, id(node) not in later)


def _runs_later(node: ast.AST) -> bool:
    """Whether what is inside does not run when the file is imported."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return True
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def of_part(part: str) -> list[Import]:
    return [found for path in files(part) for found in imports_of(path)]


def test_every_part_of_the_package_has_its_layer() -> None:
    parts = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()} | {
        "errors",
        "clock",
        "files",
        "decoding",
        "interruption",
        "system",
        "telemetry",
        "node_address",
    }
    upper = parts - set(BELOW)
    assert set(BELOW) <= parts
    for part in upper:
        importers = [found for layer in BELOW for found in of_part(layer) if found.top == NAME and found.part == part]
        assert not importers, f"{part} is on top: nothing below may import it"


@pytest.mark.parametrize("part", BELOW)
def test_part_imports_only_what_is_below_it(part: str) -> None:
    allowed = BELOW[part] | {part}
    wrong = []
    for found in of_part(part):
        if found.top != NAME or found.part in allowed:
            continue
        if found.part in LAZILY.get(found.file, frozenset()) and not found.at_import:
            continue
        wrong.append(found)
    assert not wrong


@pytest.mark.parametrize("part", BELOW)
def test_part_imports_only_its_libraries(part: str) -> None:
    known = LIBRARIES[part] | sys.stdlib_module_names | {NAME}
    assert not [found for found in of_part(part) if found.top not in known]


@pytest.mark.parametrize("part", ["errors", "crypto", "market", "audit"])
def test_pure_part_sees_nothing_of_the_world(part: str) -> None:
    wrong = [f for f in of_part(part) if f.top in IMPURE and f.top not in MAY_READ.get(f.file, frozenset())]
    assert not wrong
    for path in files(part):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = {call.id for call in calls if isinstance(call, ast.Name)}
        assert not names & {"open", "print", "input", "exec", "eval"}, path


def test_flower_sees_the_ledger_and_never_a_chain() -> None:
    found = of_part("flower")
    assert any(one.module.endswith("market.ledger") for one in found)
    assert not [one for one in found if one.part in {"chain", "evm"} and one.top == NAME]
    assert not [one for one in found if one.module.endswith("data_owner.owner_home") and one.at_import]


def test_flower_names_that_move_are_imported_in_one_place() -> None:
    settled = {"flwr.app", "flwr.serverapp", "flwr.serverapp.strategy", "flwr.clientapp", "flwr.clientapp.typing"}
    found = [one for one in of_part("flower") if one.top == "flwr" and one.module not in settled]
    assert {one.file for one in found} == {"flower/compat.py"}


def test_nobody_imports_torch() -> None:
    found = [one for path in sorted(PACKAGE.rglob("*.py")) for one in imports_of(path)]
    assert len(found) > 200
    assert not [one for one in found if one.top in {"torch", "torchvision"}]
    # Only where Flower's simulation runs, which is on Ray.
    assert {(one.file, one.at_import) for one in found if one.top == "ray"} == {("simulation.py", False)}


# The gate bites: each rule is broken on purpose.


@pytest.mark.parametrize(
    ("source", "module", "at_import"),
    [
        ("import logging", "logging", True),
        ("from ..chain.rpc import connect", f"{NAME}.chain.rpc", True),
        ("from .. import chain", f"{NAME}.chain", True),
        ("def f():\n    from ..chain import rpc", f"{NAME}.chain", False),
        ("if TYPE_CHECKING:\n    from ..chain.rpc import connect", f"{NAME}.chain.rpc", False),
        ("try:\n    import web3.auto\nexcept ImportError: pass", "web3.auto", True),
        ("class A:\n    import os", "os", True),
        ("from . import agent", f"{NAME}.market.agent", True),
    ],
)
def test_reader_of_imports_finds_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, module: str, at_import: bool
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "market").mkdir()
    path = tmp_path / "market" / "file.py"
    path.write_text(source)
    assert list(imports_of(path)) == [Import("market/file.py", module, at_import)]
