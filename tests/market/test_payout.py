"""Payouts: exact integers that sum to what leaves escrow and bond."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.market.payout import Payout, settlement_payout, timeout_payout

ROSTER = (0b000_000_111, 0b001_110_000, 0b110_000_000)


def test_settlement_payout_pays_accepted_and_waived_members_only() -> None:
    payout = settlement_payout(ROSTER, accepted=0b001, waived=0b100, reward_wei=10)

    assert payout == Payout(seats=0b110_000_111, reward_wei=10)
    assert (payout.rewards_wei, payout.shares_wei) == (50, 0)
    assert [payout.due_wei(seat) for seat in (0, 4, 7, 8, 9)] == [10, 0, 10, 10, 0]


def test_settlement_payout_nobody_accepted_pays_nothing() -> None:
    assert settlement_payout(ROSTER, accepted=0, waived=0, reward_wei=10).rewards_wei == 0


def test_timeout_payout_rounds_the_share_down_and_leaves_the_rest() -> None:
    payout = timeout_payout(ROSTER, reward_wei=10, bond_wei=85)

    # Eight members, 10 of the bond each, 5 left over.
    assert payout == Payout(seats=0b111_110_111, reward_wei=10, share_wei=10, remainder_wei=5)
    assert payout.due_wei(4) == 20


def test_timeout_payout_bond_smaller_than_the_roster_shares_nothing() -> None:
    assert timeout_payout(ROSTER, reward_wei=10, bond_wei=7) == Payout(0b111_110_111, 10, 0, 7)


rosters = st.lists(st.integers(0, 253), min_size=15, max_size=254, unique=True).map(
    lambda seats: tuple(sum(1 << seat for seat in seats[i : i + 3]) for i in range(0, len(seats) - 2, 3))
)


@given(roster=rosters, reward=st.integers(1, 2**96), bond=st.integers(0, 2**104))
def test_timeout_payout_parts_sum_to_rewards_and_bond(roster: tuple[int, ...], reward: int, bond: int) -> None:
    payout = timeout_payout(roster, reward_wei=reward, bond_wei=bond)

    members = sum(seats.bit_count() for seats in roster)
    assert sum(payout.due_wei(seat) for seat in range(254)) + payout.remainder_wei == members * reward + bond
    assert 0 <= payout.remainder_wei < members


@given(roster=rosters, accepted=st.integers(0, 2**85), waived=st.integers(0, 2**85), reward=st.integers(1, 2**96))
def test_settlement_payout_sums_to_the_members_paid(roster: tuple[int, ...], accepted: int, waived: int, reward: int) -> None:
    positions = (1 << len(roster)) - 1
    accepted, waived = accepted & positions, waived & positions

    payout = settlement_payout(roster, accepted=accepted, waived=waived, reward_wei=reward)

    paid = [seats for i, seats in enumerate(roster) if (accepted | waived) >> i & 1]
    assert payout.rewards_wei == reward * sum(seats.bit_count() for seats in paid)
    assert sum(payout.due_wei(seat) for seat in range(254)) == payout.rewards_wei
