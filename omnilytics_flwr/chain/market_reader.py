"""Reading a market on a chain."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from ..errors import Malformed, UnknownMarket
from ..evm import erc20, rpc_values
from ..evm.abi import Abi
from ..evm.connection import BlockName, Connection
from ..evm.dry_run import simulated
from ..evm.fees import base_fee_wei, blob_base_fee_wei
from ..evm.reverts import Reverts
from ..evm.transaction import Log, log_of
from ..market.amount import ETHER, UNITS_OF_TOKEN, Currency
from ..market.dispute import answer_cost_wei
from ..market.market_view import Accusation, MarketState, MarketView, Member, OwnerRecord
from ..market.refusals import REFUSALS, UnknownGroup, WrongStage
from ..market.stage import Stage
from ..market.terms import ZERO_ADDRESS, Address, Terms
from . import artifacts
from .answer_blobs import BLOB_DAYS, AnswerQuery, fetch_delivery, fetch_vector

if TYPE_CHECKING:
    from ..market.scheme import Scheme

PROXY_BEFORE = bytes.fromhex("363d3d373d3d3d363d73")
PROXY_AFTER = bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
PROXY_BYTES = len(PROXY_BEFORE) + 20 + len(PROXY_AFTER)

_DAY_SECONDS = 24 * 60 * 60


def market_reverts() -> Reverts:
    """What reverts of this version's contracts mean: a market passes its verification's on."""
    return Reverts((artifacts.load(name).abi for name in (artifacts.MARKET, artifacts.FACTORY, artifacts.VERIFICATION)), REFUSALS)


class MarketReader(MarketView):
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
        self._reverts = market_reverts()
        self._block: BlockName = "latest"
        self._block_number: int | None = None
        check_market(connection, address)

    def snapshot(self, confirmations: int = 0) -> Self:
        """The market as it is in one block, the latest or that on which so many have been mined: all that is read agrees.

        What is read raises `NodeError` once a reorganisation has removed that block, or a node has forgotten its state; take another
        snapshot then.
        """
        block = self._connection.block(max(self._connection.block_number() - confirmations, 0))
        taken = copy.copy(self)
        block_hash = rpc_values.octets("hash of a block", block.get("hash"), 32)
        taken._block = {"blockHash": "0x" + block_hash.hex(), "requireCanonical": True}
        taken._block_number = rpc_values.field(block, "number")
        return taken

    @property
    def block_number(self) -> int:
        """Block that is read: a snapshot's own, otherwise the latest."""
        return self._connection.block_number() if self._block_number is None else self._block_number

    def balance_wei(self) -> int:
        """Ether that the market holds."""
        return self._connection.balance_wei(self._address, self._block)

    def token_balance(self) -> int:
        """Units of its token that the market holds; 0 if it pays in ether."""
        token = self.terms().token
        return 0 if token == ZERO_ADDRESS else erc20.balance_wei(self._connection, token, self._address, self._block)

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

    @cached_property
    def currency(self) -> Currency:
        """What the market pays in; of a token that does not say it, the smallest units."""
        token = self.terms().token
        if token == ZERO_ADDRESS:
            return ETHER
        told = erc20.described(self._connection, token)
        return Currency(*told) if told is not None else UNITS_OF_TOKEN

    def now(self) -> int:
        """Timestamp that the next transaction may expect: the later of clock and last block."""
        return self._connection.now()

    def terms(self) -> Terms:
        """The market's terms, read once."""
        return self._terms

    @cached_property
    def _scheme(self) -> Scheme:
        from ..market.scheme import scheme_for

        computed = artifacts.load(artifacts.COMPUTED).is_code(self._connection.code(self.terms().verification))
        return scheme_for(self.terms(), computed=computed)

    def scheme(self) -> Scheme:
        """How updates are packed, committed to and settled here; the verification is told by its code, which cannot lie; read once."""
        return self._scheme

    def terms_hash(self) -> bytes:
        """Keccak-256 of the ABI-encoded terms as the market computes it, 32 bytes."""
        return bytes(self._read("termsHash"))

    def state(self, confirmations: int = 0) -> MarketState:
        """Present state, or that on which so many blocks have been mined; a snapshot's own without `confirmations`."""
        return self._state(hex(max(self._connection.block_number() - confirmations, 0)) if confirmations else self._block)

    def look(self) -> tuple[MarketState, int]:
        """The latest `state` and `now` together: of one block, by two requests instead of up to four; a local chain's `now` is its pending block's."""
        latest = self._connection.block("latest")
        return self._state(hex(rpc_values.field(latest, "number"))), self._connection.now(latest)

    def _state(self, block: BlockName) -> MarketState:
        stage, *rest = self._call(self.address, self._abi, "state", block=block)[0]
        try:
            return MarketState(Stage(stage), *rest)
        except ValueError as error:
            raise rpc_values.bad("stage of the market", stage) from error

    def owner_record(self, account: Address) -> OwnerRecord:
        """What the market knows of `account`."""
        return OwnerRecord(*self._read("ownerRecord", account))

    def members(self) -> tuple[Member, ...]:
        """Members of the present epoch, by seat."""
        return tuple(Member(Address(owner), *rest) for owner, *rest in zip(*self._read_all("members"), strict=True))

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

    def withdrawable_wei(self, account: Address) -> tuple[int, int]:
        """What `account` would get by withdrawing now: its credit, and the ether that disputes have freed for it.

        No function of the contract tells it, so a withdrawal is simulated; raises `ChainError` if the node cannot.
        """
        call = {"from": account, "to": self._address, "data": "0x" + self._abi.call_data("withdraw", account).hex()}
        (result,) = simulated(self._connection, [call])
        fields = self._events(map(log_of, rpc_values.records("logs", result.get("logs")))).get("Withdrawn", {})
        return int(str(fields.get("amountWei", 0))), int(str(fields.get("refundWei", 0)))

    @cached_property
    def _blobs(self) -> int:
        return int(self._read("blobs"))

    def blobs(self) -> int:
        """Blobs that a transaction may carry, as the factory was told of the chain; read once."""
        return self._blobs

    def answer_cost_wei(self) -> int:
        """Least deposit for one accused at the present fees.

        Computed here, as the contract does it: nodes pretend that there are no fees when they are asked what a contract answers.
        """
        terms = self.terms()
        if terms.answer_seconds == 0:
            return 0
        return 2 * answer_cost_wei(
            terms.polynomials,
            blobs=self.blobs(),
            base_fee_wei=base_fee_wei(self._connection),
            blob_base_fee_wei=blob_base_fee_wei(self._connection),
        )

    def gas_price_wei(self) -> int:
        """Least that a unit of gas costs now."""
        return base_fee_wei(self._connection)

    def accusation(self, seat: int) -> Accusation:
        """The accusation of a seat in the open round; all zeros if there is none."""
        return Accusation(*self._read_all("accusation", seat))

    def answered_vector(self, round_number: int, seat: int) -> bytes:
        """The vector with which the accused of `seat` answered in the round, from the chain's blobs: 131,072 bytes for each polynomial.

        Raises
        ------
        BlobsMissing
            It did not answer in full, or the blobs are not to be had; on any but a local chain the connection needs a `blobs_url`.
        """
        return fetch_vector(self._connection, self._abi, self._answer(round_number, seat))

    def answered_delivery(self, round_number: int, seat: int) -> bytes:
        """What came with that vector in a projected market: projected digest and signature of the delivery, 96 bytes.

        Raises
        ------
        BlobsMissing
            The accused did not answer in full.
        """
        return fetch_delivery(self._connection, self._abi, self._answer(round_number, seat))

    def _answer(self, round_number: int, seat: int) -> AnswerQuery:
        state, terms = self.state(), self.terms()
        live = state.stage is Stage.OPEN and state.round == round_number
        since = state.settle_by - terms.round_seconds if live else self.now() - BLOB_DAYS * _DAY_SECONDS
        return AnswerQuery(self._address, round_number, seat, terms.polynomials, since)

    def commitment_hash(self, digest: bytes) -> bytes:
        """EIP-712 hash that a data owner signs to commit `digest` in the live round, 32 bytes."""
        return bytes(self._read("commitmentHash", digest))

    def delivery_hash(self, projected_digest: bytes) -> bytes:
        """EIP-712 hash that a data owner signs to deliver in the open round of a projected market, 32 bytes."""
        return bytes(self._read("deliveryHash", projected_digest))

    def check_points(self, points: bytes) -> bool:
        """The verification's check of a member's points; raises `VerificationWrongLength` unless 96 bytes for each that is proven."""
        terms = self.terms()
        return bool(
            self._call(terms.verification, artifacts.load(artifacts.VERIFICATION).abi, "checkPoints", points, terms.polynomials_proven)[0]
        )

    def has_known_verification(self) -> bool:
        """Whether the terms' verification runs the code of one of this version; any other may accept what it likes."""
        code = self._connection.code(self.terms().verification)
        return any(artifacts.load(name).is_code(code) for name in artifacts.VERIFICATIONS)

    def has_voucher_gate(self) -> bool:
        """Whether it is the model owner's vouchers that admit to the market."""
        return artifacts.load(artifacts.ADMISSION).is_code(self._connection.code(self.terms().admission))

    def _events(self, logs: Iterable[Log]) -> dict[str, dict[str, object]]:
        """Fields of the market's own events among logs, by name; of several the last."""
        decoded = (self._abi.log(topics, data) for contract, topics, data in logs if contract == self._address)
        return {event[0]: event[1] for event in decoded if event is not None}

    def _read(self, function: str, *arguments: object) -> Any:
        return self._read_all(function, *arguments)[0]

    def _read_all(self, function: str, *arguments: object) -> tuple[Any, ...]:
        return self._call(self._address, self._abi, function, *arguments)

    def _call(self, to: Address, abi: Abi, function: str, *arguments: object, block: BlockName | None = None) -> tuple[Any, ...]:
        data = self._connection.call(to, abi.call_data(function, *arguments), self._reverts, block=block or self._block)
        try:
            return abi.results(function, data)
        except Malformed as error:
            raise rpc_values.bad(f"result of {function}", "0x" + data.hex()) from error


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
