"""The market as plain Python: what each call of the contract must do.

An audit replays a market's calls on it. It is the oracle of the contract's tests, too: `tests/contracts/test_differential.py` compares
the two call by call, so what an audit demands of a contract is what this contract does. Arithmetic that clients need (ranks, selection,
costs) is theirs.

Each call checks in the order that its docstring lists, changes the storage, then moves money. A refusal leaves everything as it was: the
chain sees to that.
"""

from __future__ import annotations

from dataclasses import replace

from ..crypto.address import Address
from ..crypto.hashing import keccak256
from ..crypto.masks import WeakMaskKey, check_mask_key
from ..crypto.projection import COPIES
from ..crypto.statement import Statement, Verdict
from ..market.dispute import BURN_ADDRESS, void_groups
from ..market.draw import HISTORY_BLOCKS, cut_groups, epoch_seed, prevrandao_of, rank
from ..market.krum import select_for
from ..market.market_view import OwnerRecord
from ..market.roster import bitmap_of, bits_of, groups_at, positions_of, roster_hash
from ..market.stage import Event, Stage
from ..market.terms_bounds import MOST_SEATS
from .market_base import Call, refused
from .market_disputes import MarketDisputes
from .storage import NO_HASH, Payout

MOST_BOOKED_WEI = 2**128 - 1
"""Most that escrow, bond, unclaimed pay and credits may come to together."""


