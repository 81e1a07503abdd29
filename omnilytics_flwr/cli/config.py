"""The configuration file: what would otherwise be said by flags again and again.

Flags come before the environment, the environment before the file.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click

APP = "omnilytics"
CONFIG_VARIABLE = "OMNILYTICS_CONFIG"

_PATHS = frozenset({"keystore", "password-file", "deployments"})
_TYPES: dict[str, type] = {
    "rpc-url": str,
    "chain-id": int,
    "market": str,
    "keystore": str,
    "password-file": str,
    "deployments": str,
    "dev-account": int,
    "confirmations": int,
}


def app_folder() -> Path:
    """Where configuration, default wallet and own deployments are, by the custom of the system."""
    return Path(click.get_app_dir(APP))


def default_config() -> Path:
    """The file that is read if none is named."""
    return app_folder() / "config.toml"


def default_keystore() -> Path:
    """The wallet that is used if none is named."""
    return app_folder() / "wallet.json"


def default_deployments() -> Path:
    """Where own deployments are noted if no file is named."""
    return app_folder() / "deployments.json"


def read_config(path: Path) -> dict[str, Any]:
    """Entries of a configuration file by the names of the options; relative paths are relative to the file.

    Raises
    ------
    click.UsageError
        It cannot be read or holds what it should not.
    """
    try:
        entries = tomllib.loads(path.read_text())
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read ({error.strerror}); expected a configuration file; check its path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} does not parse: {error}; write it as TOML") from error
    unknown = sorted(set(entries) - set(_TYPES))
    if unknown:
        raise click.UsageError(f"{path} has unknown entries {', '.join(unknown)}; known are {', '.join(_TYPES)}")
    for name, value in entries.items():
        if type(value) is not _TYPES[name]:
            raise click.UsageError(f"{path}: {name} is {value!r}; expected {'a number' if _TYPES[name] is int else 'text in quotes'}")
    located = {name: str(path.parent / Path(value).expanduser()) if name in _PATHS else value for name, value in entries.items()}
    return {name.replace("-", "_"): value for name, value in located.items()}


def load_into(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Callback of ``--config``: let the file speak for options that neither flags nor the environment give."""
    if path is None and default_config().is_file():
        path = default_config()
    if path is not None and not context.resilient_parsing:
        entries = read_config(path)
        context.default_map = entries | ({"markets": [entries["market"]]} if "market" in entries else {})
    return path
