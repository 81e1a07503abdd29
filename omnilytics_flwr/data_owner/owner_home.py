"""An owner home: the folder of one data owner in one market.

``owner.toml`` names chain, market, account and policy; ``keys/`` holds mask keys and the rounding secret, ``journal/`` the commitments,
``work.jsonl`` what the agent did and how long it took. Secrets that move money are not in it: the account is an encrypted keystore by path,
an environment variable, or a well-known development account of a local chain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..crypto.address import parse_address
from ..errors import Malformed, Refused, TermsError
from ..files import make_folder, write_file
from ..market.task import TaskId
from ..market.terms import Address
from .journal import Journal
from .local_agent import LocalAgent
from .owner_config import CONFIG_NAME as CONFIG_NAME
from .owner_config import LOCAL, PROCESS, read_config
from .owner_keys import OwnerKeys
from .policy import Policy
from .trust import check_trusted

if TYPE_CHECKING:
    from ..chain.ethereum_ledger import EthereumLedger
    from ..evm.connection import Connection
    from ..evm.key_source import KeySource
    from ..evm.wallet import Wallet

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
    agent_kind : str
        ``"process"`` if a process of its own is the owner agent, ``"local"`` if every client makes its own.
    """

    path: Path
    rpc_url: str
    chain_id: int
    market: Address
    factory: Address | None
    account: Mapping[str, object]
    policy: Policy
    agent_kind: str = LOCAL

    @classmethod
    def open(cls, path: Path) -> OwnerHome:
        """Read a home.

        Raises
        ------
        Refused
            There is none at the path.
        TermsError
            ``owner.toml`` lacks an entry, has one too many, or one is not what it must be.
        """
        entries: dict[str, Any] = dict(read_config(path))
        try:
            market = parse_address(entries["market"])
            factory = parse_address(entries["factory"]) if "factory" in entries else None
        except Malformed as error:
            raise TermsError(f"market or factory in {path / CONFIG_NAME}: {error}") from error
        _check_account(entries["account"])
        policy = Policy.from_mapping(entries.get("policy", {}))
        kind = entries.get("agent", LOCAL)
        return cls(path, entries["rpc-url"], entries["chain-id"], market, factory, entries["account"], policy, kind)

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
        agent: str = LOCAL,
    ) -> OwnerHome:
        """Make a home, which is never written over an old one.

        Parameters
        ----------
        path : Path
            Folder of the home; made if missing, readable by its owner only.
        rpc_url : str
            ``http://``, ``https://``, or the path of an IPC socket.
        chain_id : int
            The chain that the endpoint must serve.
        market : Address
        account : mapping of str to object
            Where the account's key is: ``{"keystore": path}``, with ``"password-file": path`` or with the password in
            ``OMNILYTICS_PASSWORD``; ``{"environment": True}``, the key being in ``OMNILYTICS_PRIVATE_KEY``; or ``{"development": index}``
            on a local chain. Relative paths are relative to the home.
        factory : Address, optional
            The factory that must have created the market; see the attribute.
        policy : mapping of str to object, optional
            Entries of the `Policy` by their names in ``owner.toml`` (docs/policy.md), e.g. ``{"most-clip": 0.5}``; values as TOML has
            them, hashes in hexadecimal.
        agent : {"local", "process"} (default: "local")
            Where the owner agent is; see `agent_kind`.

        Raises
        ------
        Refused
            There is a home at the path already.
        TermsError
            Account, policy or agent are not what they must be.
        """
        config = path / CONFIG_NAME
        if config.exists():
            raise Refused(f"there is an owner home at {path} already; it may hold a journal that is needed, choose another folder")
        _check_account(account)
        Policy.from_mapping(policy or {})
        if agent not in (LOCAL, PROCESS):
            raise TermsError(f"agent is {agent!r}, expected {LOCAL!r} or {PROCESS!r}; give one of them")
        make_folder(path)
        entries = {"rpc-url": rpc_url, "chain-id": chain_id, "market": market, "agent": agent}
        lines = _toml(entries | ({} if factory is None else {"factory": factory}))
        lines += ["", "[account]", *_toml(account), "", "[policy]", *_toml(policy or {})]
        write_file(config, ("\n".join(lines) + "\n").encode())
        return cls.open(path)

    def agent(self) -> LocalAgent:
        """The owner agent of this home in this process, connected to its chain."""
        return self.agent_for(self.ledger())

    def ledger(self, *, timeout_seconds: float = 30.0, receipt_seconds: float = 180.0) -> EthereumLedger:
        """The market as this data owner sees it; the limits are those of a request and of a transaction.

        Raises
        ------
        UnknownMarket
            No trusted factory created the market.
        Refused
            The operator wants a known verification, and the market has another.
        ChainError
            As `connect` raises it.
        """
        from ..chain.ethereum_ledger import EthereumLedger
        from ..evm.connection import connect

        connection = connect(
            self.rpc_url,
            expected_chain_id=self.chain_id,
            timeout_seconds=timeout_seconds,
            receipt_seconds=receipt_seconds,
            outbox=self.path / "outbox",
        )
        ledger = EthereumLedger(connection, self.market, self.wallet(connection))
        check_trusted(ledger, self._trusted_factory(connection), self.policy)
        return ledger

    def agent_for(self, ledger: EthereumLedger, *, check_ready: Callable[[], None] | None = None) -> LocalAgent:
        """The owner agent of this home on a ledger that is connected already; `check_ready` as for `LocalAgent`."""
        return LocalAgent(
            ledger=ledger,
            signer=ledger.wallet,
            keys=OwnerKeys(self.path / "keys"),
            journal=self.journal(),
            policy=self._policy_on(ledger.connection),
            on_work=self._note,
            check_ready=check_ready,
        )

    def journal(self) -> Journal:
        """The journal of this home."""
        return Journal(self.path / "journal")

    def _policy_on(self, connection: Connection) -> Policy:
        return self.policy.for_chain(is_local=connection.is_local)

    def _trusted_factory(self, connection: Connection) -> Address | None:
        from ..chain.known_deployments import known_deployment

        if self.factory is not None or connection.is_local:
            return self.factory
        return known_deployment(self.chain_id).factory

    def key_source(self) -> KeySource:
        """Where the account's key is."""
        from ..evm.key_source import KeySource

        keystore, password = (
            self.path / str(self.account[name]) if name in self.account else None for name in ("keystore", "password-file")
        )
        return KeySource(keystore, password, cast("int | None", self.account.get("development")))

    def wallet(self, connection: Connection) -> Wallet:
        """The account's wallet; the password of a keystore comes from its password file or the environment."""
        return self.key_source().wallet(connection)

    def work(self) -> list[dict[str, object]]:
        """What the agent did: task, kind of work, seconds; oldest first."""
        log = self.path / WORK_NAME
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def _note(self, kind: str, task: TaskId, seconds: float) -> None:
        line = json.dumps({"epoch": task.epoch, "round": task.round, "work": kind, "seconds": round(seconds, 6)})
        with open(self.path / WORK_NAME, "a") as log:
            log.write(line + "\n")


def _toml(entries: Mapping[str, object]) -> list[str]:
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items()]


def _check_account(account: Mapping[str, object]) -> None:
    keystore, file = account.get("keystore"), account.get("password-file", "")
    index = account.get("development")
    good = (
        (set(account) <= {"keystore", "password-file"} and isinstance(keystore, str) and isinstance(file, str))
        or (set(account) == {"environment"} and account["environment"] is True)
        or (set(account) == {"development"} and type(index) is int and 0 <= index < 1 << 31)
    )
    if not good:
        raise TermsError(
            f"account has entries {sorted(account)}; expected keystore (and password-file), or environment = true, or development = N; "
            "name one place where the key is kept"
        )
