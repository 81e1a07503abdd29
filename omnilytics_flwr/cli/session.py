"""The chain, the market and the account that a command's settings name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import Malformed, UnknownMarket, UnsupportedChain
from .account import ask_password, key_source
from .market_facts import Facts, log_facts
from .printer import Printer, refusals_as_sentences
from .settings import ALWAYS, SHARED, Decorator, Settings, default_deployments, default_outbox

if TYPE_CHECKING:
    from ..chain.deploy import Deployment
    from ..chain.ethereum_ledger import EthereumLedger
    from ..chain.market_reader import MarketReader
    from ..data_owner.owner_home import OwnerHome
    from ..data_owner.policy import Policy
    from ..evm.connection import Connection
    from ..evm.dry_run import PlannedTransaction
    from ..evm.key_source import KeySource
    from ..evm.sender import Sender
    from ..evm.wallet import Secret
    from ..market.ledger import Receipt
    from ..market.market_view import MarketState
    from ..market.terms import Address


class Session:
    """Connects, opens wallets and reads markets when they are first needed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = ExitStack()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, traceback)

    @cached_property
    def home(self) -> OwnerHome | None:
        """The owner home, if one is named."""
        from ..data_owner.owner_home import OwnerHome

        return OwnerHome.open(self.settings.home) if self.settings.home is not None else None

    @cached_property
    def connection(self) -> Connection:
        """The chain; a node that is down is told at once."""
        from ..evm.connection import connect
        from ..evm.endpoint import Endpoint, Overloaded

        url = self._preferred("rpc_url", "name the endpoint by --rpc-url, OMNILYTICS_RPC_URL or rpc-url in the configuration")
        with suppress(Overloaded):
            Endpoint(url).request_in_turn("eth_chainId")
        chain_id = self.settings.chain_id
        if self.home is not None and "chain_id" not in self.settings.explicit:
            chain_id = self.home.config.chain_id
        outbox = None if self.settings.dry_run else default_outbox()
        return connect(url, expected_chain_id=chain_id, confirmations=self.settings.confirmations, outbox=outbox)

    @cached_property
    def market(self) -> Address:
        """Address of the market."""
        from ..crypto.address import parse_address

        return parse_address(self._preferred("market", "name it by --market, OMNILYTICS_MARKET or market in the configuration"))

    def named_market(self) -> Address | None:
        """Address of the market if one is named anywhere."""
        return self.market if self.settings.market or self.home is not None else None

    @cached_property
    def source(self) -> KeySource:
        """Where the account's key is."""
        return key_source(self.settings, self.home)

    def address(self) -> Address:
        """The account's address; the wallet is opened only if nothing else tells it."""
        connection = self.connection if self.settings.rpc_url is not None or self.home is not None else None
        return self.source.address(connection, ask=self._ask_password)

    @property
    def account(self) -> Address:
        """The account that acts."""
        return self.sender.address

    @cached_property
    def sender(self) -> Sender:
        """What sends for the account; in a dry run it only plans, and knows no more than the account's address."""
        from ..evm.dry_run import DryRun
        from ..evm.wallet_sender import sender_for

        if self.settings.dry_run:
            return DryRun(self.connection, self.address())
        sender = sender_for(self.connection, self.source.wallet(self.connection, ask=self._ask_password))
        self._stack.enter_context(sender.once())
        return sender

    @cached_property
    def reader(self) -> MarketReader:
        """The market as anybody reads it."""
        from ..chain.market_reader import MarketReader

        return MarketReader(self.connection, self.market)

    @cached_property
    def ledger(self) -> EthereumLedger:
        """The market as the account sees it."""
        from ..chain.ethereum_ledger import EthereumLedger

        return EthereumLedger(self.sender, self.market)

    @cached_property
    def deployment(self) -> Deployment:
        """The contracts of this chain; raises `UnsupportedChain` if none are known, or their code is not this version's."""
        from ..chain.deploy import check_deployment

        found = self.known_deployment()
        check_deployment(self.connection, found)
        return found

    def known_deployment(self) -> Deployment:
        """The deployment of this chain in the user's file, else that which this version knows; raises `UnsupportedChain` without one."""
        from ..chain.known_deployments import known_deployment

        own = read_deployments(self.settings)
        try:
            return known_deployment(self.connection.chain_id, own)
        except UnsupportedChain as error:
            raise UnsupportedChain(
                f"no deployment is known on chain {self.connection.chain_id}; expected one in this version or in "
                f"{self.settings.deployments or default_deployments()}; deploy by `omnilytics market deploy`, or name a file by --deployments"
            ) from error

    def trusted_factory(self) -> Address | None:
        """The factory that the market must be of: the home's, else the known one; None on a local chain without either."""
        if self.home is not None and self.home.config.factory is not None:
            return self.home.config.factory
        try:
            return self.known_deployment().factory
        except UnsupportedChain:
            if not self.connection.is_local:
                raise
            return None

    def first_block_of(self, reader: MarketReader) -> int:
        """Block that a market is not older than: that of its factory's deployment if it is of the known one, otherwise the first."""
        from ..chain.deploy import check_created

        try:
            deployment = self.known_deployment()
            check_created(self.connection, deployment.factory, reader.address)
        except (UnsupportedChain, UnknownMarket):
            return 0
        return deployment.block

    def check_trusted(self, policy: Policy) -> None:
        """Check that a data owner with this policy may pay a stake into the market; raises as `check_trusted` of the owner home does."""
        from ..data_owner.owner_home import check_trusted

        check_trusted(self.reader, self.trusted_factory(), policy)

    def lead(self, printer: Printer, state: MarketState) -> None:
        """Say where the market stands and what comes next; nothing in JSON."""
        from ..market.outlook import outlook

        where = outlook(state, self.reader.terms(), now=self.reader.now(), block=self.connection.block_number())
        printer.lead(where.sentence, where.next_step, where.deadline)

    def printer(self, *, market: MarketReader | None = None) -> Printer:
        """What shows facts; amounts are those of the market, if one is given."""
        if market is None:
            return Printer(self.settings.as_json)
        return Printer(self.settings.as_json, market.currency, market.now())

    def send(self, action: Callable[[], Receipt | None], facts: Callable[[], Facts] = dict) -> bool:
        """Do what sends transactions, and show them with `facts` about what then is; in a dry run the plan. Whether something was sent."""
        printer = self.printer(market=self.reader)
        if self.plan(action, printer):
            return False
        sent = len(self.connection.transactions)
        receipt = action()
        transactions = [_sent_facts(record) for record in self.connection.transactions[sent:]]
        title = f"done, from {self.account}" if transactions else "done already: nothing had to be sent"
        if transactions and all(one.resumed for one in self.connection.transactions[sent:]):
            title += "; an earlier run of this command had sent it"
        logs = {"events": {name: log_facts(log) for name, log in receipt.logs.items()}} if receipt and receipt.logs else {}
        printer.facts({**facts(), **logs, "transactions": transactions}, title)
        return bool(transactions)

    def plan(self, action: Callable[[], object], printer: Printer) -> bool:
        """In a dry run show what `action` would send, and say so; otherwise leave it alone."""
        from ..evm.dry_run import DryRun

        if not isinstance(self.sender, DryRun):
            return False
        planned = self.sender.plan(action)
        facts = {"dry_run": True, "transactions": list(map(_plan_facts, planned)), "total_fee_wei": sum(one.fee_wei for one in planned)}
        printer.facts(facts, "dry run: nothing was signed, nothing was sent")
        return True

    def _ask_password(self) -> Secret:
        return ask_password(f"Password of {self.source.keystore}")

    def _preferred(self, name: str, remedy: str) -> str:
        value = getattr(self.settings, name)
        if self.home is not None and name not in self.settings.explicit:
            value = getattr(self.home.config, name)
        if not value:
            raise click.UsageError(f"no {name.replace('_', '-')} is given; {remedy}")
        return str(value)


