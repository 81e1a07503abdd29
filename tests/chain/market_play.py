"""A small market on a local chain, played by fifteen data owners: its rounds, its disputes, and draws whose outcome is fixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import rlp

from contracts import compile as compile_
from omnilytics_flwr.chain.deploy import Deployment, create_market
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.fixedpoint import pack
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.kzg import BLOB_BYTES, commit
from omnilytics_flwr.crypto.masks import MaskKey
from omnilytics_flwr.crypto.prover import prove
from omnilytics_flwr.crypto.statement import Statement
from omnilytics_flwr.evm.abi import Abi
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import HISTORY_CONTRACT, Connection
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_key, dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.dispute import BLOBS_PER_TRANSACTION
from omnilytics_flwr.market.draw import PREVRANDAO_FIELD
from omnilytics_flwr.market.ledger import Receipt
from omnilytics_flwr.market.messages import sign_commitment
from omnilytics_flwr.market.roster import bitmap_of, bits_of, roster_hash
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Address, Terms

OWNERS = 15
GROUPS = 5
ALL_GROUPS = (1 << GROUPS) - 1
REWARD_WEI = 10**15
TASK = b"\x07" * 32
NEXT_TASK = b"\x08" * 32
NO_TASK = bytes(32)

POLYNOMIALS = 7
WEIGHTS = POLYNOMIALS * 8192
FUNDS_WEI = 10**18

HISTORY_SLOTS = 8191
OPCODE_BLOCKS = 256
"""So far back ``BLOCKHASH`` answers by itself; before that, contracts ask the history contract."""


def small_terms(deployment: Deployment, **changes: object) -> Terms:
    """Terms for fifteen to eighteen data owners and a hundred weights, one faulty group."""
    values: dict[str, object] = {
        "verification": deployment.verification,
        "reward_wei": REWARD_WEI,
        "stake_wei": 4 * REWARD_WEI,
        "bond_wei": 15 * 10**14 + 7,
        "most_owners": 18,
        "group_size": 3,
        "faulty_groups": 1,
        "weights": 100,
        "update_bits": 16,
        "clip_nano": 10**9,
        "norm_bound": 2**40,
        "outlier_percent": 0,
        "rounds_per_epoch": 2,
        "draw_delay_blocks": 4,
        "metrics": ("accuracy", "loss"),
    }
    return Terms(**(values | changes))  # type: ignore[arg-type]


def create_small_market(connection: Connection, deployment: Deployment, **changes: object) -> EthereumLedger:
    """A market of account 0."""
    sender = sender_for(connection, Wallet(Secret(dev_key(0))))
    return EthereumLedger(sender, create_market(sender, deployment, small_terms(deployment, **changes)))


TOKEN_SUPPLY = 10**20


@cache
def compiled_tokens() -> Any:
    """The tokens of the contracts' own tests."""
    return compile_.compile_contracts([compile_.HERE / "test" / "harness" / "Tokens.sol"])


def deploy_token(connection: Connection, name: str = "PlainToken") -> Address:
    """A new token, of which accounts 0 and 1 have `TOKEN_SUPPLY`."""
    send, token = sender_for(connection, dev_wallet(0, connection)).send, compiled_tokens()[name]
    address = send("deploy", Payload(None, bytes.fromhex(token["bytecode"].removeprefix("0x")))).contract
    assert address is not None
    for number in (0, 1):
        mint = Abi(token["abi"]).call_data("mint", dev_wallet(number, connection).address, TOKEN_SUPPLY)
        send("mint", Payload(address, mint))
    return address