class MemoryMarket(MarketDisputes):
    """One market, with the calls of the contract: each takes the `Call` and the contract's arguments."""

    # --------------------------------------------------------------------------------------------------------------- data owners

    def join(self, call: Call, terms_hash: bytes, mask_key: bytes, examples: int, admission_data: bytes) -> None:
        """Register the sender if it is new, take its stake unless it is here, and enrol it for the next epoch.

        Checks: stage; the sender means these terms; the key is usable; the sender is not leaving; the gate admits it; a new one finds a
        seat; the payment is due.
        """
        held, owner = self._at(Event.JOIN), call.sender
        if terms_hash != self.terms.digest():
            raise refused("WrongTerms", terms_hash, self.terms.digest())
        try:
            check_mask_key(mask_key)
        except WeakMaskKey as error:
            raise refused("BadMaskKey", mask_key) from error
        record = held.record(owner)
        if record.leave_at:
            raise refused("Leaving", owner, record.leave_at)
        if self.gate is not None and not self.gate(owner, held.epoch + 1, admission_data):
            raise refused("NotAdmitted", owner)

        if not record.registered:
            taken = held.staked | held.slashed
            # A seat that was given up still names its last owner while that is a member of the epoch.
            seat = next(seat for seat in range(MOST_SEATS + 1) if not (taken | held.members) >> seat & 1)
            if taken.bit_count() >= self.terms.most_owners or seat == MOST_SEATS:
                raise refused("Full", self.terms.most_owners)
            # What came before is not the newcomer's, whoever had the seat.
            record = OwnerRecord(registered=True, seat=seat, leave_at=0, claimed_through=held.round)
            held.records[owner] = record
            held.seat_owners[seat] = owner
        bit = 1 << record.seat
        due_wei = 0 if held.staked & bit else self.terms.stake_wei
        held.staked |= bit
        held.enrolled |= bit
        held.slashed &= ~bit
        held.next_mask_keys[record.seat] = mask_key
        held.next_examples[record.seat] = examples
        call.log("Joined", owner=owner, seat=record.seat, epoch=held.epoch + 1, maskKey=mask_key, examples=examples)
        self._collect(call, due_wei)

    def leave(self, call: Call) -> None:
        """Take the sender out of the next epoch and let it depart after the delay.

        Checks: the sender is registered; it has not left before.
        """
        held, owner = self.storage, call.sender
        record = held.record(owner)
        if not record.registered:
            raise refused("NotRegistered", owner)
        if record.leave_at:
            raise refused("Leaving", owner, record.leave_at)

        leave_at = call.timestamp + self.terms.leave_seconds
        held.records[owner] = replace(record, leave_at=leave_at)
        held.enrolled &= ~(1 << record.seat)
        call.log("Left", owner=owner, leaveAt=leave_at)

    def depart(self, call: Call, owner: Address) -> None:
        """Pay `owner` its stake, unless that is lost, and what finished rounds owe it, and forget it.

        Checks: the owner is registered; it has left and waited, or its stake is lost; it is not on the open roster; it can be paid.
        """
        held = self.storage
        record, bit = held.record(owner), 1 << held.record(owner).seat
        if not record.registered:
            raise refused("NotRegistered", owner)
        staked = held.staked & bit
        if staked and not record.leave_at:
            raise refused("NotLeaving", owner)
        if staked and call.timestamp < record.leave_at:
            raise refused("TooEarly", call.timestamp, record.leave_at)
        if sum(held.roster_seats()) & bit:
            raise refused("OnRoster", owner)

        owed_wei = self.claimable_wei(owner)
        amount_wei = owed_wei + (self.terms.stake_wei if staked else 0)
        held.owed_wei -= owed_wei
        held.staked &= ~bit
        held.slashed &= ~bit
        del held.records[owner]
        call.log("Departed", owner=owner, seat=record.seat, amountWei=amount_wei)
        self._pay(call, owner, amount_wei)

    def claim(self, call: Call, owner: Address, through_round: int) -> None:
        """Pay `owner` what the finished rounds after its cursor, up to `through_round`, owe it.

        Checks: the owner is registered; there is such a round; it can be paid.
        """
        held = self.storage
        record = held.record(owner)
        if not record.registered:
            raise refused("NotRegistered", owner)
        through = min(through_round, held.finished)
        if through <= record.claimed_through:
            raise refused("NothingToClaim", through_round, record.claimed_through)

        amount_wei = self._due_wei(owner, through)
        held.records[owner] = replace(record, claimed_through=through)
        held.owed_wei -= amount_wei
        call.log("Claimed", owner=owner, throughRound=through, amountWei=amount_wei)
        self._pay(call, owner, amount_wei)

    # -------------------------------------------------------------------------------------------------------------------- epochs

    def freeze(self, call: Call) -> None:
        """Fix the enrolled data owners as the next epoch, and the block that will seed its draw.

        Checks: stage; the sender is the model owner; the enrolled make enough groups; none is left over.
        """
        held, terms = self._at(Event.FREEZE), self.terms
        self._only_model_owner(call)
        owners, size = held.enrolled.bit_count(), terms.group_size
        if owners // size < terms.least_groups:
            raise refused("TooFewOwners", owners, size * terms.least_groups)
        if owners % size > owners // size:
            raise refused("UnevenGroups", owners, size)

        held.stage, held.epoch, held.opened_in_epoch = Stage.FROZEN, held.epoch + 1, 0
        held.task_hash, held.groups = NO_HASH, ()
        held.members, held.enrolled = held.enrolled, 0
        held.mask_keys = {seat: held.next_mask_keys[seat] for seat in bits_of(held.members)}
        held.examples = {seat: held.next_examples[seat] for seat in bits_of(held.members)}
        held.next_mask_keys, held.next_examples = {}, {}
        held.draw_block = call.block.number + terms.draw_delay_blocks
        call.log("Frozen", epoch=held.epoch, members=held.members, drawBlock=held.draw_block)

    def draw(self, call: Call, header: bytes, order: bytes) -> None:
        """Sort the epoch's members into groups by the randomness of the block that the freeze named.

        Checks: stage; that block is past, and in history; the header is its; the order is as long as there are members; place by place, it
        names a member, of a higher rank than the one before: so nobody twice, hence everybody.
        """
        held, number = self._at(Event.DRAW), call.block.number
        if number <= held.draw_block:
            raise refused("DrawTooEarly", number, held.draw_block)
        if number > held.draw_block + HISTORY_BLOCKS:
            raise refused("DrawLapsed", number, held.draw_block)
        expected = call.block.block_hash(held.draw_block)
        if keccak256(header) != expected:
            raise refused("WrongHeader", keccak256(header), expected)
        seed = epoch_seed(prevrandao_of(header), held.epoch, self.address)
        size = held.members.bit_count()
        if len(order) != size:
            raise refused("WrongLength", len(order), size)
        last = bytes(32)
        for place, seat in enumerate(order):
            if not held.members >> seat & 1 or rank(seed, held.seat_owners[seat]) <= last:
                raise refused("WrongOrder", place)
            last = rank(seed, held.seat_owners[seat])

        held.stage, held.epoch_seed = Stage.IDLE, seed
        held.groups = tuple(bitmap_of(group) for group in cut_groups(order, self.terms.group_size))
        call.log("Drawn", epoch=held.epoch, epochSeed=seed, order=order)

    # -------------------------------------------------------------------------------------------------------------------- rounds

    def anchor(self, call: Call, task_hash: bytes) -> None:
        """Start the next round.

        Checks: stage; the sender is the model owner; there is a task.
        """
        self._at(Event.ANCHOR)
        self._only_model_owner(call)
        if task_hash == NO_HASH:
            raise refused("NoTask")

        self._anchor(call, task_hash)

    def open(self, call: Call, round_number: int, groups: int, opened_with: bytes) -> None:
        """Open the live round with whole groups, and the hash of these and of their digests; from here it settles or everybody is paid.

        Checks: stage; the sender is the model owner; the round is the live one; it is not too late; there is a group; the epoch has rounds
        left; the groups exist; their members are all staked; the escrow covers all rewards and what the bond lacks.
        """
        held, terms = self._at(Event.OPEN), self.terms
        self._only_model_owner(call)
        self._only_round(round_number)
        if call.timestamp > held.open_by:
            raise refused("TooLate", call.timestamp, held.open_by)
        if groups == 0:
            raise refused("NoGroups")
        if held.opened_in_epoch >= terms.rounds_per_epoch:
            raise refused("EpochOver", terms.rounds_per_epoch)
        lacking_wei = terms.bond_wei - held.bond_wei
        needed_wei = self._checked_seats(groups).bit_count() * terms.reward_wei + lacking_wei
        if held.escrow_wei < needed_wei:
            raise refused("Underfunded", held.escrow_wei, needed_wei)

        held.escrow_wei -= lacking_wei
        held.bond_wei += lacking_wei
        held.stage, held.roster, held.opened_in_epoch = Stage.OPEN, groups, held.opened_in_epoch + 1
        held.roster_hash = opened_with
        held.settle_by = call.timestamp + terms.round_seconds
        facts = {"rosterHash": opened_with, "settleBy": held.settle_by}
        call.log("Opened", epoch=held.epoch, round=round_number, groups=groups, **facts)

    def _checked_seats(self, groups: int) -> int:
        """Bitmap of the seats of a roster."""
        held = self.storage
        known = (1 << len(held.groups)) - 1
        if groups & ~known:
            raise refused("UnknownGroup", groups, known)
        seats = sum(held.groups[group] for group in bits_of(groups))
        if seats & ~held.staked:
            raise refused("NotStaked", seats & ~held.staked)
        return seats

    def settle(self, call: Call, round_number: int, settlement: bytes, signatures: bytes, waived: int, next_task_hash: bytes) -> None:
        """Settle the open round: verify, select, owe the rewards, void groups with a lapsed member, anchor the next task if there is one.

        Checks: stage; the sender is the model owner; the round is the live one; it is not too late; no accused may still answer; the
        waived groups are on the roster; the verification accepts the settlement; it has a distance for each pair; the digests are the
        roster's; the members taking part have signed; at most f' groups go unpaid; the books can hold the lost stakes.
        """
        held, terms = self._at(Event.SETTLE), self.terms
        self._only_model_owner(call)
        self._only_round(round_number)
        groups, roster = held.roster, held.roster_seats()
        if call.timestamp > held.settle_by:
            raise refused("TooLate", call.timestamp, held.settle_by)
        pending = held.accused & ~self.answered
        if pending and call.timestamp <= held.answer_by:
            raise refused("Unresolved", pending, held.answer_by)
        if waived & ~groups:
            raise refused("UnknownGroup", waived, groups)
        lapsed_seats, waived_places = self._lapsed(call), positions_of(waived, groups)
        void = void_groups(roster, lapsed_seats) & ~waived_places
        statement = self.statement(waived_places | void)
        verdict = self.verification.verify(statement, settlement)
        self._only_signed_verdict(statement, verdict, signatures)
        accepted = self._accepted(statement, verdict)

        rewarded = sum(roster[place] for place in bits_of(accepted | waived_places))
        in_void = sum(roster[place] for place in bits_of(void))
        slashed, compensated = in_void & lapsed_seats, in_void & ~lapsed_seats
        rewards_wei = rewarded.bit_count() * terms.reward_wei
        held.escrow_wei -= rewards_wei
        held.owed_wei += rewards_wei
        if void:
            self._slash(call, slashed, compensated, groups_at(void, groups))
        self._resolve()
        held.payouts[round_number] = Payout(rewarded | compensated)
        call.log(
            "Settled",
            epoch=held.epoch,
            round=round_number,
            accepted=groups_at(accepted, groups),
            waived=waived,
            paidSeats=rewarded | compensated,
        )
        self._end_round()
        if next_task_hash != NO_HASH:
            self._anchor(call, next_task_hash)

    def _only_signed_verdict(self, statement: Statement, verdict: Verdict, signatures: bytes) -> None:
        """Refuse unless the digests are the roster's, and the members taking part have signed them; under projection their deliveries."""
        held, projected, groups = self.storage, self.terms.projected, len(statement.taking_part())
        if len(verdict.distances) != groups * (groups + 1) // 2:
            raise refused("WrongLength", len(verdict.distances), groups * (groups + 1) // 2)
        actual = roster_hash(held.roster, verdict.digests)
        if not projected and actual != held.roster_hash:
            raise refused("WrongDigests", actual, held.roster_hash)
        seats = sum(held.roster_seats()[position] for position in statement.taking_part())
        signing_hash = self.delivery_hash if projected else self.commitment_hash
        self._only_signed(seats, [signing_hash(digest) for digest in verdict.digests], signatures)

    def _accepted(self, statement: Statement, verdict: Verdict) -> int:
        """Roster positions of the groups that multi-Krum accepts among those that take part, but for f' at most."""
        taking_part = statement.taking_part()
        sizes = [statement.sizes[position] for position in taking_part]
        selection = select_for(self.terms, verdict.distances, sizes, copies=COPIES if self.terms.projected else 1)
        return bitmap_of(taking_part[group] for group in selection.accepted)

    def _slash(self, call: Call, slashed: int, compensated: int, groups: int) -> None:
        """Take stakes: they pay the others of their groups, and what is left is burned. Refused if the books cannot hold them."""
        held, lost_wei = self.storage, slashed.bit_count() * self.terms.stake_wei
        self._check_room(lost_wei)
        rewards_wei = compensated.bit_count() * self.terms.reward_wei
        held.staked &= ~slashed
        held.enrolled &= ~slashed
        held.slashed |= slashed
        held.owed_wei += rewards_wei
        held.credit(BURN_ADDRESS, lost_wei - rewards_wei)
        facts = {"groups": groups, "slashedSeats": slashed, "burnedWei": lost_wei - rewards_wei}
        call.log("Voided", epoch=held.epoch, round=held.round, **facts)

    def timeout(self, call: Call, round_number: int) -> None:
        """Owe everybody on the roster of a round that was not settled in time, but the lapsed, the reward and a share of the bond.

        The share is rounded down; the rest is the escrow's, and so is the bond if all have lapsed.
        Checks: stage; the round is the live one; it is past its deadline.
        """
        held = self._at(Event.TIMEOUT)
        self._only_round(round_number)
        if call.timestamp <= held.settle_by:
            raise refused("TooEarly", call.timestamp, held.settle_by + 1)

        lapsed_seats = self._lapsed(call)
        paid = sum(held.roster_seats()) & ~lapsed_seats
        size = paid.bit_count()
        share_wei = held.bond_wei // size if size else 0
        rewards_wei = size * self.terms.reward_wei
        held.payouts[round_number] = Payout(paid, share_wei)
        held.escrow_wei += held.bond_wei - size * share_wei - rewards_wei
        held.owed_wei += rewards_wei + size * share_wei
        held.bond_wei = 0
        self._resolve()
        self._end_round()
        call.log("TimedOut", epoch=held.epoch, round=round_number, paidSeats=paid, bondShareWei=share_wei)

    def _anchor(self, call: Call, task_hash: bytes) -> None:
        held = self.storage
        held.stage, held.round, held.task_hash = Stage.ANCHORED, held.round + 1, task_hash
        held.open_by = call.timestamp + self.terms.commit_seconds
        call.log("Anchored", epoch=held.epoch, round=held.round, taskHash=task_hash, openBy=held.open_by)

    def _end_round(self) -> None:
        self.storage.stage, self.storage.task_hash, self.storage.roster = Stage.IDLE, NO_HASH, 0

    # --------------------------------------------------------------------------------------------------------------------- money

    def fund(self, call: Call, amount_wei: int) -> None:
        """Add to the escrow, whoever pays.

        Checks: stage; the books can hold it; the payment is the amount.
        """
        self._at(Event.FUND)
        self._check_room(amount_wei)

        self.storage.escrow_wei += amount_wei
        call.log("Funded", **{"from": call.sender, "amountWei": amount_wei})
        self._collect(call, amount_wei)

    def close(self, call: Call) -> None:
        """End the market: escrow and bond are credited to the model owner.

        Checks: stage; if the epoch is frozen, its draw has lapsed, otherwise the sender is the model owner.
        """
        held = self._at(Event.CLOSE)
        if held.stage is Stage.FROZEN:
            lapsed_from = held.draw_block + HISTORY_BLOCKS + 1
            if call.block.number < lapsed_from:
                raise refused("TooEarly", call.block.number, lapsed_from)
        else:
            self._only_model_owner(call)

        credit_wei = held.escrow_wei + held.bond_wei
        held.stage, held.task_hash, held.escrow_wei, held.bond_wei = Stage.CLOSED, NO_HASH, 0, 0
        held.credit(self.model_owner, credit_wei)
        call.log("Closed", creditWei=credit_wei)

    def withdraw(self, call: Call, account: Address) -> None:
        """Pay what is credited to `account` and what disputes have freed for it, whoever calls.

        Checks: there is something; it can be paid.
        """
        held = self.storage
        credit_wei, refund_wei = held.credits.pop(account, 0), held.refunds.pop(account, 0)
        if credit_wei == 0 and refund_wei == 0:
            raise refused("NoCredit", account)

        call.log("Withdrawn", account=account, amountWei=credit_wei, refundWei=refund_wei)
        self._pay(call, account, credit_wei, refund_wei)

    def _check_room(self, amount_wei: int) -> None:
        """Refuse what the books cannot hold on top of what they do."""
        held = self.storage
        room_wei = MOST_BOOKED_WEI - (held.escrow_wei + held.owed_wei + held.bond_wei + sum(held.credits.values()))
        if amount_wei > room_wei:
            raise refused("WrongPayment", amount_wei, room_wei)

    def _collect(self, call: Call, amount_wei: int) -> None:
        """Refuse the call unless exactly `amount_wei` comes with it, as ether or from an allowance of tokens."""
        ether_wei = 0 if self.in_token else amount_wei
        if call.value_wei != ether_wei:
            raise refused("WrongPayment", call.value_wei, ether_wei)
        if self.in_token and amount_wei:
            call.block.transfer_token(self.terms.token, call.sender, self.address, amount_wei)

    def _pay(self, call: Call, to: Address, amount_wei: int, ether_wei: int = 0) -> None:
        """Pay out, and ether on top whatever the token is."""
        if self.in_token and amount_wei:
            call.block.transfer_token(self.terms.token, self.address, to, amount_wei)
        if paid_wei := ether_wei if self.in_token else amount_wei + ether_wei:
            call.block.transfer(self.address, to, paid_wei)
