"""An owner home: the folder of one data owner in one market.

``owner.toml`` names chain, market, account and policy; ``keys/`` holds mask keys and the rounding secret, ``journal/`` the commitments,
``client/`` what the Flower client keeps (its private part of the model, a round's metrics), ``work.jsonl`` what the agent did and how long it took. It holds no secret that moves money: it names the account by the path of an
encrypted keystore, an environment variable, or a well-known development account of a local chain.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..crypto.address import Address
from ..errors import ChainError, Malformed, Refused
from ..files import make_folder, write_file
from ..market.task import TaskId
from ..market.terms import ZERO_ADDRESS
from .client_state import ClientState
from .journal import Journal
from .local_agent import LocalAgent
from .owner_config import CONFIG_NAME, OwnerConfig, agent_folder, check_second_address, read_config
from .owner_keys import OwnerKeys
from .policy import Policy
from .second_node import SecondNode, says_nothing
from .step_times import Spent

if TYPE_CHECKING:
    from ..chain.ethereum_ledger import EthereumLedger
    from ..chain.market_reader import MarketReader
    from ..evm.connection import Connection
    from ..evm.key_source import KeySource
    from ..evm.wallet import Wallet

WORK_NAME = "work.jsonl"
SECOND_NODE_SECONDS = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OwnerHome:
    """A data owner's folder, and what its ``owner.toml`` says."""

    path: Path
    config: OwnerConfig
    policy: Policy

    @classmethod
    def open(cls, path: Path) -> OwnerHome:
        """Read a home; raises as `read_config` does, and `TermsError` for an entry of the policy that is not what it must be."""
        config = read_config(path)
        return cls(path, config, Policy.from_mapping(config.policy))

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
        agent: str = "local",
        examples: int = 0,
        data_set: str | None = None,
        second_rpc_url: str | None = None,
        run_folder: str | None = None,
        run_group: str | None = None,
    ) -> OwnerHome:
        """Make a home, which is never written over an old one.

        Parameters
        ----------
        path : Path
            Folder of the home; made if missing, readable by its owner only.
        rpc_url, chain_id, market, factory, agent, examples, data_set, second_rpc_url, run_folder, run_group
            See `OwnerConfig`.
        account : mapping of str to object
            Where the account's key is: ``{"keystore": path}``, with ``"password-file": path`` or with the password in
            ``OMNILYTICS_PASSWORD``; ``{"environment": True}``, the key being in ``OMNILYTICS_PRIVATE_KEY``; or ``{"development": index}``
            on a local chain. Relative paths are relative to the home.
        policy : mapping of str to object, optional
            Entries of the `Policy` by their names in ``owner.toml`` (docs/reference/policy.md), e.g. ``{"most-clip": 0.5}``; values as TOML has
            them, hashes in hexadecimal.

        Raises
        ------
        Refused
            There is a home at the path already.
        TermsError
            Account, policy or agent are not what they must be.
        """
        if (path / CONFIG_NAME).exists():
            raise Refused(f"there is an owner home at {path} already; it may hold a journal that is needed, choose another folder")
        entries = {"rpc-url": rpc_url, "chain-id": chain_id, "market": market, "factory": factory, "agent": agent, "examples": examples}
        entries |= {"data-set": data_set, "second-rpc-url": second_rpc_url, "run-folder": run_folder, "run-group": run_group}
        config = OwnerConfig.from_mapping(entries | {"account": account, "policy": policy or {}})
        Policy.from_mapping(config.policy)
        make_folder(path)
        write_file(path / CONFIG_NAME, config.to_toml())
        return cls.open(path)

    def agent(self) -> LocalAgent:
        """The owner agent of this home in this process, connected to its chain; raises as `ledger` and `check_known_answer` do."""
        from ..crypto.kzg import check_known_answer

        check_known_answer()
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
        from ..evm.wallet_sender import sender_for

        connection = connect(
            self.config.rpc_url,
            expected_chain_id=self.config.chain_id,
            timeout_seconds=timeout_seconds,
            receipt_seconds=receipt_seconds,
            outbox=self.path / "outbox",
        )
        ledger = EthereumLedger(sender_for(connection, self.wallet(connection)), self.config.market)
        check_trusted(ledger, self._trusted_factory(connection), self.policy)
        return ledger

    def agent_for(
        self,
        ledger: EthereumLedger,
        *,
        check_ready: Callable[[], None] | None = None,
        second: SecondNode | None = None,
        ahead: bool = False,
    ) -> LocalAgent:
        """The owner agent of this home on a ledger that is connected already.

        Parameters
        ----------
        ledger : EthereumLedger
        check_ready, ahead : optional
            As for `LocalAgent`.
        second : SecondNode, optional
            By default one of its own, if the home names one; raises as `second_node` does.
        """
        return LocalAgent(
            ledger=ledger,
            signer=ledger.sender,
            keys=OwnerKeys(self.path / "keys"),
            journal=self.journal(),
            client_state=ClientState(self.path / "client"),
            policy=self.policy_on(ledger.connection),
            examples=self.config.examples,
            on_work=self._note,
            check_ready=check_ready,
            second=second or self.second_node(ledger),
            ahead=ahead,
        )

    def second_node(self, ledger: EthereumLedger) -> SecondNode | None:
        """The second node, if the home names one; one that is down now is connected to when it is needed.

        Raises
        ------
        UnknownMarket, WrongChain, Refused
            It is the ledger's own node, shows no such market of a trusted factory, serves another chain, or shows a market that the policy
            refuses.
        ChainError
            Its headers are not what they must be.
        """
        from ..evm.endpoint import Endpoint

        if self.config.second_rpc_url is None:
            return None
        try:
            check_second_address(ledger.connection.endpoint.url, self.config.second_rpc_url)  # the first may be another than the home's
        except Malformed as error:
            raise Refused(str(error)) from error
        Endpoint(self.config.second_rpc_url)  # its headers are read now: what is wrong with them is no node that is down
        second = SecondNode(self._second_view, ledger.terms())
        try:
            second.terms()
        except ChainError as error:
            if not says_nothing(error):
                raise
            _log.warning("the second node says nothing, and nothing new is committed until it does: %s", error)
        return second

    def _second_view(self) -> MarketReader:
        """The market at the second node, trusted there as at the first: one alone could make up the factory's word and the code."""
        from ..chain.market_reader import MarketReader
        from ..evm.connection import connect

        # Shorter than usual: an agent that waits for it holds the journal, and with it an answer.
        connection = connect(str(self.config.second_rpc_url), expected_chain_id=self.config.chain_id, timeout_seconds=SECOND_NODE_SECONDS)
        market = MarketReader(connection, self.config.market)
        check_trusted(market, self._trusted_factory(connection), self.policy)
        return market

    def socket_folder(self) -> Path:
        """Where the agent puts its socket, if it is a process of its own."""
        return agent_folder(self.path, self.config) or self.path

    def journal(self) -> Journal:
        """The journal of this home."""
        data_set = self.config.data_set
        return Journal(self.path / "journal", None if data_set is None else self.path / data_set)

    def policy_on(self, connection: Connection) -> Policy:
        """The policy, with a value for whatever depends on the chain."""
        from ..chain.chain_support import is_rollup

        return self.policy.for_chain(is_local=connection.is_local, is_rollup=is_rollup(connection))

    def _trusted_factory(self, connection: Connection) -> Address | None:
        from ..chain.known_deployments import known_deployment

        if self.config.factory is not None or connection.is_local:
            return self.config.factory
        return known_deployment(self.config.chain_id).factory

    def key_source(self) -> KeySource:
        """Where the account's key is; the password of a keystore comes from its password file or the environment."""
        from ..evm.key_source import KeySource

        account = self.config.account
        keystore, password_file = (None if name is None else self.path / name for name in (account.keystore, account.password_file))
        return KeySource(keystore, password_file, account.development)

    def wallet(self, connection: Connection) -> Wallet:
        """The account's wallet."""
        return self.key_source().wallet(connection)

    def work(self) -> list[dict[str, object]]:
        """What the agent did, oldest first: epoch, round, work (a step of `LocalAgent`), seconds, cpu_seconds, peak_memory_bytes."""
        log = self.path / WORK_NAME
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def _note(self, task: TaskId, steps: Mapping[str, Spent]) -> None:
        with open(self.path / WORK_NAME, "a") as log:
            for name, spent in steps.items():
                line = {"epoch": task.epoch, "round": task.round, "work": name, **asdict(spent)}
                log.write(json.dumps({key: round(value, 6) if isinstance(value, float) else value for key, value in line.items()}) + "\n")


