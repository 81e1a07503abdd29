"""The log of a round, read as a user reads it."""

from __future__ import annotations

from dataclasses import replace

from omnilytics_flwr.flower.round_log import not_opened, nothing_learnt, report_lines, weighing
from omnilytics_flwr.market.ledger import Receipt
from omnilytics_flwr.market.market_view import Member
from omnilytics_flwr.market.terms import Address
from omnilytics_flwr.model_owner.round_report import RoundReport
from tests.support.builders import make_terms

OWNERS = tuple(Address(f"0x{number:040x}") for number in range(1, 16))
GROUPS = tuple(OWNERS[start : start + 3] for start in range(0, 15, 3))
TERMS = make_terms(reward_wei=10**15, stake_wei=10**16)

TOO_LONG = ((0, 12.0), (1, 13.0), (2, 14.0), (3, 15.0), (4, 1e6))


def report(**changes: object) -> RoundReport:
    """Group 1 was dropped, of group 2 somebody did not deliver, of group 3 the exact sum is far out."""
    values: dict[str, object] = {
        "roster": GROUPS,
        "accepted": (0, 3, 4),
        "learnt": (0, 4),
        "dropped": (1,),
        "waived": (2,),
        "undelivered": (OWNERS[7],),
        "paid": tuple(owner for place in (0, 2, 3, 4) for owner in GROUPS[place]),
        "tolerated": 1,
        "counts": (3,) * 5,
        "receipts": (Receipt("open", "0x1", 1, 400_000, 0, {}), Receipt("settle", "0x2", 2, 600_000, 0, {})),
    }
    return RoundReport(1, 7, True, OWNERS, OWNERS[:14], **(values | changes))  # type: ignore[arg-type]


def listed(*owners: Address) -> str:
    return ", ".join(owners)


def test_line_of_an_epoch_says_who_stated_examples() -> None:
    def groups(*examples: int) -> list[list[Member]]:
        return [[Member(OWNERS[seat], seat, b"", number) for seat, number in enumerate(examples)]]

    usual = replace(TERMS, usual_examples=1000)
    assert weighing(groups(0, 1200, 40), usual) == (
        "Updates weigh by the numbers of examples that 2 of 3 data owners stated when they joined: 40 to 1,200, counted within half and "
        "twice the usual 1,000"
    )
    assert weighing(groups(0, 0, 0), usual) == "All updates weigh the same: no data owner stated its number of examples when it joined"
    assert weighing(groups(5, 5, 5), TERMS) == "All updates weigh the same: the terms name no usual number of examples"


def test_settled_round_says_who_took_part_what_became_of_each_group_and_who_was_paid() -> None:
    assert report_lines(report(), TERMS) == [
        "\t├──> Market round 7 settled: 14 of 15 data owners committed, 5 groups on the roster",
        "\t├──> It tolerates 1 faulty group of 4",
        f"\t├──> Sat out: {OWNERS[14]} did not commit",
        f"\t├──> Group 1 ({listed(*GROUPS[1])}) is not paid: too far from the other groups",
        f"\t├──> Group 2 ({listed(*GROUPS[2])}) is paid, and not learnt from: no valid delivery of {OWNERS[7]}",
        f"\t├──> Group 3 ({listed(*GROUPS[3])}) is paid, and not learnt from: far out by its exact sum",
        "\t├──> Learnt from 2 groups, 6 data owners",
        "\t└──> Paid 12 data owners 0.001 ether each, in 1,000,000 gas",
    ]


def test_who_trained_for_a_group_that_is_not_on_the_roster_is_told() -> None:
    lines = report_lines(report(roster=GROUPS[:4], accepted=(0,), learnt=(0,)), TERMS)
    beside = listed(*[owner for owner in GROUPS[4] if owner != OWNERS[14]])
    assert f"\t├──> Sat out: {OWNERS[14]} did not commit; {beside} committed, and their groups are not on the roster" in lines