@dataclass(frozen=True)
class Play:
    """A market as its model owner, account 0, and its data owners, accounts 1 to 15 with these wallets, see it."""

    owner: EthereumLedger
    data: tuple[EthereumLedger, ...]
    wallets: tuple[Wallet, ...]

    @classmethod
    def of(cls, owner: EthereumLedger) -> Play:
        wallets = tuple(Wallet(Secret(dev_key(1 + i))) for i in range(OWNERS))
        return cls(owner, tuple(EthereumLedger(sender_for(owner.connection, wallet), owner.address) for wallet in wallets), wallets)

    def join_all(self) -> None:
        """Every data owner joins, with a mask key that follows from its number."""
        for number, ledger in enumerate(self.data):
            ledger.join(mask_key(number), examples=0 if number else 1200)

    def draw(self) -> None:
        """From enrolment to the drawn groups."""
        self.owner.freeze()
        self.owner.draw()

    def seats(self) -> list[int]:
        """Seats of everybody in the order of a roster of all groups."""
        return [seat for group in range(GROUPS) for seat in bits_of(self.owner.group_seats(group))]

    def open(self, vectors: dict[int, FieldVector]) -> dict[int, bytes]:
        """Open the anchored round with all groups and these vectors, by seat; the points of each."""
        points = {seat: commit(vector) for seat, vector in vectors.items()}
        self.open_digests({seat: points_digest(points[seat]) for seat in points})
        return points

    def open_digests(self, digests: dict[int, bytes]) -> tuple[bytes, ...]:
        """Open the anchored round with all groups and these digests, by seat; the digests as they are in the roster."""
        roster = tuple(digests[seat] for seat in self.seats())
        self.owner.open(self.owner.state().round, ALL_GROUPS, roster_hash(ALL_GROUPS, roster))
        return roster

    def task(self) -> TaskId:
        """The live round's task."""
        state = self.owner.state()
        return TaskId(self.owner.chain_id, self.owner.address, state.epoch, state.round, state.task_hash)

    def signatures(self, digests: dict[int, bytes]) -> tuple[bytes, ...]:
        """Signatures of these seats' commitments in the live round, in the order of the roster."""
        wallet_of = {wallet.address: wallet for wallet in self.wallets}
        signers = {member.seat: wallet_of[member.owner] for member in self.owner.members()}
        task, open_by = self.task(), self.owner.state().open_by
        return tuple(sign_commitment(signers[seat], task, digests[seat], open_by) for seat in self.seats() if seat in digests)

    def accuse(self, seat: int, digests: tuple[bytes, ...], **changes: int) -> Receipt:
        """Accuse a member of the open round, of which these are the digests."""
        return self.owner.accuse(
            self.owner.state().round, 1 << seat, digests, self.signatures({seat: digests[self.seats().index(seat)]}), **changes
        )

    def settle(self, vectors: dict[int, FieldVector], points: dict[int, bytes], *, outside: int = 0, next_task: bytes = NO_TASK) -> Receipt:
        """Settle the open round; `outside` is a bitmap of void groups."""
        inside = {seat for i in range(GROUPS) if not outside >> i & 1 for seat in bits_of(self.owner.group_seats(i))}
        signatures = self.signatures({seat: points_digest(points[seat]) for seat in inside})
        settlement = self.settlement(vectors, points, outside=outside)
        return self.owner.settle(self.owner.state().round, settlement, signatures, 0, next_task)

    def settlement(self, vectors: dict[int, FieldVector], points: dict[int, bytes], *, outside: int = 0) -> bytes:
        """The settlement of the open round; `outside` is a bitmap of groups that take no part."""
        state, terms = self.owner.state(), self.owner.terms()
        groups = [bits_of(self.owner.group_seats(group)) for group in range(GROUPS)]
        statement = Statement(
            context=self.task().settlement_context(state.epoch_seed),
            roster_hash=state.roster_hash,
            sizes=tuple(map(len, groups)),
            outside=outside,
            polynomials=terms.polynomials_proven,
        )
        sums = [None if statement.is_outside(i) else total([vectors[seat] for seat in group]) for i, group in enumerate(groups)]
        shown = {seat: points_digest(points[seat]) if statement.is_outside(i) else points[seat] for i, g in enumerate(groups) for seat in g}
        return prove(statement, sums, [[shown[seat] for seat in group] for group in groups]).settlement


def open_round(play: Play) -> tuple[bytes, ...]:
    """Fund, anchor and open the next round with everybody, without any vectors behind its digests."""
    play.owner.fund(FUNDS_WEI)
    play.owner.anchor(TASK)
    return play.open_digests({seat: bytes([seat + 1]) * 32 for seat in play.seats()})