def options(*groups: tuple[Decorator[Any], ...]) -> Decorator[Any]:
    """Give a command ``--json``, ``--config`` and these groups of options, collected in the settings of its first argument, a `Session`.

    What market, chain or machine refuse becomes a sentence and exit code 1.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(**values: Any) -> None:
            source = click.get_current_context().get_parameter_source
            shared = {name: values.pop(name) for name in SHARED & set(values)}
            explicit = frozenset(name for name in shared if source(name) is ParameterSource.COMMANDLINE)
            from_environment = frozenset(name for name in shared if source(name) is ParameterSource.ENVIRONMENT)
            with refusals_as_sentences(as_json=shared["as_json"]):
                with Session(Settings(**shared, explicit=explicit, from_environment=from_environment)) as session:
                    function(session, **values)

        for option in reversed([option for group in (*groups, ALWAYS) for option in group]):
            run = option(run)
        return run

    return decorate


def read_deployments(settings: Settings) -> dict[int, Deployment]:
    """The user's own deployments; a file that is named must be there."""
    from ..chain.known_deployments import parse_deployments

    path = settings.deployments or default_deployments()
    if not path.exists() and settings.deployments is None:
        return {}
    try:
        return parse_deployments(path.read_bytes())
    except (OSError, Malformed) as error:
        raise click.UsageError(
            f"{path} holds no deployments ({error}); write it with `omnilytics market deploy`, or name another"
        ) from error


def _plan_facts(planned: PlannedTransaction) -> Facts:
    return {
        "event": planned.event,
        "from": planned.sender,
        "to": planned.to or "a new contract",
        "call": _call_text(planned.data),
        "value_wei": planned.value_wei,
        "gas": planned.gas,
        "gas_limit": planned.gas_limit,
        "fee_wei": planned.fee_wei,
        "most_fee_wei": planned.most_fee_wei,
    }


def _call_text(data: bytes) -> str:
    """A call of our contracts in words; digits of any other, and the length of code."""
    from ..chain import artifacts

    for name in (artifacts.MARKET, artifacts.FACTORY):
        call = artifacts.load(name).abi.call(data)
        if call is not None:
            return f"{call[0]}({', '.join(f'{key}={_short(value)}' for key, value in call[1].items())})"
    return "0x" + data.hex() if len(data) <= 100 else f"{len(data):,} bytes"


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_short, value))})"
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def _sent_facts(record: Any) -> Facts:
    return {
        "event": record.event,
        "transaction": record.transaction_hash,
        "block": record.block,
        "gas": record.gas_used,
        "fee_wei": record.fee_wei,
    }
