"""An owner home: the folder of one data owner in one market.

``owner.toml`` names chain, market, account and policy; ``keys/`` holds mask keys and the rounding secret, ``journal/`` the commitments,
``work.jsonl`` what the agent did and how long it took. Secrets that move money are not in it: the account is an encrypted keystore by path,
an environment variable, or a well-known development account of a local chain.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Refused, TermsError
from ..market.task import TaskId
from ..market.terms import Address
from .agent import LocalAgent
from .journal import Journal
from .keys import OwnerKeys
from .policy import Policy

if TYPE_CHECKING:
    from ..chain.ethereum import EthereumLedger
    from ..chain.rpc import Connection
    from ..chain.wallet import Wallet

CONFIG_NAME = "owner.toml"
WORK_NAME = "work.jsonl"


@dataclass(frozen=True, slots=True)
class OwnerHome:
    """A data owner's folder and what ``owner.toml`` says.

    Attributes
    ----------
    path : Path
    rpc_url : str
    chain_id : int
    market : Address
    factory : Address or None
        The factory that the operator trusts to have created the market; None stands for the known deployment of the chain, or on a
        local chain for no check.
    account : mapping of str to object
        One of ``{"keystore": path, "password-file": path}``, ``{"environment": true}``, ``{"development": index}``.
    policy : Policy
    """

    path: Path
    rpc_url: str
    chain_id: int
    market: Address
    factory: Address | None
    account: Mapping[str, object]
    policy: Policy

    @classmethod
    def open(cls, path: Path) -> OwnerHome:
        """Read a home.

        Raises
        ------
        Refused
            There is none at the path.
        TermsError
            ``owner.toml`` lacks an entry or has one too many.
        """
        config = path / CONFIG_NAME
        if not config.is_file():
            raise Refused(f"there is no owner home at {path} ({CONFIG_NAME} is missing); make one, or name the right folder")
        try:
            entries = tomllib.loads(config.read_text())
        except tomllib.TOMLDecodeError as error:
            raise TermsError(f"{config} does not parse: {error}; write it as TOML") from error
        wanted = {"rpc-url", "chain-id", "market", "factory", "account", "policy"}
        if not {"rpc-url", "chain-id", "market", "account"} <= set(entries) <= wanted:
            raise TermsError(
                f"{config} has entries {sorted(entries)}, expected {sorted(wanted)}, of which only factory and policy may be left out"
            )
        return cls(
            path,
            entries["rpc-url"],
            entries["chain-id"],
            Address(entries["market"]),
            Address(entries["factory"]) if "factory" in entries else None,
            entries["account"],
            Policy.from_mapping(entries.get("policy", {})),
        )

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        rpc_url: str,
        chain_id: int,
        market: Address,
        account: Mapping[str, object],
        factory: Address | None = None,
        policy: Mapping[str, object] | None = None,
    ) -> OwnerHome:
        """Make a home; refuses with `Refused` to overwrite one."""
        config = path / CONFIG_NAME
        if config.exists():
            raise Refused(f"there is an owner home at {path} already; it may hold a journal that is needed, choose another folder")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = [f"rpc-url = {json.dumps(rpc_url)}", f"chain-id = {chain_id}", f"market = {json.dumps(market)}"]
        lines += [f"factory = {json.dumps(factory)}"] if factory is not None else []
        for name, table in (("account", account), ("policy", policy or {})):
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        config.write_text("\n".join(lines) + "\n")
        return cls.open(path)

    def agent(self) -> LocalAgent:
        """The owner agent of this home, connected to its chain."""
        from ..chain.ethereum import EthereumLedger
        from ..chain.rpc import connect

        connection = connect(self.rpc_url, expected_chain_id=self.chain_id)
        self._check_factory(connection)
        return self.agent_for(EthereumLedger(connection, self.market, self.wallet(connection)))

    def agent_for(self, ledger: EthereumLedger) -> LocalAgent:
        """The owner agent of this home on a ledger that is connected already."""
        return LocalAgent(
            ledger=ledger,
            signer=ledger.wallet,
            keys=OwnerKeys(self.path / "keys"),
            journal=Journal(self.path / "journal"),
            policy=self.policy,
            on_work=self._note,
        )

    def _check_factory(self, connection: Connection) -> None:
        """Refuse a market that no trusted factory created."""
        from ..chain.deploy import check_created
        from ..chain.known import known_deployment

        if self.factory is not None:
            check_created(connection, self.factory, self.market)
        elif not connection.is_local:
            check_created(connection, known_deployment(self.chain_id).factory, self.market)

    def wallet(self, connection: Connection) -> Wallet:
        """The account's wallet; the password of a keystore comes from its password file or the environment."""
        from ..chain.wallet import Wallet, dev_wallet, read_password

        if "development" in self.account:
            return dev_wallet(int(str(self.account["development"])), connection)
        if "keystore" in self.account:
            file = self.account.get("password-file")
            password = read_password(file=None if file is None else self.path / str(file))
            return Wallet.from_keystore(self.path / str(self.account["keystore"]), password)
        return Wallet.from_environment()

    def work(self) -> list[dict[str, object]]:
        """What the agent did: task, kind of work, seconds; oldest first."""
        log = self.path / WORK_NAME
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def _note(self, kind: str, task: TaskId, seconds: float) -> None:
        line = json.dumps({"epoch": task.epoch, "round": task.round, "work": kind, "seconds": round(seconds, 6)})
        with open(self.path / WORK_NAME, "a") as log:
            log.write(line + "\n")
