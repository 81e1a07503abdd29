"""The doctor: healthy where everything is there, and a remedy for each thing that is not."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.cli import doctor
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions

from .command_line import DATA_OWNER, CommandLine, run_without

FIVE = ("verification", "computed", "implementation", "factory", "gate")
"""Contracts of a deployment."""


def sick(line: CommandLine, *arguments: str) -> str:
    """What the doctor says where something is missing."""
    code, said, _ = line.run(("doctor", *arguments))
    assert code == 1
    return said


def findings(said: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {check["what"]: (check["status"], check["remedy"]) for check in said}


def test_machine_that_runs_these_tests_is_healthy(bare: CommandLine) -> None:
    found = findings(bare.json("doctor"))
    assert {status for status, _ in found.values()} <= {"ok", "optional"}
    assert {"Python", "flwr", "web3", "click", "KZG ceremony", "anvil"} <= set(found)
    shipped = {path.stem for path in Path(artifacts.__file__).with_name("artifacts").glob("*.json")}
    assert {what.removeprefix("contract ") for what in found if what.startswith("contract ")} == shipped
    assert "nothing is missing" in bare("doctor")


def test_every_dependency_is_looked_at() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    found = {check.what.replace("_", "-") for check in doctor.check_packages()}
    assert {re.split("[<>=]", entry)[0].replace("_", "-") for entry in project["dependencies"]} <= found


def test_package_that_is_missing_or_old_is_told_with_the_command_that_gets_it(bare: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version

    def other(name: str) -> str:
        if name in ("rlp", "torch", "ray"):
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0" if name == "web3" else version(name)

    monkeypatch.setattr(importlib.metadata, "version", other)
    monkeypatch.setenv("OMNILYTICS_ANVIL", "/nowhere/anvil")
    said = sick(bare)
    assert "missing: rlp, web3" in said, "PyTorch and Ray are optional"
    # Never this package's own name: whoever registers it in a public registry would be installed.
    assert re.search(r"optional +ray .*\n +-> pip install 'flwr\[simulation\](>=1\.41,<2|<2,>=1\.41)'", said)
    assert re.search(r"optional +torch .*\n +-> pip install 'torch>=2\.4' 'torchvision>=0\.19'", said)
    assert "-> pip install 'rlp>=4'" in said
    assert re.search(r"optional +anvil .*\n +-> .*/nowhere/anvil", said)
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    assert (doctor.check_python().status, doctor.check_python().found) == ("missing", "3.9.1")
    # As the package's metadata has it: built from the sources or from a wheel, the bounds come in another order.
    assert re.search(r"1\.0, expected web3(<9,)?>=8", said)


def test_doctor_runs_where_almost_nothing_is_installed(bare: CommandLine) -> None:
    missing = {"web3", "eth_abi", "eth_utils", "py_arkworks_bls12381", "rich", "packaging", "numpy", "flwr"}
    done = run_without(missing, "doctor", "--rpc-url", "http://127.0.0.1:1", "--home", str(bare.folder))
    assert done.returncode == 1
    assert not done.stderr
    for what in ("KZG ceremony", "owner home", "chain"):
        assert re.search(rf"missing +{what} .*\n +-> install ", done.stdout), done.stdout


def test_chain_that_can_hold_markets_is_healthy(line: CommandLine) -> None:
    found = findings(line.json("doctor"))
    assert {found[what][0] for what in ("chain", "fit for markets", "blobs", "known deployment")} == {"ok"}


def test_chain_of_an_old_fork_is_told(bare: CommandLine) -> None:
    with Anvil(AnvilOptions(hardfork="shanghai")) as old:
        said = sick(bare, "--rpc-url", old.url)
    assert "missing: fit for markets\n" in said
    assert re.search(r"optional +blobs +no, needed by markets with accusations\n", said)
    assert "-> run `omnilytics market deploy`" in said


def test_home_in_order_is_healthy_and_one_that_others_can_read_is_not(line: CommandLine, market: EthereumLedger) -> None:
    line("owner", "init", "home", *DATA_OWNER)
    found = findings(line.json("doctor", "--home", "home"))
    assert {found[what][0] for what in ("owner home", "home writable", "private home", "market", "a round", "answers", "account")} == {"ok"}
    assert "to an accusation would pass, and cost" in line("doctor", "--home", "home")
    (line.folder / "home").chmod(0o755)
    said = sick(line, "--home", "home")
    assert "missing: private home" in said
    assert "-> chmod 700 home" in said


def test_keystore_that_others_can_read_and_an_account_without_ether_are_told(line: CommandLine, poor: str) -> None:
    line("owner", "init", "home", "--keystore", "a.json")
    (line.folder / "a.json").chmod(0o644)
    said = sick(line, "--home", "home")
    assert "missing: private a.json" in said
    assert f"-> send ether to {poor}" in said
    (line.folder / "a.json").unlink()
    assert "is not there" in sick(line, "--home", "home")


def test_node_that_is_down_and_home_that_is_none_are_told(bare: CommandLine, unused_address: str) -> None:
    assert "does not answer" in sick(bare, "--rpc-url", unused_address)
    assert "there is no owner home at none" in sick(bare, "--home", "none")


def test_deployments_that_are_yet_to_be_written_are_no_fault(line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNILYTICS_DEPLOYMENTS", "not-yet.json")

    status, remedy = findings(line.json("doctor"))["known deployment"]

    assert (status, "omnilytics market deploy" in remedy) == ("optional", True)


@pytest.mark.parametrize("content", ["x", json.dumps({"31337": dict.fromkeys(FIVE, "0x" + "11" * 20) | {"block": 1}})])
def test_deployments_that_are_damaged_or_wrong_are_told(
    line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    path = tmp_path / "deployments.json"
    path.write_text(content)
    monkeypatch.setenv("OMNILYTICS_DEPLOYMENTS", str(path))

    said = line.run(("doctor", "--json"))

    assert said[0] == 1
    assert findings(json.loads(said[1]))["known deployment"][0] == "missing"


def test_system_without_posix_is_told(bare: CommandLine) -> None:
    done = run_without({"fcntl"}, "doctor")

    assert done.returncode == 1
    assert "Windows Subsystem for Linux" in done.stdout
