"""One market twice: in memory and on a chain, played with the same calls at the same times, compared after each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from py_arkworks_bls12381 import G1Point, Scalar
from requests import post

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.deploy import Deployment, create_market
from omnilytics_flwr.chain.market_reader import market_reverts
from omnilytics_flwr.crypto.kzg import BLOB_BYTES, versioned_hash
from omnilytics_flwr.errors import OmnilyticsError
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.blobs import BLOB_TYPE, Sidecar, sidecar_of
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.endpoint import Endpoint, NodeError
from omnilytics_flwr.evm.header import header_rlp
from omnilytics_flwr.evm.reverts import revert_data
from omnilytics_flwr.evm.sender import MOST_GAS
from omnilytics_flwr.evm.transaction import Mined, Payload, mined_of
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.dispute import BURN_ADDRESS
from omnilytics_flwr.market.market_view import Accusation, MarketState, Member, OwnerRecord
from omnilytics_flwr.market.roster import roster_seats
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.terms import Address, Terms, solidity_name
from tests.evm.tiny_contracts import creation_code
from tests.oracle import ComputedVerification, MemoryMarket, SumcheckVerification, Verification, World
from tests.support.builders import (
    MODEL_OWNER,
    STRANGER,
    WEALTH_WEI,
    DictatedVerification,
    Scene,
    address_of,
    blob_of,
    make_account,
    make_mask_key,
    make_task,
    make_terms,
    value_of,
)
from tests.support.moves import Move, Mover, View

Request = tuple[str, list[object]]


def ask_all(endpoint: Endpoint, requests: list[Request]) -> list[dict[str, Any]]:
    """Answers in the order of the requests, each with a ``result`` or an ``error``."""
    calls = [{"jsonrpc": "2.0", "id": number, "method": method, "params": params} for number, (method, params) in enumerate(requests)]
    answers: list[dict[str, Any]] = post(endpoint.url, json=calls, timeout=60).json()
    return sorted(answers, key=lambda answer: int(answer["id"]))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call gave: the market's events, or the class and facts of the refusal."""

    logs: dict[str, dict[str, object]]
    refusal: tuple[str, tuple[object, ...]] | None

    @classmethod
    def refused(cls, error: OmnilyticsError) -> Outcome:
        return cls({}, (type(error).__name__, tuple(error.args)))


def or_refusal(read: Any, *arguments: object) -> object:
    """What is read, or the refusal to tell."""
    try:
        return read(*arguments)
    except OmnilyticsError as error:
        return Outcome.refused(error)


_ABI = artifacts.load(artifacts.VERIFICATION).abi
_VERIFY = _ABI.functions["verify"].selector.hex()
_WRONG_OPENING = next(s.hex() for s, error in _ABI.errors.items() if error.name == "VerificationWrongOpening")

_BRANCH = f"5f 35 60 e0 1c 63 {_VERIFY} 14 60 1e 57"
_ONE = "60 01 5f 52 60 20 5f f3 5b 5b 5b 5b 5b 5b 5b 5b"
"""1, filled up: any call but `verify` asks how many bytes a settlement needs."""
_ANSWER = "5b 60 20 5f 52 60 24 35 60 04 01 80 35 80 15 60 3d 57 80 91 60 20 01 60 20 37 60 20 01 5f f3"
"""The settlement behind a word 0x20, which is how ABI returns the struct that the settlement encodes; empty, it is refused."""
_REFUSE = f"5b 63 {_WRONG_OPENING} 5f 52 60 04 60 1c fd"

DICTATING = creation_code(bytes.fromhex(_BRANCH + _ONE + _ANSWER + _REFUSE))
"""Deploys a verification that believes its settlement, unless it is empty."""


DIGEST = b"\x5a" * 32
Facts = dict[str, Any]


