"""What ``owner.toml`` says, read without anything heavy: a Flower client that lives for one message starts here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from ..errors import Refused, TermsError

CONFIG_NAME = "owner.toml"
MOST_CONFIG_BYTES = 64 * 1024
LOCAL, PROCESS = "local", "process"
"""Where the owner agent of a home lives: in the process of whoever asks, or in one of its own."""

NEEDED = frozenset({"rpc-url", "chain-id", "market", "account"})
OPTIONAL = frozenset({"factory", "agent", "policy"})
_KINDS: dict[str, type] = {"rpc-url": str, "chain-id": int, "market": str, "factory": str, "agent": str, "account": dict, "policy": dict}


def read_config(folder: Path) -> Mapping[str, object]:
    """Entries of a home's ``owner.toml``, each of its type.

    Raises
    ------
    Refused
        There is no home at the path.
    TermsError
        The file does not parse, lacks an entry or has one too many, or an entry is of another type.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise Refused(f"there is no owner home at {folder} ({CONFIG_NAME} is missing); make one, or name the right folder")
    try:
        with open(path, "rb") as file:
            entries = tomllib.loads(file.read(MOST_CONFIG_BYTES).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise TermsError(f"{path} does not parse: {error}; write it as TOML") from error
    if not NEEDED <= set(entries) <= NEEDED | OPTIONAL:
        raise TermsError(
            f"{path} has entries {sorted(entries)}, expected {sorted(NEEDED)} and perhaps {sorted(OPTIONAL)}; write these and no others"
        )
    for name, value in entries.items():
        if type(value) is not _KINDS[name]:
            raise TermsError(f"{name} in {path} is {value!r}, expected {_KINDS[name].__name__}; write it so")
    if entries.get("agent", LOCAL) not in (LOCAL, PROCESS):
        raise TermsError(f"agent in {path} is {entries['agent']!r}, expected {LOCAL!r} or {PROCESS!r}; write one of them")
    return entries


def has_agent_process(folder: Path) -> bool:
    """Whether the owner agent of a home is a process of its own; raises as `read_config` does."""
    return read_config(folder).get("agent", LOCAL) == PROCESS
