"""What ``owner.toml`` says. Light to import: a Flower client, which lives for one message, starts here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Struct, structs

from ..crypto.address import Address, parse_address
from ..decoding import convert, decode_toml
from ..errors import Malformed, Refused, TermsError
from ..market.examples import MOST_EXAMPLES
from ..node_address import check_address, share_a_node

CONFIG_NAME = "owner.toml"
MOST_CONFIG_BYTES = 64 * 1024


class Account(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="kebab"):
    """Where the account's key is: in exactly one place. Relative paths are relative to the home."""

    keystore: str | None = None
    password_file: str | None = None
    environment: bool = False
    development: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] | None = None

    def __post_init__(self) -> None:
        places = (self.keystore is not None, self.environment, self.development is not None)
        if sum(places) != 1 or (self.password_file is not None and self.keystore is None):
            raise Malformed("account: expected either keystore (and password-file), or environment = true, or development = N")


class OwnerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Entries of ``owner.toml``.

    Attributes
    ----------
    rpc_url : str
        ``http://``, ``https://``, or the path of an IPC socket.
    chain_id : int
        The chain that the endpoint must serve.
    market : Address
    factory : Address, optional
        The factory that must have created the market. Left out, it is that of the known deployment of the chain; on a local chain
        there is no check.
    second_rpc_url : str, optional
        As `rpc_url`, of a node that somebody else runs: it must show the same before anything is paid or signed, or leaves.
    agent : {"local", "process"} (default: "local")
        Where the owner agent is: in the process of whoever asks, or in one of its own.
    run_folder, run_group : str, optional
        Where an agent that is a process puts its socket, relative to the home, and the group (name or number) whose members may use it:
        a Flower client of another user. Left out, the socket is in the home, for the home's user alone.
    examples : int, 0 .. 2^32 - 1 (default: 0)
        On how many examples this data owner trains, stated to everybody when it joins (`omnilytics_flwr.market.examples`); 0 states nothing.
    data_set : str, optional
        Folder that all homes with the same data share, relative to the home: the policy's `most-peer-sets` counts for all of them together.
    account : Account
    policy : mapping (default: empty)
        Entries of the `Policy`, not yet checked: what checks them would make this module heavy.
    """

    rpc_url: str
    second_rpc_url: str | None = None
    chain_id: int
    market: Address
    factory: Address | None = None
    agent: Literal["local", "process"] = "local"
    run_folder: str | None = None
    run_group: str | None = None
    examples: Annotated[int, msgspec.Meta(ge=0, le=MOST_EXAMPLES)] = 0
    data_set: str | None = None
    account: Account
    policy: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if (self.run_folder is not None and self.agent != "process") or (self.run_group is not None and self.run_folder is None):
            raise Malformed('run-folder needs agent = "process", run-group needs a run-folder')
        check_address("rpc-url", self.rpc_url)
        check_second_address(self.rpc_url, self.second_rpc_url)
        structs.force_setattr(self, "market", parse_address(self.market))
        if self.factory is not None:
            structs.force_setattr(self, "factory", parse_address(self.factory))

    @classmethod
    def from_mapping(cls, entries: Mapping[str, object]) -> OwnerConfig:
        """Configuration from entries by their names in the file; raises `TermsError` if one is not what it must be."""
        try:
            return convert(entries, cls)
        except Malformed as error:
            raise TermsError(f"owner home: {error}") from error

    def to_toml(self) -> bytes:
        """Content of the file."""
        import tomli_w

        entries = {name: value for name, value in msgspec.to_builtins(self).items() if value is not None}
        return tomli_w.dumps(entries).encode()


def check_second_address(first: str, second: str | None) -> None:
    """Raise `Malformed` if the second node's address is none, or the first one's: a node agrees with itself, whatever it says."""
    if second is None:
        return
    check_address("second-rpc-url", second)
    if share_a_node(first, second):
        raise Malformed("second-rpc-url names the node of rpc-url; expected one that somebody else runs; name another, or leave it out")


def read_config(folder: Path) -> OwnerConfig:
    """What a home's ``owner.toml`` says.

    Raises
    ------
    Refused
        There is no home at the path.
    TermsError
        The file does not parse, lacks an entry or has one too many, or an entry is not what it must be.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise Refused(f"there is no owner home at {folder} ({CONFIG_NAME} is missing); make one, or name the right folder")
    try:
        with open(path, "rb") as file:
            return decode_toml(file.read(MOST_CONFIG_BYTES), OwnerConfig)
    except (OSError, Malformed) as error:
        raise TermsError(f"{path}: {error}") from error


def agent_folder(home: Path, config: OwnerConfig) -> Path | None:
    """Where the socket of a home's agent is; None if the agent is no process of its own."""
    if config.agent != "process":
        return None
    return home if config.run_folder is None else home / config.run_folder
