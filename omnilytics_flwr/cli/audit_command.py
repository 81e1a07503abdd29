"""``omnilytics audit``: whether everything that a market did follows from what was sent to it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from .printer import REFUSED, counted
from .session import Session, options
from .settings import CHAIN, DEPLOYMENTS, MARKET, example, to_address

if TYPE_CHECKING:
    from ..audit.auditor import AuditReport
    from ..audit.chronicle import RoundStory
    from ..market.terms import Address


@click.command("audit", epilog=example("omnilytics audit 0x...", "omnilytics audit 0x... --json"))
@click.argument("address", metavar="MARKET", required=False, callback=to_address)
@click.option(
    "--from-block", type=click.IntRange(0), help="Block that the market is not older than; by default its factory's, or the first."
)
@click.option("--confirmations", type=click.IntRange(0), default=0, help="Leave out so many of the latest blocks.")
@options(CHAIN, DEPLOYMENTS, MARKET)
def audit(session: Session, address: Address | None, from_block: int | None) -> None:
    """Recompute a market from what was sent to it.

    Every draw, roster, signature, proof, selection, payout, dispute and balance is computed again from the market's transactions, round by
    round, and compared with what the contract did. Needs no account, and any node that keeps transactions and logs; old states are not
    needed. The exit code is 1 if something does not follow.
    """
    from ..audit.auditor import Auditor
    from ..chain.history_reader import gate_of, read_history, verification_of
    from ..chain.market_reader import MarketReader

    reader = MarketReader(session.connection, address or session.market)
    first = session.first_block_of(reader) if from_block is None else from_block
    history = read_history(reader, first_block=first, confirmations=session.settings.confirmations)
    report = Auditor(history, verification_of(reader), gate_of(reader)).run()
    printer = session.printer(market=reader)
    if session.settings.as_json:
        printer.facts(_facts(report) | {"market": reader.address, "chain_id": reader.chain_id})
    else:
        click.echo(verdict(report))
        click.echo(
            f"{report.transactions} of {report.of_transactions} transactions through block {report.through_block:,} replayed: "
            f"{counted(len(report.rounds), 'round')}, {counted(report.settlements, 'proof')}, {counted(report.signatures, 'signature')}."
        )
        for sentence in report.unseen:
            click.echo(f"Not seen: {sentence}.")
        if report.surplus_wei:
            printer.facts({"forced_in_wei": report.surplus_wei})
        printer.rows([_row(story) for story in report.rounds], "No round is over yet.")
    if report.finding is not None:
        click.get_current_context().exit(REFUSED)


def verdict(report: AuditReport) -> str:
    """What an audit comes to, in a sentence."""
    if report.finding is not None:
        return f"This does not follow from what was sent: {report.finding}."
    if report.transactions < report.of_transactions:
        return "Everything that could be seen follows from what was sent, but not all could be seen."
    return "Everything that the contract did follows from what was sent."


def _facts(report: AuditReport) -> dict[str, Any]:
    finding = None if report.finding is None else asdict(report.finding)
    counts = ("through_block", "transactions", "of_transactions", "settlements", "signatures", "unseen", "surplus_wei")
    return {
        "confirmed": report.finding is None,
        "complete": report.finding is None and report.transactions == report.of_transactions,
        "finding": finding,
        **{name: getattr(report, name) for name in counts},
        "rounds": [_row(story) | {"epoch": story.epoch, "fees_wei": sum(story.fees_wei.values())} for story in report.rounds],
    }


def _row(story: RoundStory) -> dict[str, Any]:
    return {
        "round": story.number,
        "outcome": story.outcome.value,
        "accepted": list(story.accepted),
        "dropped": list(story.dropped),
        "waived": list(story.waived),
        "void": list(story.void),
        "paid": len(story.paid_seats),
        "paid_each_wei": story.paid_each_wei,
        "gas": sum(story.gas.values()),
    }
