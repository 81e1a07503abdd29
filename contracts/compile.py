"""Compile the contracts and write what the Python package ships: ABI, bytecode, and how they came about.

python contracts/compile.py            write ``omnilytics_flwr/chain/artifacts/*.json``
python contracts/compile.py --check    compare instead; exit 1 if a file is not what the sources give
python contracts/compile.py --tests D  compile the contracts that only tests use into the directory D
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import solcx

HERE = Path(__file__).resolve().parent
ARTIFACTS = HERE.parent / "omnilytics_flwr" / "chain" / "artifacts"
COMPILER = HERE / "solc"
COMPILER_VERSION = "0.8.37"
SHIPPED = ("Market", "MarketFactory", "SumcheckVerification", "ComputedVerification", "VoucherAdmission")
IMPORT = re.compile(r'^\s*import\s[^"]*"([^"]+)"', re.MULTILINE)

# The same as in foundry.toml. Without a metadata hash, comments do not change the bytecode, and gas stays exact.
SETTINGS: dict[str, Any] = {
    "viaIR": True,
    "optimizer": {"enabled": True, "runs": 200},
    "evmVersion": "prague",
    "metadata": {"bytecodeHash": "none"},
}


class CompilationError(Exception):
    """The compiler refused the sources, or they are not all there."""


def main() -> int:
    """Run as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="compare with the files that are there")
    mode.add_argument("--tests", type=Path, metavar="D", help="compile the contracts that only tests use into D")
    arguments = parser.parse_args()
    try:
        if arguments.tests is not None:
            return write(compile_contracts(sorted((HERE / "test" / "harness").glob("*.sol"))), arguments.tests)
        artifacts = compile_contracts([HERE / "src" / f"{name}.sol" for name in SHIPPED])
        artifacts = {name: artifacts[name] for name in SHIPPED}
        return check(artifacts, ARTIFACTS) if arguments.check else write(artifacts, ARTIFACTS)
    except CompilationError as error:
        print(f"compile: {error}", file=sys.stderr)
        return 1


def compile_contracts(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """Compile files and what they import.

    Parameters
    ----------
    paths : list of Path
        Source files below this directory.

    Returns
    -------
    dict of str to dict
        An artifact for each contract of `paths` that can be deployed: ``contractName``, ``abi``, ``bytecode``,
        ``deployedBytecode``, ``immutableReferences``, ``compiler``, ``settings``, ``sourceHash``.

    Raises
    ------
    CompilationError
        An import is missing, or the compiler reports an error.
    """
    names = [path.relative_to(HERE).as_posix() for path in paths]
    sources = gather(names)
    deployed = ["object", "immutableReferences"]
    outputs = ["abi", "evm.bytecode.object", *(f"evm.deployedBytecode.{what}" for what in deployed)]
    output = solcx_compile(
        {
            "language": "Solidity",
            "sources": {name: {"content": content} for name, content in sorted(sources.items())},
            "settings": SETTINGS | {"outputSelection": {"*": {"*": outputs}}},
        }
    )
    return {
        contract: artifact(contract, compiled, reachable(name, sources))
        for name in names
        for contract, compiled in output["contracts"].get(name, {}).items()
        if compiled["evm"]["bytecode"]["object"]
    }


def solcx_compile(job: dict[str, Any]) -> dict[str, Any]:
    """Hand a standard-JSON job to the pinned compiler."""
    try:
        return solcx.compile_standard(job, solc_binary=COMPILER)
    except solcx.exceptions.SolcError as error:
        raise CompilationError(error.message.strip()) from error


def artifact(name: str, compiled: dict[str, Any], sources: dict[str, str]) -> dict[str, Any]:
    """Assemble what is written for one contract."""
    return {
        "contractName": name,
        "abi": compiled["abi"],
        "bytecode": "0x" + compiled["evm"]["bytecode"]["object"],
        "deployedBytecode": "0x" + compiled["evm"]["deployedBytecode"]["object"],
        "immutableReferences": compiled["evm"]["deployedBytecode"]["immutableReferences"],
        "compiler": COMPILER_VERSION,
        "settings": SETTINGS,
        "sourceHash": source_hash(sources),
    }


def source_hash(sources: dict[str, str]) -> str:
    """Tell one state of the sources from another, comments included."""
    return "0x" + hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()


def gather(names: list[str]) -> dict[str, str]:
    """Read sources and all that they import, by the names that the compiler knows them under."""
    sources: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in sources:
            sources[name] = read_source(name)
            waiting += imports(name, sources[name])
    return sources


def reachable(name: str, sources: dict[str, str]) -> dict[str, str]:
    """Return the sources that one of them is made of."""
    found: dict[str, str] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found[current] = sources[current]
            waiting += imports(current, sources[current])
    return found


def imports(name: str, content: str) -> list[str]:
    """List what a source imports, relative paths resolved."""
    return [resolve(name, target) for target in IMPORT.findall(content)]


def resolve(importer: str, target: str) -> str:
    """Name an import as the compiler does."""
    if not target.startswith("."):
        return target
    parts = importer.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def read_source(name: str) -> str:
    """Read a source; those that begin with @ are packages."""
    path = HERE / "node_modules" / name if name.startswith("@") else HERE / name
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        remedy = "run `make setup` first" if name.startswith("@") else "correct the import"
        raise CompilationError(f"{name} does not exist; {remedy}") from error


def text(artifact: dict[str, Any]) -> str:
    """Render an artifact as it is written."""
    return json.dumps(artifact, indent=1, sort_keys=True) + "\n"


def write(artifacts: dict[str, dict[str, Any]], directory: Path) -> int:
    """Write every artifact and tell its size."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in artifacts.items():
        (directory / f"{name}.json").write_text(text(content), encoding="utf-8")
        print(f"{name}: {len(content['deployedBytecode']) // 2 - 1:,} bytes of runtime code")
    return 0


def check(artifacts: dict[str, dict[str, Any]], directory: Path) -> int:
    """Compare every artifact with its file."""
    paths = {name: directory / f"{name}.json" for name in artifacts}
    stale = [name for name, path in paths.items() if not path.is_file() or path.read_text(encoding="utf-8") != text(artifacts[name])]
    if stale:
        print(f"compile: not what the sources give: {', '.join(stale)}; run `make artifacts`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
