"""Importing is cheap: what is heavy is loaded by who uses it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "web3", "ray", "matplotlib", "rich")


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a new process has after a statement."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_package_alone_loads_nothing_but_itself() -> None:
    loaded = loaded_by("import omnilytics_flwr")
    assert "omnilytics_flwr" in loaded
    assert not loaded & {*HEAVY, "flwr", "numpy", "cryptography", "py_arkworks_bls12381", "eth_account", "eth_abi"}


def test_listing_its_names_loads_nothing() -> None:
    assert not loaded_by("import omnilytics_flwr; dir(omnilytics_flwr); omnilytics_flwr.__all__") & {*HEAVY, "flwr"}


@pytest.mark.parametrize("name", ["Omnilytics", "OmnilyticsMod", "omnilytics_mod", "Terms", "Policy", "OwnerHome", "OmnilyticsError"])
def test_public_name_loads_no_framework_and_no_chain(name: str) -> None:
    by_flower = loaded_by("import flwr.app, flwr.clientapp, flwr.serverapp, flwr.serverapp.strategy, flwr.common")
    loaded = loaded_by(f"from omnilytics_flwr import {name}")
    assert not loaded & {"torch", "torchvision", "web3", "ray"}
    assert not (loaded & set(HEAVY)) - by_flower


def test_terms_and_policy_load_no_flower() -> None:
    assert "flwr" not in loaded_by("from omnilytics_flwr import Terms, Policy, OmnilyticsError, OwnerHome")


def test_simulation_loads_no_torch_and_no_ray() -> None:
    assert not loaded_by("from omnilytics_flwr import LocalMarket") & {"torch", "ray"}
