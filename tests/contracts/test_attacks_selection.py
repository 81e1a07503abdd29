"""Who is left unpaid: never more than f groups, never an honest one by exclusion, and by the right measure whatever the group's size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from omnilytics_flwr.crypto.domain import roots
from omnilytics_flwr.crypto.kzg import prove_opening
from omnilytics_flwr.crypto.settlement import Exclusion, Settlement, roster_hash_of
from omnilytics_flwr.market.refusals import TooManyUnpaid, VerificationBadPoint, VerificationWrongExclusion, VerificationWrongRoster
from omnilytics_flwr.market.stage import Stage
from tests.support import bad_inputs

from .real_market import (
    MOST_UNIT,
    ZERO_UNIT,
    OpenRound,
    Part,
    RealMarket,
    far,
    first_members,
    honest,
    isotropic,
    level,
    near,
    step,
    total,
    whole_groups,
    wild,
)

SIZES = (4, 3, 3, 3, 3)
AT_BOUND = 100
"""Units at each of 100 weights whose squared norm is the bound of the terms, 10^6."""
ARGUMENT_BYTES = 32 * 10 + 256 + 32 * 6 + 96
"""Of a settlement with four groups taking part."""


def accepted_groups(market: RealMarket, round_: OpenRound) -> tuple[int, ...]:
    """Groups that the honest settlement accepts; all their members are paid, and nobody else is."""
    accepted = market.accepted(market.settle(round_))
    assert market.paid_groups(round_.number) == sum(1 << group for group in accepted)
    assert market.owner.paid_seats(round_.number).bit_count() == sum(SIZES[group] for group in accepted)
    return accepted


# ---------------------------------------------------------------------------------------------------------------- norm bound


def test_settle_group_means_at_the_norm_bound_are_eligible_whatever_their_size(drawn: RealMarket) -> None:
    """The group at position 4 is farthest from the rest, and is dropped if nobody is over the bound."""
    round_ = drawn.open(whole_groups({4: level(0)}, lambda group, place: level(AT_BOUND)))

    assert accepted_groups(drawn, round_) == (0, 1, 2, 3)


@pytest.mark.parametrize("position", [0, 1], ids=["of four", "of three"])
@pytest.mark.parametrize("sign", [1, -1])
def test_settle_group_mean_over_the_norm_bound_by_one_unit_of_one_member_is_not_eligible(
    drawn: RealMarket, position: int, sign: int
) -> None:
    level_of_all = level(sign * AT_BOUND)

    def update(group: int, place: int) -> Part:
        if group == 4:
            return level(0)
        return level_of_all + step(sign) if (group, place) == (position, 0) else level_of_all

    assert accepted_groups(drawn, drawn.open(update)) == tuple(group for group in range(5) if group != position)


# ------------------------------------------------------------------------------------------------------- at most f groups unpaid


UNPAID: dict[str, dict[int, Part]] = {
    "two out of range": {1: wild(), 3: wild(1)},
    "one out of range and one too long": {1: wild(), 2: far()},
    "two too long": {1: far(), 2: far()},
}


@pytest.mark.parametrize("spoilt", UNPAID.values(), ids=UNPAID.keys())
def test_settle_with_more_than_f_groups_unpaid_is_refused_unless_they_are_waived(drawn: RealMarket, spoilt: dict[int, Part]) -> None:
    round_ = drawn.open(whole_groups(spoilt))

    with pytest.raises(TooManyUnpaid) as refusal:
        drawn.settle(round_)

    assert refusal.value.args == (len(spoilt), 1)
    assert drawn.owner.state().stage is Stage.OPEN
    first, *others = spoilt
    waived = sum(1 << group for group in others)
    drawn.settle(round_, waived=waived)
    assert drawn.paid_groups(round_.number) == 0b11111 & ~(1 << first)


def test_settle_drops_no_more_than_f_groups_however_far_they_are(drawn: RealMarket) -> None:
    round_ = drawn.open(first_members({0: far(), 1: far(), 2: far()}))

    assert len(accepted_groups(drawn, round_)) == 4


# -------------------------------------------------------------------------------------------------------------------- exclusion


def group_of(units: tuple[int, int, int, int]) -> Callable[[int, int], Part]:
    """Honest updates, but that the first weight of the group of four is as given, member by member."""
    return lambda group, place: level(0) + step(units[place] - ZERO_UNIT) if group == 0 else honest(group, place)


@pytest.mark.parametrize("units", [(MOST_UNIT,) * 3 + (MOST_UNIT + 1,), (1, 1, 1, 0)], ids=["one above the most", "one below the least"])
def test_settle_group_sum_out_of_range_by_one_is_excluded(drawn: RealMarket, units: tuple[int, int, int, int]) -> None:
    round_ = drawn.open(group_of(units))

    logs = drawn.settle(round_).logs["Settled"]

    assert (logs["accepted"], logs["excluded"]) == (0b11110, 0b00001)


@pytest.mark.parametrize("units", [(MOST_UNIT,) * 4, (1, 1, 1, 1)], ids=["the most", "the least"])
def test_settle_exclusion_of_a_group_whose_sum_is_just_in_range_is_refused(drawn: RealMarket, units: tuple[int, int, int, int]) -> None:
    """Both sums would be out of range for three members."""
    round_ = drawn.open(group_of(units))
    vector = total(round_.deliveries[0])
    value = vector.to_ints()[0]
    exclusion = Exclusion(0, 0, 0, value, prove_opening(vector, roots()[0], value))
    forged = Settlement(round_.rows(), (exclusion,), None).to_bytes() + bytes(ARGUMENT_BYTES)
    assert value % (1 << 84) == sum(units)

    with pytest.raises(VerificationWrongExclusion) as refusal:
        drawn.settle(round_, forged)

    assert refusal.value.args == (0,)
    assert accepted_groups(drawn, round_)


def test_settle_isotropic_group_is_excluded_by_its_index(drawn: RealMarket) -> None:
    round_ = drawn.open(first_members({2: isotropic()}))

    logs = drawn.settle(round_).logs["Settled"]

    assert (logs["accepted"], logs["excluded"]) == (0b11011, 0b00100)


# ------------------------------------------------------------------------------------------------------- commitments to nonsense


def open_with_bad_point(market: RealMarket, point: bytes) -> OpenRound:
    """A round in which the second member of the group at position 1 committed to this point."""

    bad = replace(near(), sent=point)
    return market.open(lambda group, place: bad if (group, place) == (1, 1) else honest(group, place), masks=False)


@pytest.mark.parametrize("name", ["OFF_CURVE", "PADDING_NOT_ZERO"])
def test_settle_with_a_committed_point_off_the_curve_is_refused_until_its_group_is_waived(drawn: RealMarket, name: str) -> None:
    point = bad_inputs.NOT_ON_CURVE[name]
    round_ = open_with_bad_point(drawn, point)
    forged = b"".join(row for group in round_.rows() for row in group) + b"\0" + bytes(32 * 15 + 256 + 32 * 7 + 96)

    with pytest.raises(VerificationBadPoint):
        drawn.settle(round_, forged)

    assert not drawn.owner.check_points(point)
    drawn.settle(round_, waived=0b00010)
    assert drawn.paid_groups(1) & 0b00010


def test_settle_with_a_good_point_in_place_of_the_committed_one_is_refused(drawn: RealMarket) -> None:
    round_ = open_with_bad_point(drawn, bad_inputs.WRONG_SUBGROUP)
    good = tuple(tuple(replace(part, sent=None) for part in group) for group in round_.deliveries)
    corrected = replace(round_, deliveries=good)
    statement = replace(round_.statement, roster_hash=roster_hash_of(round_.statement, corrected.rows()))
    forged = replace(corrected, statement=statement).settlement()

    with pytest.raises(VerificationWrongRoster) as refusal:
        drawn.settle(round_, forged)

    assert refusal.value.args == (statement.roster_hash, round_.statement.roster_hash)
    assert not drawn.owner.check_points(bad_inputs.WRONG_SUBGROUP)
