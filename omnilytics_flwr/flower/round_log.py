"""What the log tells of a round: who took part, which groups were left out, who was paid, what was learnt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median_high

from ..market.amount import ETHER, UNITS_OF_TOKEN, format_amount
from ..market.market_view import Member
from ..market.terms import ZERO_ADDRESS, Terms
from ..model_owner.round_report import RoundReport

LISTED = 8
"""Most addresses, nodes or reasons that a line lists."""


def report_lines(report: RoundReport, terms: Terms) -> list[str]:
    """A finished round in lines for Flower's log."""
    committed = f"{len(report.committed)} of {len(report.owners)} data owners committed"
    if not report.roster:
        return [f"\t└──> Market round {report.round} was not opened: {committed}"]
    end = "timed out" if report.timed_out else "settled"
    lines = [f"Market round {report.round} {end}: {committed}, {_counted(len(report.roster), 'group')} on the roster"]
    if not report.timed_out:
        lines.append(f"It tolerates {_counted(report.tolerated, 'faulty group')} of {report.taking_part}")
    lines += _sat_out(report)
    for position, members in enumerate(report.roster):
        if (fate := _fate(report, position, terms)) is not None:
            lines.append(f"Group {position} ({listed(members)}) is {fate}")
    if 2 * len(report.too_long) >= max(len(report.roster), 1):
        lines.append(_norm_needed(report))
    learnt = sum(len(report.roster[position]) for position in report.learnt)
    if not report.timed_out:
        lines.append(f"Learnt from {_counted(len(report.learnt), 'group')}, {_counted(learnt, 'data owner')}" + _moved(report))
    each = format_amount(terms.reward_wei, ETHER if terms.token == ZERO_ADDRESS else UNITS_OF_TOKEN)
    gas = sum(receipt.gas_used for receipt in report.receipts)
    lines.append(f"Paid {_counted(len(report.paid), 'data owner')} {each} each, in {gas:,} gas")
    return [f"\t├──> {line}" for line in lines[:-1]] + [f"\t└──> {lines[-1]}"]


def _sat_out(report: RoundReport) -> list[str]:
    """Who is not on the roster, and why."""
    there = {owner for group in report.roster for owner in group}
    absent = [owner for owner in report.owners if owner not in report.committed]
    beside = [owner for owner in report.owners if owner not in there and owner in report.committed]
    said = [f"{listed(absent)} did not commit"] if absent else []
    said += [f"{listed(beside)} committed, and their groups are not on the roster"] if beside else []
    return [f"Sat out: {'; '.join(said)}"] if said else []


def weighing(groups: Iterable[Iterable[Member]], terms: Terms) -> str:
    """How the updates of an epoch's groups weigh, in a sentence."""
    examples = [member.examples for group in groups for member in group]
    stated = [number for number in examples if number]
    if not terms.usual_examples:
        return "All updates weigh the same: the terms name no usual number of examples"
    if not stated:
        return "All updates weigh the same: no data owner stated its number of examples when it joined"
    return (
        f"Updates weigh by the numbers of examples that {len(stated)} of {len(examples)} data owners stated when they joined: "
        f"{min(stated):,} to {max(stated):,}, counted within half and twice the usual {terms.usual_examples:,}"
    )


def not_opened(report: RoundReport, *, nodes: int, refusals: Mapping[int, str], waited: str) -> str:
    """Why a round was not opened, in a sentence.

    Parameters
    ----------
    nodes : int
        Nodes that are there.
    refusals : mapping of int to str
        Reasons of nodes that replied and did not commit.
    waited : str
        What ended the wait.
    """
    missing = [owner for owner in report.owners if owner not in report.committed]
    reasons: dict[str, list[int]] = {}
    for node, reason in refusals.items():
        reasons.setdefault(reason, []).append(node)
    said = "; ".join(f"{_counted(len(some), 'node')} ({listed(some)}): {reason}" for reason, some in list(reasons.items())[:LISTED])
    return (
        f"market round {report.round} was not opened: no group is whole. {len(report.committed)} of {len(report.owners)} data owners committed "
        f"before {waited}; nodes that are there: {nodes}; missing: {listed(missing)}" + (f". Refusals: {said}" if said else "")
    )


def nothing_learnt(report: RoundReport, terms: Terms) -> str:
    """Why a round that is settled taught nothing, in a sentence."""
    number, positions = report.round, range(len(report.roster))
    undelivered = [position for position in positions if any(owner in report.undelivered for owner in report.roster[position])]
    if len(undelivered) == len(report.roster):
        reason = (
            f"no group delivered whole ({listed(report.undelivered)} did not); see the reasons above, and whether all clients run the app "
            "with omnilytics_mod as the first of their mods"
        )
    elif report.too_long:
        reason = (
            f"{_counted(len(report.too_long), 'group')} lie beyond the norm bound of the terms, a mean update of length {terms.longest_mean:g}. "
            f"{_norm_needed(report)}; create a market with such a norm, or lower the learning rate"
        )
    else:
        reason = "no group is left to learn from"
    return f"market round {number} is settled and paid {_counted(len(report.paid), 'data owner')}, and taught nothing: {reason}"


def hardly_learnt(report: RoundReport, terms: Terms, share: float) -> str:
    """Why a round that is learnt from teaches too little to go on, in a sentence; `share` of its weights were cut for all."""
    return (
        f"market round {report.round} is settled and paid {_counted(len(report.paid), 'data owner')}, and the clip of {terms.clip:g} cut "
        f"every data owner's change of {share:.0%} of the weights that move, so that hardly anything of their training is left; create a market with a "
        "larger clip (`omnilytics market terms-propose` finds one), or go on all the same with Omnilytics(most_cut=1)"
    )


def listed(items: Iterable[object]) -> str:
    """The first of some items, and how many more there are."""
    every = [str(item) for item in items]
    return ", ".join(every[:LISTED]) + (f" and {len(every) - LISTED} more" if len(every) > LISTED else "") if every else "nobody"


def _fate(report: RoundReport, position: int, terms: Terms) -> str | None:
    """What became of a group, None if it was paid and learnt from, or if the round timed out."""
    absent = [owner for owner in report.roster[position] if owner in report.undelivered]
    length = dict(report.too_long).get(position)
    beyond = (
        "longer than the norm bound of the terms" if length is None else f"{length:.3g} long, beyond the norm of {terms.longest_mean:g}"
    )
    if position in report.ineligible:
        return f"not paid: its mean update is {beyond}"
    if position in report.dropped:
        return "not paid: too far from the other groups"
    if position in report.waived:
        reason = f"no valid delivery of {listed(absent)}" if absent else "nothing can be proven of it"
        reason = reason if length is None else f"its mean update is {beyond}"
        return f"paid, and not learnt from: {reason}"
    if position in report.void:
        return f"not learnt from: the lost stake of {listed(absent)} pays the others"
    if position in {*report.accepted} - {*report.learnt}:
        return "paid, and not learnt from: far out by its exact sum"
    return None


def _norm_needed(report: RoundReport) -> str:
    """What would have done, in a sentence without a full stop: for half of the groups only, as poisoners are as long as they like."""
    needed = median_high(length for _, length in report.too_long)
    return f"A norm of {1.01 * needed:.3g} would take half of these groups; `omnilytics market terms-propose` finds what an app needs"


def _moved(report: RoundReport) -> str:
    """What leaving groups out did to the mean."""
    if len(report.learnt) == report.taking_part or (shift := report.shift) is None:
        return ""
    return f"; their mean lies {100 * shift:.0f} % of its length from that of all {report.taking_part} groups that were judged"


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
