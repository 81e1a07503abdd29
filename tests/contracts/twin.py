"""One market twice: in memory and on a chain, played with the same calls at the same times, compared after each."""

from __future__ import annotations

from typing import Any

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.deploy import Deployment, create_market
from omnilytics_flwr.chain.market_reader import refusals
from omnilytics_flwr.errors import OmnilyticsError
from omnilytics_flwr.evm.anvil import Devnet
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.endpoint import NodeError
from omnilytics_flwr.evm.header import header_rlp
from omnilytics_flwr.evm.reverts import revert_data
from omnilytics_flwr.evm.sender import MOST_GAS, sender_for
from omnilytics_flwr.evm.transaction import Mined, Payload, mined_of
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_wallet
from omnilytics_flwr.market.dispute import BLOB_BYTES, BURN_ADDRESS
from omnilytics_flwr.market.market_view import Accusation, MarketState, Member, OwnerRecord
from omnilytics_flwr.market.roster import roster_seats
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.terms import Address, Terms
from tests.oracle import MemoryMarket, SumcheckVerification, Verification, World
from tests.support.builders import MODEL_OWNER, STRANGER, WEALTH_WEI, DictatedVerification, Scene, address_of, make_account, make_terms
from tests.support.moves import Move, View

from .batch import Request, ask_all
from .dictating import DICTATING
from .outcome import Outcome, or_refusal
from .sidecars import signed_with_blobs

DIGEST = b"\x5a" * 32
Facts = dict[str, Any]


