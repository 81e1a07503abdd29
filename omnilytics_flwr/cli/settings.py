"""Settings that commands share: a flag goes before the environment, the environment before the configuration file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import Malformed, OmnilyticsError
from ..market.amount import Amount, parse_amount
from ..node_address import check_address

APP = "omnilytics"

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
VERIFICATIONS = ("exact", "projected", "computed")
"""How a market may settle: with proofs of exact or of projected distances, or by vectors that the contract computes them from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Values of the shared options; those that a command does not offer are left at their defaults.

    Attributes
    ----------
    explicit : frozenset of str
        Names of the options that stand on the command line, which come before an owner home.
    from_environment : frozenset of str
        Names of those that the environment gives, which come before the configuration file.
    """

    as_json: bool = False
    dry_run: bool = False
    rpc_url: str | None = None
    chain_id: int | None = None
    deployments: Path | None = None
    market: str | None = None
    home: Path | None = None
    keystore: Path | None = None
    password_file: Path | None = None
    dev_account: int | None = None
    confirmations: int = 0
    explicit: frozenset[str] = frozenset()
    from_environment: frozenset[str] = frozenset()


SHARED = frozenset(field.name for field in fields(Settings)) - {"explicit", "from_environment"}
"""Names of the shared options."""

_ENTRIES = {
    field.name.replace("_", "-"): str(field.type) for field in fields(Settings) if field.name in SHARED - {"as_json", "dry_run", "home"}
}
"""Entries of a configuration file, and their types as `Settings` has them."""


def default_path(name: str) -> Path:
    """A file in the folder of this program, by the custom of the system: what is used if no other is named."""
    return Path(click.get_app_dir(APP)) / name


def default_keystore() -> Path:
    """The wallet that is used if none is named."""
    return default_path("wallet.json")


def default_deployments() -> Path:
    """Where own deployments are noted if no file is named."""
    return default_path("deployments.json")


def default_outbox() -> Path:
    """Where transactions are kept until the command that sends them has ended."""
    return default_path("outbox")


def read_config(path: Path) -> dict[str, Any]:
    """Entries of a configuration file by the names of the options; relative paths are relative to the file."""
    try:
        entries = tomllib.loads(path.read_text())
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read ({error.strerror}); expected a configuration file; check its path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} does not parse: {error}; write it as TOML") from error
    if unknown := sorted(set(entries) - set(_ENTRIES)):
        raise click.UsageError(f"{path} has unknown entries {', '.join(unknown)}; known are {', '.join(_ENTRIES)}")
    for name, value in entries.items():
        kind, expected = (int, "a number") if "int" in _ENTRIES[name] else (str, "text in quotes")
        if type(value) is not kind:
            raise click.UsageError(f"{path}: {name} is {value!r}; expected {expected}")
        if "Path" in _ENTRIES[name]:
            entries[name] = str(path.parent / Path(str(value)).expanduser())
    return {name.replace("-", "_"): value for name, value in entries.items()}


def load_into(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Callback of ``--config``: let the file speak for options that neither flags nor the environment give."""
    usual = default_path("config.toml")
    if path is None and usual.is_file():
        path = usual
    if path is not None and not context.resilient_parsing:
        entries = read_config(path)
        context.default_map = entries | ({"markets": [entries["market"]]} if "market" in entries else {})
    return path


def to_address(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Callback: checksummed address, or several; a checksum that is given must be right."""
    if value is None:
        return None
    from ..crypto.address import parse_address

    try:
        return tuple(map(parse_address, value)) if isinstance(value, tuple) else parse_address(value)
    except OmnilyticsError as error:
        raise click.BadParameter(f"{error}.") from error


def to_amount(context: click.Context, parameter: click.Parameter, value: str) -> Amount:
    """Callback: amount with its unit."""
    try:
        return parse_amount(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def to_node(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Callback: address of a node, or several with commas between them, by its form."""
    if value is not None:
        try:
            check_address("", value)
        except Malformed as error:
            raise click.BadParameter(f"{error}.") from error
    return value


def to_bytes(context: click.Context, parameter: click.Parameter, value: str) -> bytes:
    """Callback: bytes of hexadecimal digits."""
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not hexadecimal; expected 0x and an even number of digits.") from error


ALWAYS = (
    click.option("--json", "as_json", is_flag=True, help="Show JSON; amounts in wei, as strings."),
    click.option(
        "--config",
        type=FILE,
        envvar="OMNILYTICS_CONFIG",
        is_eager=True,
        expose_value=False,
        callback=load_into,
        help="Configuration file instead of the usual one; see docs/reference/cli.md.",
    ),
)
CHAIN = (
    click.option(
        "--rpc-url",
        envvar="OMNILYTICS_RPC_URL",
        metavar="URL",
        callback=to_node,
        help="JSON-RPC endpoint: http(s)://, or the path of a socket.",
    ),
    click.option("--chain-id", envvar="OMNILYTICS_CHAIN_ID", type=int, help="The only chain to accept."),
)
DEPLOYMENTS = (
    click.option("--deployments", envvar="OMNILYTICS_DEPLOYMENTS", type=FILE, help="File of more deployments than this version knows."),
)
MARKET = (click.option("--market", envvar="OMNILYTICS_MARKET", metavar="ADDRESS", callback=to_address, help="Address of the market."),)
PASSWORD = (
    click.option(
        "--password-file",
        envvar="OMNILYTICS_PASSWORD_FILE",
        type=FILE,
        help="File whose first line is the keystore's password; else OMNILYTICS_PASSWORD, else a prompt.",
    ),
)
KEYSTORE = (click.option("--keystore", envvar="OMNILYTICS_KEYSTORE", type=FILE, help="Encrypted wallet, keystore version 3."),)
ACCOUNT = (
    *KEYSTORE,
    *PASSWORD,
    click.option(
        "--dev-account",
        envvar="OMNILYTICS_DEV_ACCOUNT",
        type=click.IntRange(0),
        help="Number of an account on a local chain, whose keys everybody knows.",
    ),
)
HOME = (click.option("--home", envvar="OMNILYTICS_OWNER_HOME", type=FOLDER, help="Owner home: names chain, market and account."),)
SENDING = (
    click.option("--dry-run", is_flag=True, help="Show what would be sent and what it costs; sign and send nothing."),
    click.option(
        "--confirmations",
        envvar="OMNILYTICS_CONFIRMATIONS",
        type=click.IntRange(0),
        default=0,
        help="Blocks to wait for on top of the transaction's block.",
    ),
)


def example(*lines: str) -> str:
    """Epilog with examples, one a line."""
    return "\b\n" + "\n".join(["Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)])