def try_node(market: MarketReader) -> int:
    """Try a data owner's own node for what an answer to an accusation needs, before a stake depends on it; nothing is sent that could be mined.

    Returns
    -------
    int
        What an answer would cost today, in wei; 0 in a market without accusations.

    Raises
    ------
    UnsupportedChain
        It takes no such transactions, or lacks a precompile.
    """
    from ..chain.chain_support import check_answers, check_supported

    check_supported(market.connection)
    terms = market.terms()
    if terms.answer_seconds == 0:
        return 0
    check_answers(market.connection, min(market.blobs(), terms.polynomials))
    return market.answer_cost_wei() // 2  # the least deposit is twice that


def check_trusted(market: MarketReader, factory: Address | None, policy: Policy) -> None:
    """Check that a data owner may pay a stake into a market; `factory` is None on a local chain, whose markets are all one's own.

    Raises
    ------
    UnknownMarket
        The factory has not created the market: its books may be forged.
    Refused
        The policy wants a verification of this version, and the market has another; or a gate decides who joins, and the policy names no
        peers to be among.
    """
    from ..chain.deploy import check_created

    if factory is not None:
        check_created(market.connection, factory, market.address)
    is_local = market.connection.is_local
    if policy.for_chain(is_local=is_local).known_verification and not market.has_known_verification():
        raise Refused(
            f"policy refuses market {market.address}: its verification {market.terms().verification} is not of this version, and another may "
            "accept what it likes; choose another market, or set known-verification = false in the policy"
        )
    # Any gate, not the shipped one alone: its code does not tell who is behind it, and one byte more makes it another.
    if not (is_local or policy.least_known_peers) and market.terms().admission != ZERO_ADDRESS:
        raise Refused(
            f"policy refuses market {market.address}: its gate decides who joins, and could put people of one mind around one data owner; "
            "name data owners that you know in known-peers, and set least-known-peers, or choose another market"
        )