class Twin:
    """A market in memory and its twin on a chain.

    Parameters
    ----------
    devnet : Devnet
        Without fees, so that balances can be compared too; blocks are a second apart.
    deployment : Deployment
        Its contracts.
    num_owners : int
        Accounts that may become data owners.
    proven : bool
        Whether settlements are proven, or dictated as `tests.support.builders.DictatedVerification` has it.
    term_changes
        For `tests.support.builders.make_terms`.
    """

    def __init__(self, devnet: Devnet, deployment: Deployment, num_owners: int, *, proven: bool = False, **term_changes: object) -> None:
        self.devnet = devnet
        self.connection: Connection = connect(devnet.url)
        self.numbers = (*range(num_owners), MODEL_OWNER, STRANGER)
        self._abi = artifacts.load(artifacts.MARKET).abi
        self._refusals = refusals()
        self.forced_wei = 0
        terms = make_terms(verification=deployment.verification if proven else self._deploy_dictating(), **term_changes)
        address = self._create(deployment, terms)
        self.scene = self._memory(address, terms, num_owners, SumcheckVerification() if proven else DictatedVerification())

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
            self.devnet.mine(move.mine_blocks)
            world.mine(move.mine_blocks)
        world.wait(move.wait_seconds)
        self.header(self.scene.market.storage.draw_block)
        on_chain = self._send(move)
        in_memory = self._call(move)
        assert on_chain == in_memory, f"{move}: {on_chain} on the chain, {in_memory} in memory"
        return on_chain

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
            assert Outcome.refused(self._refusals.exception(reason)).refusal == in_memory, move
        else:
            assert in_memory is None, move
        return in_memory

    def assert_equal_and_solvent(self) -> None:
        """Assert that all that can be read from the two is the same, down to every account's ether, and that the books balance."""
        on_chain, in_memory = self.facts_on_chain(), self.facts_in_memory()
        differences = {name: (on_chain[name], fact) for name, fact in in_memory.items() if fact != on_chain[name]}
        assert not differences, f"on the chain and in memory: {differences}"
        state = on_chain["state"]
        own_wei = state.escrow_wei + state.bond_wei
        debts_wei = own_wei + state.stakes_wei + state.owed_wei + state.credits_wei + state.disputes_wei
        assert on_chain["balance"] == debts_wei + self.forced_wei

    def facts_in_memory(self) -> Facts:
        """Everything that can be read from the market in memory."""
        market, world = self.scene.market, self.scene.world
        facts: Facts = {"state": market.state(), "members": market.members()}
        facts |= {f"group {i}": market.group_seats(i) for i in range(self._num_groups() + 1)}
        for number in self.numbers:
            account = address_of(number)
            facts[f"record {number}"] = market.owner_record(account)
            facts[f"claimable {number}"] = market.claimable_wei(account)
            facts[f"balance {number}"] = world.balances.get(account, 0)
        for round_number in self._rounds():
            facts[f"paid {round_number}"] = market.paid_seats(round_number)
            facts[f"share {round_number}"] = market.bond_share_wei(round_number)
        facts |= {f"accusation {seat}": market.accusation(seat) for seat in self._seats()}
        facts["cost of an answer"] = self.scene.ledger().answer_cost_wei()
        facts["burned"] = world.balances.get(BURN_ADDRESS, 0)
        facts["commitment"] = or_refusal(lambda: market.commitment_hash(DIGEST))
        facts["context"] = or_refusal(market.settlement_context)
        # The block before the one that the next call will be in.
        last = (world.number - 1, world.timestamp - 1)
        return facts | {"balance": world.balances.get(market.address, 0), "last block": last}

    def facts_on_chain(self) -> Facts:
        """Everything that can be read from the market on the chain, under the same names; one request."""
        calls: dict[str, tuple[str, tuple[object, ...]]] = {"state": ("state", ()), "members": ("members", ())}
        calls |= {f"group {i}": ("groupSeats", (i,)) for i in range(self._num_groups() + 1)}
        for number in self.numbers:
            calls[f"record {number}"] = ("ownerRecord", (address_of(number),))
            calls[f"claimable {number}"] = ("claimableWei", (address_of(number),))
        for round_number in self._rounds():
            calls[f"paid {round_number}"] = ("paidSeats", (round_number,))
            calls[f"share {round_number}"] = ("bondShareWei", (round_number,))
        calls |= {f"accusation {seat}": ("accusation", (seat,)) for seat in self._seats()}
        calls |= {"commitment": ("commitmentHash", (DIGEST,)), "context": ("settlementContext", ())}
        calls["cost of an answer"] = ("answerCostWei", ())
        accounts = {f"balance {number}": address_of(number) for number in self.numbers}
        accounts |= {"balance": self.scene.market.address, "burned": BURN_ADDRESS}
        requests: list[Request] = [("eth_call", [self._read(*call), "latest"]) for call in calls.values()]
        requests += [("eth_getBalance", [account, "latest"]) for account in accounts.values()]
        answers = ask_all(self.devnet.endpoint, [*requests, ("eth_getBlockByNumber", ["latest", False])])
        facts = {name: self._decode(call[0], answer) for (name, call), answer in zip(calls.items(), answers, strict=False)}
        *balances, block = [answer["result"] for answer in answers[len(calls) :]]
        facts |= {name: int(balance, 16) for name, balance in zip(accounts, balances, strict=True)}
        return facts | {"last block": (int(block["number"], 16), int(block["timestamp"], 16))}

    def _num_groups(self) -> int:
        return self.scene.market.storage.members.bit_count() // self.scene.terms.group_size

    def _rounds(self) -> range:
        """The latest rounds; earlier ones do not change any more, and what can be claimed sums over all."""
        last = self.scene.state.round + 1
        return range(max(0, last - 3), last + 1)

    def _seats(self) -> tuple[int, ...]:
        """Seats of the open roster, and one that is not on it."""
        return (*roster_seats(self.scene.market.storage.roster_seats()), 253)

    def _deploy_dictating(self) -> Address | None:
        wallet = dev_wallet(0, self.connection)
        return sender_for(self.connection, wallet).send("deploy", Payload(None, DICTATING), self._refusals).contract

    def _create(self, deployment: Deployment, terms: Terms) -> Address:
        wallet = Wallet(Secret(bytes(make_account(MODEL_OWNER).key)))
        self._request("anvil_setBalance", wallet.address, hex(10**24))
        address = create_market(self.connection, wallet, deployment, terms)
        for number in self.numbers:
            self._request("anvil_setBalance", address_of(number), hex(WEALTH_WEI))
        return address

    def _memory(self, address: Address, terms: Terms, num_owners: int, verification: Verification) -> Scene:
        world = World(chain_id=self.connection.chain_id, number=self.connection.block_number() + 1, timestamp=self.devnet.now())
        world.base_fee_wei, world.blob_base_fee_wei = 0, int(self._request("eth_blobBaseFee"), 16)
        world.balances.update({address_of(number): WEALTH_WEI for number in self.numbers})
        # Other markets on this chain burned before.
        world.balances[BURN_ADDRESS] = self.connection.balance_wei(BURN_ADDRESS)
        market = MemoryMarket(
            address=address,
            chain_id=world.chain_id,
            model_owner=address_of(MODEL_OWNER),
            terms=terms,
            verification=verification,
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
            self.devnet.set_next_timestamp(self.scene.world.timestamp)
        receipt = self._send_blobs(move) if move.blobs else self._request("eth_sendTransactionSync", self._transaction(move))
        if int(receipt["status"], 16) == 1:
            return Outcome(self._logs(mined_of(receipt, 0.0)), None)
        trace = self._request("debug_traceTransaction", receipt["transactionHash"], {"tracer": "callTracer"})
        return Outcome.refused(self._refusals.exception(bytes.fromhex(trace.get("output", "0x")[2:])))

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
            return Outcome.refused(self._refusals.exception(bytes.fromhex(answer["error"]["data"][2:])))
        values = self._abi.results(function, bytes.fromhex(answer["result"][2:]))
        if function == "state":
            stage, *rest = values[0]
            return MarketState(Stage(stage), *rest)
        if function == "members":
            return tuple(Member(*member) for member in zip(*values, strict=True))
        if function == "accusation":
            return Accusation(*values)
        return OwnerRecord(*values[0]) if function == "ownerRecord" else values[0]

    def _request(self, method: str, *params: object) -> Any:
        return self.devnet.endpoint.request(method, *params)