class Twin:
    """A market in memory and its twin on a chain without fees, so that balances can be compared too; blocks are a second apart.

    Settlements are proven, or computed, or dictated as `tests.support.builders.DictatedVerification` has it; `term_changes` are for
    `make_terms`.
    """

    def __init__(
        self,
        anvil: Anvil,
        deployment: Deployment,
        num_owners: int,
        *,
        proven: bool = False,
        computed: bool = False,
        **term_changes: object,
    ) -> None:
        self.anvil = anvil
        self.connection: Connection = connect(anvil.url)
        self.numbers = (*range(num_owners), MODEL_OWNER, STRANGER)
        self._abi = artifacts.load(artifacts.MARKET).abi
        self._reverts = market_reverts()
        self.forced_wei = 0
        if proven or computed:
            contract = deployment.computed if computed else deployment.verification
        else:
            contract = self._deploy_dictating()
        terms = make_terms(verification=contract, **term_changes)
        twin: Verification = SumcheckVerification() if proven else DictatedVerification()
        address = self._create(deployment, terms)
        self.scene = self._memory(address, terms, num_owners, ComputedVerification(terms) if computed else twin)

    @property
    def view(self) -> View:
        """The market as a walk sees it; headers are the chain's."""
        return View(self.scene.ledger(), lambda: self.scene.world.number, self.header)

    def header(self, number: int) -> bytes:
        """Header of a past block of the chain, which the world in memory is told too."""
        world = self.scene.world
        if number not in world.headers and number < world.number:
            world.headers[number] = header_rlp(self.connection.block(number))
        return world.header(number)

    def play(self, move: Move) -> Outcome:
        """Play a call on both and assert that they answer alike; what they answered.

        On a chain a refused call takes a block, hence in memory too.
        """
        world = self.scene.world
        if move.mine_blocks:
            self.anvil.mine(move.mine_blocks)
            world.mine(move.mine_blocks)
        world.wait(move.wait_seconds)
        self.header(self.scene.market.storage.draw_block)
        on_chain = self._send(move)
        in_memory = self._call(move)
        assert on_chain == in_memory, f"{move}: {on_chain} on the chain, {in_memory} in memory"
        return on_chain

    def do(self, move: Move) -> None:
        """Play a call that both take."""
        outcome = self.play(move)
        assert outcome.refusal is None, f"{move}: {outcome.refusal}"

    def life(self, mover: Mover, *, num_owners: int = 15, escrow_wei: int = 100_000) -> Iterator[Stage]:
        """Lead the market through all of its stages, one round; yields in each."""
        for number in range(num_owners):
            self.do(Move(number, "join", (self.scene.terms.digest(), make_mask_key(number), 100 * number, b""), self.scene.terms.stake_wei))
        self.do(Move(MODEL_OWNER, "fund", (escrow_wei,), escrow_wei))
        yield Stage.ENROLLING
        self.do(Move(MODEL_OWNER, "freeze"))
        yield Stage.FROZEN
        # The first attempt waits for the block, whose header nobody can know before.
        assert self.play(mover.draw(self.scene.state)).refusal is not None
        self.do(mover.draw(self.scene.state))
        yield Stage.IDLE
        self.do(Move(MODEL_OWNER, "anchor", (make_task(1),)))
        yield Stage.ANCHORED
        self.do(mover.open_with(self.scene.state, self.scene.all_groups()))
        yield Stage.OPEN
        self.do(mover.timeout(self.scene.state))
        self.do(Move(MODEL_OWNER, "close"))
        yield Stage.CLOSED

    def open_a_round(self, mover: Mover, **options: int) -> None:
        """From nothing to an open round."""
        assert any(stage is Stage.OPEN for stage in self.life(mover, **options))
        self.assert_equal_and_solvent()

    def force(self, amount_wei: int) -> None:
        """Give the market ether that it never asked for."""
        address = self.scene.market.address
        self.scene.world.force(address, amount_wei)
        self.forced_wei += amount_wei
        self._request("anvil_setBalance", address, hex(self.connection.balance_wei(address) + amount_wei))

    def end_a_contract(self, amount_wei: int) -> None:
        """Force ether in by a contract that names the market its heir."""
        code = bytes.fromhex("73" + self.scene.market.address[2:] + "ff")
        call = {"from": address_of(STRANGER), "data": "0x" + code.hex(), "value": hex(amount_wei)}
        self._request("eth_sendTransactionSync", call | {"gas": hex(MOST_GAS), "gasPrice": "0x0"})
        world = self.scene.world
        world.transfer(address_of(STRANGER), self.scene.market.address, amount_wei)
        world.mine()
        self.forced_wei += amount_wei

    def ask(self, move: Move, *, number: int) -> tuple[str, tuple[object, ...]] | None:
        """What both would refuse a call with in the block of this number; asserted to be the same. Nothing changes."""
        world = self.scene.world
        kept = world.snapshot()
        world.number = number
        in_memory = self._call(move).refusal
        world.restore(kept)
        try:
            self._request("eth_call", self._transaction(move), "latest", {}, {"number": hex(number)})
        except NodeError as error:
            reason = revert_data(error)
            assert reason is not None
            assert Outcome.refused(self._reverts.exception(reason)).refusal == in_memory, move
        else:
            assert in_memory is None, move
        return in_memory

    def assert_equal_and_solvent(self) -> None:
        """Assert that all that can be read from the two is the same, down to every account's ether, and that the books balance."""
        on_chain, in_memory = self.facts_on_chain(), self.facts_in_memory()
        differences = {name: (on_chain[name], fact) for name, fact in in_memory.items() if fact != on_chain[name]}
        assert not differences, f"on the chain and in memory: {differences}"
        assert self.scene.surplus_wei() == self.forced_wei

    def facts_in_memory(self) -> Facts:
        """Everything that can be read from the market in memory."""
        market, world = self.scene.market, self.scene.world
        facts: Facts = {f"{name}{arguments}": or_refusal(getattr(market, name), *arguments) for name, arguments in self._reads()}
        facts["answer_cost_wei()"] = market.answer_cost_wei(world)
        facts |= {account: world.balances.get(account, 0) for account in self._accounts()}
        # The block before the one that the next call will be in.
        return facts | {"last block": (world.number - 1, world.timestamp - 1)}

    def facts_on_chain(self) -> Facts:
        """Everything that can be read from the market on the chain, under the same names; one request."""
        reads = [*self._reads(), ("answer_cost_wei", ())]
        requests: list[Request] = [("eth_call", [self._read(solidity_name(name), arguments), "latest"]) for name, arguments in reads]
        requests += [("eth_getBalance", [account, "latest"]) for account in self._accounts()]
        answers = ask_all(self.anvil.endpoint, [*requests, ("eth_getBlockByNumber", ["latest", False])])
        facts = {f"{name}{arguments}": self._decode(name, answer) for (name, arguments), answer in zip(reads, answers, strict=False)}
        *balances, block = [answer["result"] for answer in answers[len(reads) :]]
        facts |= {account: int(balance, 16) for account, balance in zip(self._accounts(), balances, strict=True)}
        return facts | {"last block": (int(block["number"], 16), int(block["timestamp"], 16))}

    def _reads(self) -> list[tuple[str, tuple[object, ...]]]:
        """What both sides are asked, as the oracle names it."""
        groups = self.scene.market.storage.members.bit_count() // self.scene.terms.group_size + 1
        # Earlier rounds do not change any more, and what can be claimed sums over all.
        last = self.scene.state.round + 1
        seats = (*roster_seats(self.scene.market.storage.roster_seats()), 253)
        of_accounts = [(name, (address_of(number),)) for number in self.numbers for name in ("owner_record", "claimable_wei")]
        of_rounds = [(name, (number,)) for number in range(max(0, last - 3), last + 1) for name in ("paid_seats", "bond_share_wei")]
        of_seats = [*(("group_seats", (group,)) for group in range(groups)), *(("accusation", (seat,)) for seat in seats)]
        return [
            ("state", ()),
            ("members", ()),
            ("commitment_hash", (DIGEST,)),
            ("delivery_hash", (DIGEST,)),
            *of_accounts,
            *of_rounds,
            *of_seats,
        ]

    def _accounts(self) -> list[Address]:
        return [*map(address_of, self.numbers), self.scene.market.address, BURN_ADDRESS]

    def _deploy_dictating(self) -> Address | None:
        wallet = dev_wallet(0, self.connection)
        return sender_for(self.connection, wallet).send("deploy", Payload(None, DICTATING), self._reverts).contract

    def _create(self, deployment: Deployment, terms: Terms) -> Address:
        wallet = Wallet(Secret(bytes(make_account(MODEL_OWNER).key)))
        self._request("anvil_setBalance", wallet.address, hex(10**24))
        address = create_market(sender_for(self.connection, wallet), deployment, terms)
        for number in self.numbers:
            self._request("anvil_setBalance", address_of(number), hex(WEALTH_WEI))
        return address

    def _memory(self, address: Address, terms: Terms, num_owners: int, verification: Verification) -> Scene:
        world = World(chain_id=self.connection.chain_id, number=self.connection.block_number() + 1, timestamp=self.anvil.now())
        world.base_fee_wei, world.blob_base_fee_wei = 0, int(self._request("eth_blobBaseFee"), 16)
        world.balances.update({address_of(number): WEALTH_WEI for number in self.numbers})
        # Other markets on this chain burned before.
        world.balances[BURN_ADDRESS] = self.connection.balance_wei(BURN_ADDRESS)
        market = MemoryMarket(
            address=address, chain_id=world.chain_id, model_owner=address_of(MODEL_OWNER), terms=terms, verification=verification
        )
        world.deploy(market)
        return Scene(world, market, num_owners)

    def _call(self, move: Move) -> Outcome:
        world = self.scene.world
        try:
            arguments = (self.scene.market.address, move.function, move.arguments, move.value_wei, move.blobs)
            receipt = world.send(address_of(move.account), *arguments)
        except OmnilyticsError as error:
            world.mine()
            return Outcome.refused(error)
        finally:
            self._charge_for_blobs(move)
        return Outcome(receipt.logs, None)

    def _charge_for_blobs(self, move: Move) -> None:
        """Blobs are never free on a chain; in memory they are."""
        world = self.scene.world
        world.balances[address_of(move.account)] -= len(move.blobs) * BLOB_BYTES * world.blob_base_fee_wei

    def _transaction(self, move: Move) -> dict[str, str]:
        return {
            "from": address_of(move.account),
            "to": self.scene.market.address,
            "data": "0x" + self._abi.call_data(move.function, *move.arguments).hex(),
            "value": hex(move.value_wei),
            "gas": hex(MOST_GAS),
            "gasPrice": "0x0",
        }

    def _send(self, move: Move) -> Outcome:
        if move.wait_seconds:
            self.anvil.set_next_timestamp(self.scene.world.timestamp)
        receipt = self._send_blobs(move) if move.blobs else self._request("eth_sendTransactionSync", self._transaction(move))
        if int(receipt["status"], 16) == 1:
            return Outcome(self._logs(mined_of(receipt, 0.0)), None)
        trace = self._request("debug_traceTransaction", receipt["transactionHash"], {"tracer": "callTracer"})
        return Outcome.refused(self._reverts.exception(bytes.fromhex(trace.get("output", "0x")[2:])))

    def _send_blobs(self, move: Move) -> Any:
        nonce = int(self._request("eth_getTransactionCount", address_of(move.account), "latest"), 16)
        fees = {"gas": MOST_GAS, "maxFeePerGas": 0, "maxPriorityFeePerGas": 0}
        fees["maxFeePerBlobGas"] = self.scene.world.blob_base_fee_wei
        transaction = {
            "chainId": self.connection.chain_id,
            "nonce": nonce,
            "to": self.scene.market.address,
            "data": self._abi.call_data(move.function, *move.arguments),
            "value": move.value_wei,
        }
        raw = signed_with_blobs(move.account, transaction | fees, move.blobs)
        return self._request("eth_sendRawTransactionSync", "0x" + raw.hex())

    def _logs(self, mined: Mined) -> dict[str, dict[str, object]]:
        decoded = [self._abi.log(topics, data) for contract, topics, data in mined.logs if contract == self.scene.market.address]
        assert all(decoded), mined.logs
        return {log[0]: log[1] for log in decoded if log is not None}

    def _read(self, function: str, arguments: tuple[object, ...]) -> dict[str, str]:
        return {"to": self.scene.market.address, "data": "0x" + self._abi.call_data(function, *arguments).hex()}

    def _decode(self, function: str, answer: Any) -> object:
        if "error" in answer:
            return Outcome.refused(self._reverts.exception(bytes.fromhex(answer["error"]["data"][2:])))
        values = self._abi.results(solidity_name(function), bytes.fromhex(answer["result"][2:]))
        if function == "state":
            stage, *rest = values[0]
            return MarketState(Stage(stage), *rest)
        if function == "members":
            return tuple(Member(*member) for member in zip(*values, strict=True))
        if function == "accusation":
            return Accusation(*values)
        return OwnerRecord(*values[0]) if function == "owner_record" else values[0]

    def _request(self, method: str, *params: object) -> Any:
        return self.anvil.endpoint.request(method, *params)


