"""Payouts: exact integers that sum to what leaves escrow and bond."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.payout import Payout, settlement_payout, timeout_payout
from tests.support.builders import make_terms

TERMS = make_terms(reward_wei=10, stake_wei=41)
ROSTER = (0b000_000_111, 0b001_110_000, 0b110_000_000)


def test_settlement_payout_pays_accepted_and_waived_members_only() -> None:
    payout = settlement_payout(ROSTER, TERMS, accepted=0b001, waived=0b100)

    assert payout == Payout(seats=0b110_000_111, reward_wei=10)
    assert (payout.rewards_wei, payout.shares_wei) == (50, 0)
    assert [payout.due_wei(seat) for seat in (0, 4, 7, 8, 9)] == [10, 0, 10, 10, 0]


def test_settlement_payout_nobody_accepted_pays_nothing() -> None:
    assert settlement_payout(ROSTER, TERMS, accepted=0, waived=0).rewards_wei == 0


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


@given(roster=rosters, reward=st.integers(1, 2**96), bond=st.integers(0, 2**104), lapsed_seats=st.integers(0, 2**254))
def test_timeout_payout_pays_the_lapsed_nothing(roster: tuple[int, ...], reward: int, bond: int, lapsed_seats: int) -> None:
    payout = timeout_payout(roster, reward_wei=reward, bond_wei=bond, lapsed_seats=lapsed_seats)

    assert payout.seats == sum(roster) & ~lapsed_seats
    assert payout.shares_wei + payout.remainder_wei == bond
    assert payout.remainder_wei < payout.seats.bit_count() or payout.seats == 0


def test_timeout_payout_all_lapsed_leaves_the_bond() -> None:
    assert timeout_payout(ROSTER, reward_wei=10, bond_wei=85, lapsed_seats=sum(ROSTER)) == Payout(0, 10, 0, 85)


def test_settlement_payout_lost_stakes_pay_the_others_of_a_void_group_and_the_rest_burns() -> None:
    # Group 1 has seats 4, 5, 6; 5 has lapsed. So has seat 0, but its group is accepted.
    payout = settlement_payout(ROSTER, TERMS, accepted=0b001, waived=0b100, void=0b010, lapsed_seats=0b000_100_001)

    assert (payout.seats, payout.compensated, payout.slashed) == (0b111_010_111, 0b001_010_000, 0b000_100_000)
    assert (payout.rewards_wei, payout.compensation_wei, payout.burned_wei) == (50, 20, 21)
    assert [payout.due_wei(seat) for seat in (4, 5, 6)] == [10, 0, 10]


@given(
    roster=rosters,
    choices=st.lists(st.sampled_from(["accepted", "waived", "void", ""]), min_size=85, max_size=85),
    lapsed_seats=st.integers(0, 2**254),
    reward=st.integers(1, 2**96),
)
def test_settlement_payout_moves_all_that_it_takes(roster: tuple[int, ...], choices: list[str], lapsed_seats: int, reward: int) -> None:
    chosen = {
        kind: sum(1 << i for i, seats in enumerate(roster) if choices[i] == kind and (kind != "void" or seats & lapsed_seats))
        for kind in ("accepted", "waived", "void")
    }
    terms = make_terms(reward_wei=reward, stake_wei=4 * reward)

    payout = settlement_payout(roster, terms, lapsed_seats=lapsed_seats, **chosen)

    paid = [seats for i, seats in enumerate(roster) if (chosen["accepted"] | chosen["waived"]) >> i & 1]
    assert payout.rewards_wei == reward * sum(seats.bit_count() for seats in paid)
    assert payout.burned_wei >= 0
    assert payout.slashed.bit_count() * terms.stake_wei == payout.compensation_wei + payout.burned_wei
    assert sum(payout.due_wei(seat) for seat in range(254)) == payout.rewards_wei + payout.compensation_wei
    assert not payout.slashed & payout.seats