def test_mean_that_leaving_a_group_out_moves_is_told() -> None:
    """Means of lengths 1, 1 and 4 in one direction: 1 instead of 2."""
    fates = {"accepted": (0, 4), "learnt": (0, 4), "dropped": (1,), "waived": (2, 3)}
    lines = report_lines(report(**fates, distances=(1, 16, 1, 9, 0, 9)), TERMS)
    moved = "; their mean lies 50 % of its length from that of all 3 groups that were judged"
    assert "\t├──> Learnt from 2 groups, 6 data owners" + moved in lines
    everybody = {"accepted": (0, 1, 4), "learnt": (0, 1, 4), "dropped": ()}
    assert moved[:20] not in "".join(report_lines(report(**fates | everybody, distances=(1, 16, 1, 9, 0, 9)), TERMS))


def test_other_fates_have_their_own_reasons() -> None:
    lines = report_lines(
        report(accepted=(0,), learnt=(0,), dropped=(), ineligible=(1,), waived=(4,), void=(2,), undelivered=(OWNERS[7],)), TERMS
    )
    assert any("not paid: its mean update is longer than the norm bound" in line for line in lines)
    assert any(f"the lost stake of {OWNERS[7]} pays the others" in line for line in lines)
    assert any("nothing can be proven of it" in line for line in lines)


def test_group_beyond_the_norm_is_told_its_length_and_most_of_them_the_norm_that_they_need() -> None:
    norm = f"long, beyond the norm of {TERMS.longest_mean:g}"
    one = report_lines(report(accepted=(0, 3, 4), ineligible=(1,), dropped=(), too_long=TOO_LONG[1:2]), TERMS)
    assert any(f"is not paid: its mean update is 13 {norm}" in line for line in one)
    assert "terms-propose" not in "".join(one), "it may be one that poisons"
    all_five = report_lines(report(accepted=(), learnt=(), dropped=(), waived=(0, 1, 2, 3, 4), undelivered=(), too_long=TOO_LONG), TERMS)
    assert any(f"is paid, and not learnt from: its mean update is 1e+06 {norm}" in line for line in all_five)
    assert any("A norm of 14.1 would take half of these groups; `omnilytics market terms-propose`" in line for line in all_five)


def test_rounds_that_end_otherwise_say_so() -> None:
    (line,) = report_lines(report(roster=(), accepted=(), paid=()), TERMS)
    assert line == "\t└──> Market round 7 was not opened: 14 of 15 data owners committed"
    assert report_lines(report(timed_out=True), TERMS)[0].startswith("\t├──> Market round 7 timed out: ")


def test_long_lists_are_cut() -> None:
    reason = not_opened(report(roster=()), nodes=1, refusals=dict.fromkeys(range(20), "full"), waited="the end")
    assert "before the end; nodes that are there: 1; missing" in reason
    assert "20 nodes (0, 1, 2, 3, 4, 5, 6, 7 and 12 more): full" in reason
    assert f"missing: {OWNERS[14]}. Refusals" in reason


def test_round_that_taught_nothing_names_what_it_was() -> None:
    nobody = report(accepted=(), learnt=(), dropped=(), waived=(0, 1, 2, 3, 4), undelivered=OWNERS)
    assert f"({listed(*OWNERS[:8])} and 7 more did not)" in nothing_learnt(nobody, TERMS)
    far = report(accepted=(), learnt=(), dropped=(), waived=(0, 1, 2, 3, 4), undelivered=(), too_long=TOO_LONG)
    told = nothing_learnt(far, TERMS)
    assert (
        f"5 groups lie beyond the norm bound of the terms, a mean update of length {TERMS.longest_mean:g}. A norm of 14.1 would take"
        in told
    )
    assert "`omnilytics market terms-propose` finds what an app needs; create a market with such a norm" in told
    assert "no group is left to learn from" in nothing_learnt(report(learnt=(), waived=(), undelivered=()), TERMS)
