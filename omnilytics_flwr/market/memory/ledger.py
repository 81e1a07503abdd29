"""A market in memory as one account sees it."""

from __future__ import annotations

from ..draw import draw_order
from ..ledger import MarketState, Member, OwnerRecord, Receipt
from ..terms import Address, Terms
from .market import MemoryMarket
from .world import World


class MemoryLedger:
    """The `Ledger` of one account over a `World`; as many as one likes share the world.

    Parameters
    ----------
    world : World
        The chain.
    market : Address
        A market on it.
    account : Address
        Who sends.
    """

    def __init__(self, world: World, market: Address, account: Address) -> None:
        self._world = world
        self._market = market
        self._account = account

    @property
    def account(self) -> Address:
        """The account that sends."""
        return self._account

    @property
    def address(self) -> Address:
        """The market's address."""
        return self._market

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id."""
        return self._world.chain_id

    @property
    def model_owner(self) -> Address:
        """Who pays."""
        return self._contract.model_owner

    def now(self) -> int:
        """Timestamp of the next transaction."""
        return self._world.timestamp

    def terms(self) -> Terms:
        """The market's terms."""
        return self._contract.terms

    def state(self, confirmations: int = 0) -> MarketState:
        """Present state; nothing in memory is ever reorganised, so it is confirmed as often as anybody likes."""
        return self._contract.state()

    def owner_record(self, account: Address) -> OwnerRecord:
        """What the market knows of `account`."""
        return self._contract.owner_record(account)

    def members(self) -> tuple[Member, ...]:
        """Members of the present epoch, by seat."""
        return self._contract.members()

    def group_seats(self, group: int) -> int:
        """Bitmap of the seats of a group of the present epoch; 0 if there is none."""
        return self._contract.group_seats(group)

    def paid_seats(self, round_number: int) -> int:
        """Bitmap of the seats that a finished round pays."""
        return self._contract.paid_seats(round_number)

    def bond_share_wei(self, round_number: int) -> int:
        """What a timed-out round pays on top of the reward."""
        return self._contract.bond_share_wei(round_number)

    def claimable_wei(self, account: Address) -> int:
        """What `account` would get by claiming now."""
        return self._contract.claimable_wei(account)

    def check_points(self, points: bytes) -> bool:
        """The check that the verification applies to a delivery's points."""
        return self._contract.verification.check_points(points, self._contract.terms.polynomials)

    def join(self, mask_key: bytes, admission_data: bytes = b"") -> Receipt:
        """Register if new, with the stake, and enrol for the next epoch."""
        new = not self._contract.owner_record(self._account).registered
        return self._send("join", mask_key, admission_data, value_wei=self._contract.terms.stake_wei if new else 0)

    def leave(self) -> Receipt:
        """Give notice."""
        return self._send("leave")

    def depart(self) -> Receipt:
        """Take the stake back."""
        return self._send("depart")

    def fund(self, amount_wei: int) -> Receipt:
        """Add to the escrow."""
        return self._send("fund", amount_wei, value_wei=amount_wei)

    def freeze(self) -> Receipt:
        """Fix the next epoch's members."""
        return self._send("freeze")

    def draw(self) -> Receipt:
        """Draw the groups with the header of the draw's block, once that block is past."""
        held = self._contract.storage
        self._world.mine(max(0, held.draw_block + 1 - self._world.number))
        header = self._world.header(held.draw_block)
        seed = self._contract.draw_seed(header)
        owners = {member.seat: member.owner for member in self._contract.members()}
        return self._send("draw", header, bytes(draw_order(seed, owners)))

    def anchor(self, task_hash: bytes) -> Receipt:
        """Start a round."""
        return self._send("anchor", task_hash)

    def open(self, round_number: int, groups: int, digests: tuple[bytes, ...], signatures: tuple[bytes, ...]) -> Receipt:
        """Open the round; signatures are 64 bytes each (EIP-2098)."""
        return self._send("open", round_number, groups, digests, b"".join(signatures))

    def settle(self, round_number: int, settlement: bytes, waived: int, next_task_hash: bytes) -> Receipt:
        """Settle the open round."""
        return self._send("settle", round_number, settlement, waived, next_task_hash)

    def timeout(self, round_number: int) -> Receipt:
        """Pay the roster of a round that was not settled in time."""
        return self._send("timeout", round_number)

    def claim(self, owner: Address, through_round: int) -> Receipt:
        """Pay `owner` its finished rounds."""
        return self._send("claim", owner, through_round)

    def close(self) -> Receipt:
        """End the market."""
        return self._send("close")

    def withdraw(self, account: Address) -> Receipt:
        """Pay out a credit."""
        return self._send("withdraw", account)

    @property
    def _contract(self) -> MemoryMarket:
        return self._world.markets[self._market]

    def _send(self, function: str, *arguments: object, value_wei: int = 0) -> Receipt:
        return self._world.send(self._account, self._market, function, arguments, value_wei)
