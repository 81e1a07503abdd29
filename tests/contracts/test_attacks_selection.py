"""Who is left unpaid: never more than f' groups, and by the right measure whatever the group's size."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.market.refusals import TooManyUnpaid, VerificationBadPoint, WrongDigests
from omnilytics_flwr.market.roster import roster_hash
from omnilytics_flwr.market.stage import Stage
from tests.support import bad_inputs

from .real_market import (
    OpenRound,
    Part,
    RealMarket,
    far,
    first_members,
    honest,
    level,
    near,
    step,
    whole_groups,
    wild,
)

SIZES = (4, 3, 3, 3, 3)
AT_BOUND = 100
"""Units at each of 100 weights whose squared norm is the bound of the terms, 10^6."""


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


# ------------------------------------------------------------------------------------------------------- at most f' groups unpaid


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
    # Of four groups that are left none may go unpaid.
    with pytest.raises(TooManyUnpaid) as refusal:
        drawn.settle(round_, waived=waived)
    assert refusal.value.args == (1, 0)
    drawn.settle(round_, waived=waived | 1 << first)
    assert drawn.paid_groups(round_.number) == 0b11111


def test_settle_drops_no_more_than_f_groups_however_far_they_are(drawn: RealMarket) -> None:
    round_ = drawn.open(first_members({0: far(), 1: far(), 2: far()}))

    assert len(accepted_groups(drawn, round_)) == 4


# ------------------------------------------------------------------------------------------------------- commitments to nonsense


def open_with_bad_point(market: RealMarket, point: bytes) -> OpenRound:
    """A round in which the second member of the group at position 1 committed to this point."""

    bad = replace(near(), sent=point)
    return market.open(lambda group, place: bad if (group, place) == (1, 1) else honest(group, place), masks=False)


@pytest.mark.parametrize("name", ["OFF_CURVE", "ALL_ONES"])
def test_settle_with_a_committed_point_off_the_curve_is_refused_until_its_group_is_waived(drawn: RealMarket, name: str) -> None:
    point = bad_inputs.NOT_ON_CURVE[name]
    round_ = open_with_bad_point(drawn, point)
    forged = b"".join(row for group in round_.rows() for row in group) + bytes(32 * 15 + 3 * 96 + 32 * 5 + 48)

    with pytest.raises(VerificationBadPoint):
        drawn.settle(round_, forged)

    assert not drawn.owner.check_points(point)
    drawn.settle(round_, waived=0b00010)
    assert drawn.paid_groups(1) & 0b00010


def test_settle_with_a_good_point_in_place_of_the_committed_one_is_refused(drawn: RealMarket) -> None:
    round_ = open_with_bad_point(drawn, bad_inputs.WRONG_SUBGROUP)
    good = tuple(tuple(replace(part, sent=None) for part in group) for group in round_.deliveries)
    corrected = replace(round_, deliveries=good)
    digests = [points_digest(part.points) for group in good for part in group]

    with pytest.raises(WrongDigests) as refusal:
        drawn.settle(round_, corrected.settlement())

    assert refusal.value.args == (roster_hash(round_.groups, digests), round_.statement.roster_hash)
    assert not drawn.owner.check_points(bad_inputs.WRONG_SUBGROUP)
