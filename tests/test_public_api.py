"""The public surface: exactly these names, each documented, each picklable where it crosses processes."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import tomllib
from pathlib import Path

import pytest

import omnilytics_flwr

PUBLIC = [
    "Address",
    "Anvil",
    "AnvilOptions",
    "ChainLimits",
    "Connection",
    "Deployment",
    "EthereumLedger",
    "LocalMarket",
    "MarketState",
    "Omnilytics",
    "OmnilyticsError",
    "OmnilyticsMod",
    "OwnerHome",
    "Policy",
    "RoundReport",
    "Secret",
    "Stage",
    "Terms",
    "TransactionRecord",
    "Wallet",
    "connect",
    "create_market",
    "deploy",
    "dev_wallet",
    "omnilytics_mod",
    "open_market",
    "sender_for",
]


def test_all_is_exact_and_type_checkers_see_the_same() -> None:
    tree = ast.parse(Path(omnilytics_flwr.__file__).read_text())
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))

    assert omnilytics_flwr.__all__ == PUBLIC
    assert sorted(node.names[0].name for node in typed.body if isinstance(node, ast.ImportFrom)) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(omnilytics_flwr, name)
    assert name in dir(omnilytics_flwr)
    text = inspect.getdoc(value)
    assert text
    assert text[0].isupper()


def test_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from omnilytics_flwr import *", names)
    assert set(names) - {"__builtins__"} == set(PUBLIC)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Omnilytic'"):
        omnilytics_flwr.Omnilytic  # noqa: B018


def test_version_stands_in_the_package_alone() -> None:
    written = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert written["project"]["dynamic"] == ["version"]
    assert written["tool"]["hatch"]["version"]["path"] == "omnilytics_flwr/__init__.py"
    assert omnilytics_flwr.__version__.count(".") == 2


def modules() -> list[str]:
    return [name for _, name, _ in pkgutil.walk_packages(omnilytics_flwr.__path__, "omnilytics_flwr.") if not name.endswith("__main__")]


@pytest.mark.parametrize("name", modules())
def test_module_and_its_public_things_are_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, name
    undocumented = []
    for label, value in vars(module).items():
        if label.startswith("_") or getattr(value, "__module__", None) != name:
            continue
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not inspect.getdoc(value):
            undocumented.append(label)
        if inspect.isclass(value):
            undocumented += [
                f"{label}.{member}"
                for member, function in vars(value).items()
                if not member.startswith("_") and inspect.isfunction(function) and not inspect.getdoc(function)
            ]
    assert not undocumented
