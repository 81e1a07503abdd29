"""Reading a market on a chain."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from ..errors import UnknownMarket
from ..market.ledger import MarketState, Member, OwnerRecord
from ..market.refusals import UnknownGroup, WrongStage
from ..market.stage import Stage
from ..market.terms import Address, Terms
from . import artifacts
from .refusing import Refusals
from .rpc import Connection

PROXY_BEFORE = bytes.fromhex("363d3d373d3d3d363d73")
PROXY_AFTER = bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
PROXY_BYTES = len(PROXY_BEFORE) + 20 + len(PROXY_AFTER)


def refusals() -> Refusals:
    """Errors of all contracts of this version."""
    return Refusals(artifacts.load(name).abi for name in (artifacts.MARKET, artifacts.FACTORY, artifacts.VERIFICATION))


class MarketReader:
    """A market on a chain, as anybody can read it.

    Parameters
    ----------
    connection : Connection
    address : Address
        The market's.

    Raises
    ------
    UnknownMarket
        The address holds no market of this version; its code, and that of its implementation, were compared.
    """

    def __init__(self, connection: Connection, address: Address) -> None:
        self._connection = connection
        self._address = address
        self._abi = artifacts.load(artifacts.MARKET).abi
        self._refusals = refusals()
        check_market(connection, address)

    @property
    def connection(self) -> Connection:
        """The chain that the market is on."""
        return self._connection

    @property
    def address(self) -> Address:
        """The market's address."""
        return self._address

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id."""
        return self._connection.chain_id

    @cached_property
    def model_owner(self) -> Address:
        """Who pays."""
        return Address(self._read("modelOwner"))

    @cached_property
    def _terms(self) -> Terms:
        return Terms.from_abi(self._read("terms"))

    def now(self) -> int:
        """Timestamp that the next transaction may expect: the later of clock and last block."""
        return self._connection.now()

    def terms(self) -> Terms:
        """The market's terms, read once."""
        return self._terms

    def terms_hash(self) -> bytes:
        """Keccak-256 of the ABI-encoded terms as the market computes it, 32 bytes."""
        return bytes(self._read("termsHash"))

    def state(self, confirmations: int = 0) -> MarketState:
        """Present state, or that on which so many blocks have been mined."""
        data = self._connection.call(self.address, self._abi.call_data("state"), self._refusals, blocks_ago=confirmations)
        stage, *rest = self._abi.results("state", data)[0]
        return MarketState(Stage(stage), *rest)

    def owner_record(self, account: Address) -> OwnerRecord:
        """What the market knows of `account`."""
        return OwnerRecord(*self._read("ownerRecord", account))

    def members(self) -> tuple[Member, ...]:
        """Members of the present epoch, by seat."""
        owners, seats, mask_keys = self._read_all("members")
        return tuple(Member(Address(o), s, k) for o, s, k in zip(owners, seats, mask_keys, strict=True))

    def group_seats(self, group: int) -> int:
        """Bitmap of the seats of a group of the present epoch; 0 if there is none."""
        try:
            return int(self._read("groupSeats", group))
        except (UnknownGroup, WrongStage):
            return 0

    def paid_seats(self, round_number: int) -> int:
        """Bitmap of the seats that a finished round pays."""
        return int(self._read("paidSeats", round_number))

    def bond_share_wei(self, round_number: int) -> int:
        """What a timed-out round pays on top of the reward."""
        return int(self._read("bondShareWei", round_number))

    def claimable_wei(self, account: Address) -> int:
        """What `account` would get by claiming now."""
        return int(self._read("claimableWei", account))

    def commitment_hash(self, digest: bytes) -> bytes:
        """EIP-712 hash that a data owner signs to commit `digest` in the live round, 32 bytes."""
        return bytes(self._read("commitmentHash", digest))

    def settlement_context(self) -> bytes:
        """Context that a settlement of the live round is bound to, 32 bytes."""
        return bytes(self._read("settlementContext"))

    def check_points(self, points: bytes) -> bool:
        """The check that the verification applies to a delivery's points.

        Raises
        ------
        VerificationWrongLength
            They are not 128 bytes for each polynomial.
        """
        terms = self.terms()
        abi = artifacts.load(artifacts.VERIFICATION).abi
        data = abi.call_data("checkPoints", points, terms.polynomials)
        return bool(abi.results("checkPoints", self._connection.call(terms.verification, data, self._refusals))[0])

    def has_known_verification(self) -> bool:
        """Whether the terms' verification runs the code of this version; any other may accept what it likes."""
        return artifacts.load(artifacts.VERIFICATION).is_code(self._connection.code(self.terms().verification))

    def _read(self, function: str, *arguments: object) -> Any:
        return self._read_all(function, *arguments)[0]

    def _read_all(self, function: str, *arguments: object) -> tuple[Any, ...]:
        data = self._abi.call_data(function, *arguments)
        return self._abi.results(function, self._connection.call(self._address, data, self._refusals))


def implementation_of(code: bytes) -> Address | None:
    """Address that a minimal proxy (ERC-1167) runs the code of; None if `code` is none."""
    end = len(PROXY_BEFORE) + 20
    if not code.startswith(PROXY_BEFORE) or code[end:PROXY_BYTES] != PROXY_AFTER:
        return None
    return Address("0x" + code[len(PROXY_BEFORE) : end].hex())


def check_market(connection: Connection, address: Address) -> None:
    """Raise `UnknownMarket` unless the address holds a market that runs the code of this version."""
    code = connection.code(address)
    implementation = implementation_of(code)
    if implementation is None:
        what = "a contract that is no market" if code else "no contract"
        raise UnknownMarket(f"at {address} on chain {connection.chain_id} there is {what}; expected a market; check address and chain")
    if not artifacts.load(artifacts.MARKET).is_code(connection.code(implementation)):
        raise UnknownMarket(
            f"the market at {address} runs other code than this version knows; expected that of {artifacts.MARKET}; "
            "use the version of this package that created it"
        )
