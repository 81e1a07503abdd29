"""A market for Flower's simulation: on a local chain of its own, with data owners that have joined.

    with LocalMarket.for_model(initial_arrays, num_owners=24) as market:
        market.run(server_app, client_app)  # whose strategy is Omnilytics(..., ledger=open_market())

All parties use the well-known development accounts of a local chain: the model owner the first, the data owners those after it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from operator import index
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from .chain.deploy import create_market, deploy
from .chain.ethereum_ledger import EthereumLedger
from .data_owner.owner_home import OwnerHome
from .environment import ACCOUNT_VARIABLES, DEV_ACCOUNT_VARIABLE, MARKET_VARIABLE, RPC_VARIABLE
from .errors import ProtocolError, TermsError
from .evm.anvil import Anvil, AnvilOptions
from .evm.connection import TransactionRecord, connect
from .evm.wallet import dev_wallet
from .evm.wallet_sender import sender_for
from .flower.compat import NO_INSTALLATION_VARIABLE
from .flower.mod import HOME_VARIABLE, RUN_FOLDER_VARIABLE
from .interruption import interruptible
from .market.examples import MOST_EXAMPLES
from .market.terms import Address, Terms, default_of
from .market.terms_bounds import ETHEREUM, ChainLimits
from .simulation import simulate

if TYPE_CHECKING:
    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp

REQUEST_SECONDS = 180.0
"""The chain is a process of this machine: while that is busy it is slow, not gone."""


class LocalMarket:
    """A market on a local chain, ready for its first round.

    Parameters
    ----------
    terms : callable
        ``(verification address) -> Terms``.
    computed : bool (default: False)
        Whether that address is the computed verification's, and not the sumcheck's.
    num_owners : int
        Data owners that join; at most 254.
    examples : sequence of int, optional
        0 .. 2^32 - 1; on how many examples each data owner trains, as it states when it joins: updates weigh by these, if `terms` name a
        usual number.
    escrow_wei : int, optional
        What the model owner pays in; by default what pays everybody in every round of an epoch, and the bond.
    folder : Path, optional
        Where the owner homes go; a temporary folder, deleted at the end, if left out. They hold secrets of this run's masks.
    on_stage : callable, optional
        Called with a word for each step of the set-up.
    limits : ChainLimits, optional
        With what the contracts are deployed; by default what the local chain says, which is Ethereum's.
    chain : AnvilOptions, optional
        By default with ten accounts more than data owners; the model owner and every data owner need one each.

    Raises
    ------
    Interrupted
        On Ctrl-C and SIGTERM inside the ``with`` block, when everything has ended: the process ends with one line and exit code 130.
    ToolMissing
        On entering the ``with`` block, as all that follow: there is no anvil on this machine.
    ChainError
        The local chain does not start, or an account lacks ether: `chain` has too few accounts, or `escrow_wei` is too much.
    TermsError
        `terms` makes terms that are out of their bounds; or, at once, `examples` has not one such number for each data owner.
    Refused
        A data owner's usual `Policy` refuses the terms, or `folder` holds owner homes already.
    LedgerError
        The market refuses so many data owners: more than its terms allow, or too few or too many for whole groups.
    """

    def __init__(
        self,
        terms: Callable[[Address], Terms],
        *,
        num_owners: int,
        computed: bool = False,
        examples: Sequence[int] | None = None,
        escrow_wei: int | None = None,
        folder: Path | None = None,
        on_stage: Callable[[str], None] | None = None,
        limits: ChainLimits | None = None,
        chain: AnvilOptions | None = None,
    ) -> None:
        self._terms = terms
        self._computed = computed
        self._num_owners = num_owners
        self._examples = _checked(examples, num_owners)
        self._escrow_wei = escrow_wei
        self._folder = folder
        self._on_stage = on_stage or (lambda stage: None)
        self._limits = limits
        self._options = chain or AnvilOptions(accounts=num_owners + 10)
        self.anvil: Anvil
        self.ledger: EthereumLedger
        self.homes: tuple[OwnerHome, ...] = ()
        self._owner_ledgers: list[EthereumLedger] = []
        self._held = ExitStack()

    @classmethod
    def for_model(
        cls,
        model: Mapping[str, object],
        *,
        num_owners: int = 24,
        examples: Sequence[int] | None = None,
        private: Iterable[str] = (),
        group_size: int | None = None,
        reward: str | int = "0.001 ether",
        trained: Mapping[str, object] | None = None,
        clip: float | None = None,
        longest_mean: float | None = None,
        rounds: int = 8,
        verification: Literal["exact", "projected", "computed"] | None = None,
        metrics: Iterable[str] = (),
        commit_seconds: int = default_of("commit_seconds"),
        limits: ChainLimits = ETHEREUM,
        folder: Path | None = None,
        on_stage: Callable[[str], None] | None = None,
        chain: AnvilOptions | None = None,
    ) -> LocalMarket:
        """A market whose terms fit a model; each parameter is that of `Terms.for_model`, or of the class.

        Parameters
        ----------
        model : mapping of names to arrays
            The whole model, as `Omnilytics.start` gets it.
        num_owners : int, group_size (2f + 3) .. 254 (default: 24)
        private : iterable of str (default: none)
            As `Omnilytics` gets them.
        examples : sequence of int, optional
            On how many examples each data owner trains: updates weigh by these, as in FedAvg. Left out, all weigh the same.
        rounds : int (default: 8)
            Rounds that the escrow pays for, all of one epoch.
        verification : {"exact", "projected", "computed"}, optional
            Whether distances of updates are proven, those of projections, or computed by the contract, which makes the sum of each group
            public; by default the first that fits a transaction.
        commit_seconds : int, 60 .. 2,592,000 (default: 3,600)
            How long a round stays open for commitments, if too few groups are whole.
        """
        computed, names, patterns, stated = (
            verification == "computed",
            tuple(metrics),
            tuple(private),
            () if examples is None else tuple(examples),
        )
        projected = None if verification is None else verification == "projected"

        def terms(contract: Address) -> Terms:
            made = Terms.for_model(
                model,
                verification=contract,
                private=patterns,
                owners=num_owners,
                group_size=group_size,
                reward=reward,
                trained=trained,
                clip=clip,
                longest_mean=longest_mean,
                examples=stated,
                rounds=rounds,
                projected=projected,
                computed=computed,
                metrics=names,
                limits=limits,
            )
            # Nobody on a chain of one's own can choose its randomness.
            return replace(made, draw_delay_blocks=2, commit_seconds=commit_seconds)

        return cls(
            terms,
            num_owners=num_owners,
            examples=examples,
            computed=computed,
            folder=folder,
            on_stage=on_stage,
            limits=limits,
            chain=chain,
        )

    def __enter__(self) -> LocalMarket:
        with ExitStack() as held:
            held.enter_context(interruptible())
            folder = self._folder or Path(held.enter_context(tempfile.TemporaryDirectory(prefix="omnilytics-")))
            self._on_stage("start chain")
            self.anvil = held.enter_context(Anvil(self._options))
            self._set_up(folder)
            self._held = held.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._held.__exit__(kind, error, traceback)

    @property
    def transactions(self) -> tuple[TransactionRecord, ...]:
        """Every transaction so far, of all parties."""
        return tuple(self._records)

    @property
    def owners(self) -> tuple[Address, ...]:
        """Accounts of the data owners, in the order of their homes."""
        return tuple(ledger.account for ledger in self.owner_ledgers())

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which the apps find this market, each with its account: for ``flwr run`` in processes of their own.

        A SuperLink with these takes packages from beside Flower, where this one is, and does not look for them in a registry.
        """
        if not self.homes:
            raise ProtocolError("the market is not set up; expected it to be inside its with block; use it there")
        return dict.fromkeys((*ACCOUNT_VARIABLES, RUN_FOLDER_VARIABLE), "") | {
            RPC_VARIABLE: self.anvil.url,
            MARKET_VARIABLE: self.ledger.address,
            DEV_ACCOUNT_VARIABLE: "0",
            NO_INSTALLATION_VARIABLE: "1",
            HOME_VARIABLE: str(self.homes[0].path.parent / "owner-{partition-id}"),
        }

    def owner_ledgers(self) -> tuple[EthereumLedger, ...]:
        """The market as each data owner sees it, in the order of their homes."""
        return tuple(self._owner_ledgers)

    def run(
        self, server_app: ServerApp, client_app: ClientApp, *, workers: int = 2, client_resources: Mapping[str, float] | None = None
    ) -> None:
        """Run a Flower simulation in this market, one node for each data owner.

        Parameters
        ----------
        server_app : ServerApp
            Its strategy is an `Omnilytics` with this market's `ledger`, or `open_market()`.
        client_app : ClientApp
            With `omnilytics_mod` or an `OmnilyticsMod`.
        workers : int (default: 2)
            Clients at work at a time.
        client_resources : mapping of str to float, optional
            What each of them gets, ``{"num_cpus": 1, "num_gpus": 0.5}``: Flower's own setting. By default one core, and an equal part of
            the GPUs that there are.

        Raises
        ------
        ProtocolError
            There are not as many GPUs as so many workers need.
        """
        with _variables(self.environment):
            simulate(server_app, client_app, self._num_owners, workers=workers, client_resources=client_resources)

    def _set_up(self, folder: Path) -> None:
        connection = connect(self.anvil.url, expected_chain_id=self._options.chain_id, timeout_seconds=REQUEST_SECONDS)
        self._records = connection.transactions
        model_owner = dev_wallet(0, connection)
        self._on_stage("deploy contracts")
        deployment = deploy(sender_for(connection, model_owner), self._limits)
        self._on_stage("create market")
        terms = self._terms(deployment.computed if self._computed else deployment.verification)
        market = create_market(sender_for(connection, model_owner), deployment, terms)
        self.ledger = EthereumLedger(sender_for(connection, model_owner), market)
        self.ledger.fund(terms.escrow_wei(terms.rounds_per_epoch) if self._escrow_wei is None else self._escrow_wei)
        homes = []
        for owner in range(self._num_owners):
            self._on_stage(f"join {owner + 1}/{self._num_owners}")
            home = OwnerHome.create(
                folder / f"owner-{owner}",
                rpc_url=self.anvil.url,
                chain_id=connection.chain_id,
                market=market,
                factory=deployment.factory,
                account={"development": owner + 1},
                examples=self._examples[owner],
            )
            ledger = EthereumLedger(sender_for(connection, home.wallet(connection)), market)
            home.agent_for(ledger).join()
            homes.append(home)
            self._owner_ledgers.append(ledger)
        self.homes = tuple(homes)
        self._on_stage("draw groups")
        self.ledger.freeze()
        self.ledger.draw()


def _checked(examples: Sequence[int] | None, owners: int) -> list[int]:
    """One number of examples for each data owner, 0 if none are given."""
    try:
        stated = [0] * owners if examples is None else [index(number) for number in examples]
    except TypeError as error:
        raise TermsError(f"examples are {examples!r}; expected whole numbers; count what each data owner trains on") from error
    if len(stated) != owners or not all(0 <= number <= MOST_EXAMPLES for number in stated):
        raise TermsError(f"examples has {len(stated)} numbers for {owners} data owners; expected one for each, from 0 to {MOST_EXAMPLES}")
    return stated


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables set for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value
