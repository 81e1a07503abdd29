"""A managed local chain: an anvil process that ends with its parent, whatever happens."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ..errors import ToolMissing, Unreachable
from .endpoint import Endpoint
from .guarded_process import GuardedProcess

BINARY_VARIABLE = "OMNILYTICS_ANVIL"
MNEMONIC = "test test test test test test test test test test test junk"
HARDFORK = "osaka"
LOCAL_CHAIN_ID = 31337
ANNOUNCEMENT = "Listening on "
HISTORY_BLOCKS = 500
"""Blocks whose states anvil keeps, all in memory.

By default it moves older states to files, which it never removes, and takes them back without the code of contracts: a reorganisation
to such a block leaves a chain whose contracts are all gone. Blocks that were reverted count too.
"""

_PLATFORMS = {"linux": "linux", "darwin": "darwin", "win32": "win32"}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def find_anvil(environment: Mapping[str, str] = os.environ, checkout: Path | None = None) -> Path:
    """Path of the anvil program, from the environment variable ``OMNILYTICS_ANVIL``, the ``PATH`` or the Node packages of a checkout.

    Parameters
    ----------
    environment : mapping of str to str
    checkout : Path, optional
        Its root; by default of the one that this package lies in.

    Raises
    ------
    ToolMissing
        It is nowhere, or the environment variable names no file.
    """
    named = environment.get(BINARY_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise ToolMissing(f"{BINARY_VARIABLE} names {named}, which is no file; set it to the path of the anvil program")
        return Path(named)
    on_path = shutil.which("anvil", path=environment.get("PATH", ""))
    if on_path:
        return Path(on_path)
    root = Path(__file__).resolve().parents[2] if checkout is None else checkout
    system = f"{_PLATFORMS.get(sys.platform, sys.platform)}-{_MACHINES.get(platform.machine().lower(), platform.machine())}"
    program = root / "contracts" / "node_modules" / "@foundry-rs" / f"anvil-{system}" / "bin" / "anvil"
    if program.is_file():
        return program
    raise ToolMissing(
        f"anvil, the local chain, was found neither in {BINARY_VARIABLE} nor on the PATH nor at {program}; "
        "run `make setup` in a checkout, or install foundry"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnvilOptions:
    """How a local chain is set up.

    Parameters
    ----------
    accounts : int (default: 60)
        Accounts with ether, of the well-known mnemonic.
    balance_ether : int (default: 10,000)
        Of each account.
    state : Path, optional
        File that the chain is loaded from if it exists, and saved to when it ends.
    timestamp : int, optional
        Unix seconds of the first block; by default the present time.
    block_seconds : int, optional
        Every block is that much later than the one before; by default blocks bear the time at which they are mined.
    log : Path, optional
        File that the chain's output is appended to.
    hardfork : str (default: "osaka")
        Rules of the chain, by their name in anvil.
    """

    chain_id: int = LOCAL_CHAIN_ID
    accounts: int = 60
    balance_ether: int = 10_000
    state: Path | None = None
    timestamp: int | None = None
    block_seconds: int | None = None
    log: Path | None = None
    hardfork: str = HARDFORK

    def arguments(self) -> list[str]:
        """Arguments of the anvil program."""
        given = f"--port 0 --hardfork {self.hardfork} --enable-tx-gas-limit --prune-history {HISTORY_BLOCKS} --color never".split()
        given += f"--chain-id {self.chain_id} --accounts {self.accounts} --balance {self.balance_ether}".split()
        given += ["--mnemonic", MNEMONIC]
        if self.state is not None:
            given += ["--state", str(self.state)]
        if self.timestamp is not None:
            given += ["--timestamp", str(self.timestamp)]
        return given


class Anvil:
    """A running local chain; use it as a context manager, or call `close`.

    It mines each transaction at once, and ends with this process even if that is killed.

    Parameters
    ----------
    options : AnvilOptions, optional
    binary : Path (default: what `find_anvil` finds)

    Attributes
    ----------
    url : str
        JSON-RPC endpoint on the loopback interface; the port is free and chosen by the system.

    Raises
    ------
    ToolMissing
        There is no anvil.
    Unreachable
        It did not start; the message has its output.
    """

    def __init__(self, options: AnvilOptions | None = None, *, binary: Path | None = None) -> None:
        self.options = options or AnvilOptions()
        command = [str(binary or find_anvil()), *self.options.arguments()]
        self._process = GuardedProcess(command, mark=ANNOUNCEMENT, log=self.options.log)
        try:
            self.url = "http://" + self._process.announced
            self.endpoint = Endpoint(self.url)
            if self.options.block_seconds is not None:
                self.endpoint.request("anvil_setBlockTimestampInterval", self.options.block_seconds)
            if self.options.log is None:
                self.endpoint.request("anvil_setLoggingEnabled", False)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Anvil:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Anvil({self.url!r}, chain_id={self.options.chain_id})"

    @property
    def guard_id(self) -> int:
        """Process id of the guard, the chain's parent."""
        return self._process.guard_id

    def close(self) -> None:
        """End the chain, saving its state if that was asked for; idempotent."""
        self._process.close()

    def mine(self, blocks: int = 1) -> None:
        """Mine blocks without transactions."""
        self.endpoint.request("anvil_mine", hex(blocks))

    def now(self) -> int:
        """Timestamp that the next block would bear."""
        return int(self.endpoint.request("eth_getBlockByNumber", "pending", False)["timestamp"], 16)

    def increase_time(self, seconds: int) -> None:
        """Move the chain's clock forward and mine a block that shows it."""
        self.set_next_timestamp(self.now() + seconds)
        self.mine()

    def set_next_timestamp(self, timestamp: int) -> None:
        """Fix the timestamp of the next block; later blocks go on from there."""
        self.endpoint.request("evm_setNextBlockTimestamp", timestamp)

    def snapshot(self) -> str:
        """Name of the present state, for `revert`."""
        name: str = self.endpoint.request("evm_snapshot")
        return name

    def revert(self, name: str) -> None:
        """Go back to a state; its name and all later ones can then not be used again."""
        if not self.endpoint.request("evm_revert", name):
            raise Unreachable(f"the local chain has no snapshot {name}; take a new one after each revert")