def total(vectors: list[FieldVector]) -> FieldVector:
    """Sum of vectors."""
    columns = zip(*(vector.to_ints() for vector in vectors), strict=True)
    return FieldVector.from_ints([sum(column) for column in columns])


def updates(seats: list[int], *, odd_seats: int) -> dict[int, FieldVector]:
    """Vectors of quantised updates, by seat; those of the bitmap `odd_seats` lie far from the others."""
    random = np.random.default_rng(5)
    vectors = {}
    for seat in seats:
        units = np.zeros(8192, dtype=np.int64)
        units[:100] = random.integers(0, 100, 100) + (4000 if odd_seats >> seat & 1 else 0)
        vectors[seat] = pack(units)
    return vectors


def mask_key(number: int) -> bytes:
    """Public mask key of a data owner."""
    return MaskKey.from_private(bytes([number + 1]) * 32).public


def all_seats() -> int:
    """Bitmap of the seats of fifteen data owners that joined an empty market."""
    return bitmap_of(range(OWNERS))


@dataclass(frozen=True)
class Dispute:
    """An open round with the digests of its roster, and the member that it is about, with its vector as it travels."""

    play: Play
    seat: int
    vector: bytes
    points: bytes
    digests: tuple[bytes, ...]

    @property
    def owner(self) -> EthereumLedger:
        """The model owner's view."""
        return self.play.owner

    def accuse(self) -> Receipt:
        """Accuse the member."""
        return self.play.accuse(self.seat, self.digests)

    def blobs(self, first: int) -> tuple[bytes, ...]:
        """Blobs of the answer that begins at a polynomial."""
        last = min(first + BLOBS_PER_TRANSACTION, POLYNOMIALS)
        return tuple(self.vector[at * BLOB_BYTES : (at + 1) * BLOB_BYTES] for at in range(first, last))


def open_dispute(play: Play, *, seat: int) -> Dispute:
    """Play a new market until its first round is open; only the digest of `seat` belongs to a vector."""
    play.join_all()
    play.draw()
    play.owner.fund(FUNDS_WEI)
    play.owner.anchor(TASK)
    vector = wide_vector()
    points = commit(vector)
    digests = {other: bytes([other + 1]) * 32 for other in play.seats()} | {seat: points_digest(points)}
    return Dispute(play, seat, vector.to_bytes(), points, play.open_digests(digests))


def wide_vector() -> FieldVector:
    """A vector of seven polynomials with elements all over the place."""
    return pack(np.random.default_rng(8).integers(-(1 << 15) + 1, 1 << 15, WEIGHTS))


def plain_header(number: int, prevrandao: bytes, later: Sequence[int] = ()) -> bytes:
    """RLP of a header that follows from its arguments alone: all fields of Osaka, each as long as on a real chain, and `later` lengths."""

    def noise(place: int, length: int) -> bytes:
        return (keccak256(word(place) + word(number)) * (length // 32 + 1))[:length]

    lengths = [32, 32, 20, 32, 32, 32, 256, 0, 3, 4, 4, 4, 8, 32, 8, 4, 32, 3, 4, 32, 32, *later]
    fields = [noise(place, length) for place, length in enumerate(lengths)]
    fields[PREVRANDAO_FIELD] = prevrandao
    return bytes(rlp.encode(fields))


def fix_draw(anvil: Anvil, draw_block: int, prevrandao: bytes, later: Sequence[int] = ()) -> bytes:
    """Make the chain believe that a block, which may lie in the future, had `prevrandao`; its header, for `EthereumLedger.draw_with`.

    Contracts that look the block up by EIP-2935 from now on find the hash of that header. Blocks are mined until the opcode, which would
    tell the truth, no longer knows the block.
    """
    number = int(anvil.endpoint.request("eth_blockNumber"), 16)
    anvil.mine(max(0, draw_block + OPCODE_BLOCKS + 1 - number))
    header = plain_header(draw_block, prevrandao, later)
    slot = "0x" + word(draw_block % HISTORY_SLOTS).hex()
    anvil.endpoint.request("anvil_setStorageAt", HISTORY_CONTRACT, slot, "0x" + keccak256(header).hex())
    return header