@cache
def small_sidecar(value: int) -> Sidecar:
    """What travels beside ``blob_of(value)``: commitments and proofs are linear in a polynomial."""
    if value == 1:
        return sidecar_of((blob_of(1),))
    unit = small_sidecar(1)
    proofs = tuple(_multiply(proof, value) for proof in unit.cell_proofs)
    return Sidecar((blob_of(value),), (_multiply(unit.commitments[0], value),), proofs)


def make_sidecar(blobs: tuple[bytes, ...]) -> Sidecar:
    """What travels beside a transaction with these blobs."""
    values = [value_of(blob) for blob in blobs]
    parts = [sidecar_of((blob,)) if value is None else small_sidecar(value) for blob, value in zip(blobs, values, strict=True)]
    return Sidecar(
        blobs,
        tuple(commitment for part in parts for commitment in part.commitments),
        tuple(proof for part in parts for proof in part.cell_proofs),
    )


def signed_with_blobs(number: int, transaction: dict[str, object], blobs: tuple[bytes, ...]) -> bytes:
    """A transaction of a test account with blobs, as a node takes it."""
    sidecar = make_sidecar(blobs)
    hashes = [versioned_hash(commitment) for commitment in sidecar.commitments]
    wallet = Wallet(Secret(bytes(make_account(number).key)))
    signed, _ = wallet.sign_transaction(transaction | {"type": BLOB_TYPE, "blobVersionedHashes": hashes})
    return sidecar.wrapped(signed)


def _multiply(compressed: bytes, value: int) -> bytes:
    return bytes((G1Point.from_compressed_bytes_unchecked(compressed) * Scalar(value)).to_compressed_bytes())
