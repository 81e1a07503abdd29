"""Deploying the contracts and creating or finding markets."""

from __future__ import annotations

from dataclasses import dataclass

from ..crypto.hashing import word
from ..errors import ChainError, UnknownMarket, UnsupportedChain
from ..evm.connection import Connection
from ..evm.reverts import Reverts
from ..evm.sender import Sender
from ..evm.transaction import Mined, Payload
from ..market.terms import ZERO_ADDRESS, Address, Terms
from ..market.terms_bounds import ChainLimits
from . import artifacts
from .chain_support import check_proofs, check_supported, limits_of
from .market_reader import market_reverts

CREATED = "MarketCreated"
DEPLOYED = (artifacts.VERIFICATION, artifacts.COMPUTED, artifacts.ADMISSION, artifacts.FACTORY)
"""What is deployed once for a chain, in this order; the factory deploys the market's implementation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The contracts that all markets of a chain share.

    Attributes
    ----------
    chain_id : int
    verification : Address
        Of exact and projected markets; the zero address on a chain that cannot verify proofs.
    computed : Address
        Verification of computed markets.
    implementation, factory : Address
    gate : Address
        Admission contract of markets that are joined by voucher.
    block : int
        Block from which on markets may have been created.
    """

    chain_id: int
    verification: Address
    computed: Address
    implementation: Address
    factory: Address
    gate: Address
    block: int


def deploy(sender: Sender, limits: ChainLimits | None = None) -> Deployment:
    """Deploy verifications, gate, and the factory with the market's implementation; gas is in the connection's `transactions`.

    Parameters
    ----------
    limits : ChainLimits, optional
        What terms may need of the chain; by default what its node says.

    Raises
    ------
    UnsupportedChain
        The chain lacks something that a market needs; nothing was sent.
    ChainError
        As `Sender.send` raises it.
    """
    sent = {name: sender.send(*transaction) for name, transaction in deployments(sender.connection, limits).items()}
    made = {name: _address(mined) for name, mined in sent.items()}
    factory = made[artifacts.FACTORY]
    return Deployment(
        chain_id=sender.connection.chain_id,
        verification=made.get(artifacts.VERIFICATION, ZERO_ADDRESS),
        computed=made[artifacts.COMPUTED],
        implementation=Address(str(_read_factory(sender.connection, factory, "implementation"))),
        factory=factory,
        gate=made[artifacts.ADMISSION],
        block=min(mined.block for mined in sent.values()),
    )


def deployments(connection: Connection, limits: ChainLimits | None = None) -> dict[str, tuple[str, Payload, Reverts]]:
    """By contract, in order, the transaction that deploys it, as a sender takes it: event, payload and errors; none needs another's receipt.

    Parameters
    ----------
    limits : ChainLimits, optional
        As for `deploy`.

    Raises
    ------
    UnsupportedChain
        The chain lacks something that a market needs.
    """
    check_supported(connection)
    limits = limits or limits_of(connection)
    return {name: _deployment_of(name, limits) for name in _deployed_on(connection)}


def create_market(sender: Sender, deployment: Deployment, terms: Terms) -> Address:
    """Address of a new market whose model owner is the sender's account.

    Raises
    ------
    MarketBadTerms
        The factory refuses the terms: on a chain without blobs, for one, those with accusations.
    """
    abi = artifacts.load(artifacts.FACTORY).abi
    payload = Payload(deployment.factory, abi.call_data("create", terms.abi_tuple()))
    mined = sender.send("create", payload, market_reverts())
    for contract, topics, data in mined.logs:
        decoded = abi.log(topics, data) if contract == deployment.factory else None
        if decoded is not None and decoded[0] == CREATED:
            return Address(str(decoded[1]["market"]))
    raise ChainError(f"{deployment.factory} announced no market; expected {CREATED}; check that it is a factory of this version")


def markets(connection: Connection, deployment: Deployment) -> tuple[Address, ...]:
    """All markets that the factory has created, oldest first."""
    count = int(str(_read_factory(connection, deployment.factory, "count")))
    return tuple(Address(str(_read_factory(connection, deployment.factory, "marketAt", index))) for index in range(count))


def check_created(connection: Connection, factory: Address, market: Address) -> None:
    """Raise `UnknownMarket` unless the factory has created this market.

    The code of a market proves nothing of its books: other creation code could have filled them in and left the same code. Only a
    market of a factory that one trusts began empty.
    """
    if not _read_factory(connection, factory, "isMarket", market):
        raise UnknownMarket(f"the factory {factory} has not created the market {market}; its books may be forged, do not pay into it")


def check_deployment(connection: Connection, deployment: Deployment) -> None:
    """Raise `UnsupportedChain` unless the deployment's contracts are on this chain and run the code of this version."""
    contracts = {
        artifacts.VERIFICATION: deployment.verification,
        artifacts.COMPUTED: deployment.computed,
        artifacts.MARKET: deployment.implementation,
        artifacts.FACTORY: deployment.factory,
        artifacts.ADMISSION: deployment.gate,
    }
    if deployment.verification == ZERO_ADDRESS:
        del contracts[artifacts.VERIFICATION]
    for name, address in contracts.items():
        if not artifacts.load(name).is_code(connection.code(address)):
            raise UnsupportedChain(
                f"{address} on chain {connection.chain_id} is not {name} of this version; expected its code; "
                "deploy it, or use another version"
            )


def _deployed_on(connection: Connection) -> tuple[str, ...]:
    """What a chain can hold: where no proof can be verified, markets can only be computed ones."""
    try:
        check_proofs(connection)
    except UnsupportedChain:
        return tuple(name for name in DEPLOYED if name != artifacts.VERIFICATION)
    return DEPLOYED


def _deployment_of(name: str, limits: ChainLimits) -> tuple[str, Payload, Reverts]:
    arguments = word(limits.settlement_bytes) + word(limits.blobs) if name == artifacts.FACTORY else b""
    return f"deploy {name}", Payload(None, artifacts.load(name).creation_code + arguments), market_reverts()


def _read_factory(connection: Connection, factory: Address, function: str, *arguments: object) -> object:
    abi = artifacts.load(artifacts.FACTORY).abi
    return abi.results(function, connection.call(factory, abi.call_data(function, *arguments), market_reverts()))[0]


def _address(mined: Mined) -> Address:
    if mined.contract is None:
        raise ChainError(f"transaction {mined.transaction_hash} deployed nothing; expected a contract; check the node")
    return mined.contract
