"""``omnilytics local``: a Flower app, tried in a market of its own on this machine."""

from __future__ import annotations

import math
import shlex
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import TermsError
from .printer import Printer, counted
from .session import Session, options
from .settings import FILE, VERIFICATIONS, example

if TYPE_CHECKING:
    from ..explore.market_document import Document
    from ..local_market import LocalMarket
    from ..market.terms import Terms

OWNERS = 18
"""Six groups of three: an epoch needs five, so that one client that fails holds nobody up."""

PATIENCE, LEAST_COMMIT_SECONDS = 4, 600
"""How many times as long as all clients take one after another a round is kept open for them, and what is added to it."""

_WEIGHTS_PER_SECOND = 100_000
"""What a core masks and commits to."""


@click.command(
    "local",
    context_settings={"allow_interspersed_args": False},
    epilog=example("omnilytics local -- flwr run .", "omnilytics local --keep --owners 20 -- flwr run my-app"),
)
@click.argument("words", metavar="-- flwr run PATH ...", nargs=-1, required=True)
@click.option(
    "--owners",
    type=click.IntRange(15, 254),
    default=OWNERS,
    help=f"Data owners, and so Flower's nodes; an epoch needs five groups of three.  [default: {OWNERS}]",
)
@click.option("--group-size", type=click.IntRange(3, 16), help="Members of a group; by default 3 or 4, as fits the data owners.")
@click.option(
    "--verification",
    type=click.Choice(VERIFICATIONS),
    help="How groups are compared; by default the first of these that fits.",
)
@click.option(
    "--by-examples",
    is_flag=True,
    help="Weigh updates by the numbers of examples, as FedAvg does; every client then trains once before, to tell its own.",
)
@click.option("--reward", metavar="AMOUNT", default="0.001 ether", help="For each update that is paid.  [default: 0.001 ether]")
@click.option(
    "--clip",
    type=click.FloatRange(1e-9, 1000),
    help="Largest change of a weight; by default twice that of one local round, or four times with --by-examples.",
)
@click.option(
    "--norm",
    "longest_mean",
    type=click.FloatRange(0, min_open=True),
    help="The norm bound: greatest length of a group's mean update; by default thrice that of one local round.",
)
@click.option("--html", "file", type=FILE, help="Write what became of the market as one page, as `omnilytics explore --html` does.")
@click.option("--keep", is_flag=True, help="Leave the chain up until Ctrl-C, to look at the market.")
@options()
def local(
    session: Session,
    words: tuple[str, ...],
    owners: int,
    group_size: int | None,
    verification: Any,
    by_examples: bool,
    reward: str,
    clip: float | None,
    longest_mean: float | None,
    file: Path | None,
    *,
    keep: bool,
) -> None:
    """Run a Flower app in a market on this machine.

    Starts a chain and a market that fits the app, lets data owners join, runs the command, and shows what everybody earned. The market's
    terms follow from the app: its server tells model and rounds, and one client trains once to tell how far a round moves the model and
    which metrics there are; all of them may leave. Everything ends with the command. Money is play money.
    """
    from ..local_market import LocalMarket
    from ..market.public_part import count_weights
    from ..trial.app_folder import asks_registry_for_us
    from ..trial.app_run import FlwrRun, run_app
    from ..trial.local_round import local_round
    from ..trial.market_lines import check_has_lines

    command, printer = FlwrRun.parse(words), session.printer()
    printer.note(f"Looking at the app: its server, and how {'every' if by_examples else 'one'} client trains ...")
    found = local_round(command.app, owners=owners, trained=1, count_all=by_examples, run_config=command.run_config)
    check_has_lines(command.app, found)
    unsaid = by_examples and not any(found.examples) and "the clients report no number of examples, so that all updates weigh the same"
    for sentence in filter(None, (found.trouble, found.no_room, unsaid, asks_registry_for_us(command.app))):
        printer.note(f"Beware: {sentence}.")
    start = found.start
    weights = count_weights(start.arrays, start.private)
    printer.note(f"The app trains a model of {weights:,} weights for {counted(start.rounds, 'round')}. Starting a chain and a market ...")
    with LocalMarket.for_model(
        start.arrays,
        num_owners=owners,
        examples=found.examples if by_examples else None,
        private=start.private,
        group_size=group_size,
        reward=reward,
        trained=found.trained[0],
        clip=clip,
        longest_mean=longest_mean,
        rounds=max(1, start.rounds),
        verification=verification,
        metrics=found.fitting,
        commit_seconds=commit_seconds(found.seconds + weights / _WEIGHTS_PER_SECOND, owners),
    ) as market:
        terms = market.ledger.terms()
        printer.note(
            f"{owners} data owners have joined the market {market.ledger.address}.\n"
            f"A round changes a weight by {terms.clip:.3g} at most (the clip; more is cut). A group whose mean update is longer than "
            f"{terms.longest_mean:.3g} (the norm bound) is not paid. Metrics that may leave: {', '.join(terms.metrics) or 'none'}.\n"
            f"{no_spare(terms)}"
        )
        try:
            completed = run_app(command, market.environment, nodes=owners, output=sys.stderr if session.settings.as_json else None)
        except KeyboardInterrupt:
            if file is not None:
                _document(market, file)
                printer.note(f"The market so far as a page: {file}")
            raise
        _show(printer, market, file)
        if keep:
            looks = "\n  ".join(ways_to_look(market.ledger.address, market.anvil.url))
            printer.note(f"\nThe chain stays up. Look at it from another terminal:\n  {looks}\nCtrl-C here ends it.")
            threading.Event().wait()
    if not completed:
        raise TermsError("the app's run failed; expected it to complete; what it printed above says why")


def ways_to_look(market: str, rpc_url: str) -> list[str]:
    """Commands that show a market, whatever environment their terminal has activated."""
    program = f"{shlex.quote(sys.executable)} -m omnilytics_flwr"
    return [f"{program} {command} {market} --rpc-url {rpc_url}" for command in ("explore", "audit")]


def commit_seconds(each: float, owners: int) -> int:
    """How long a round stays open for commitments of so many clients, of which each takes so many seconds."""
    from ..market.terms_bounds import MONTH_SECONDS

    return min(LEAST_COMMIT_SECONDS + math.ceil(PATIENCE * owners * each), MONTH_SECONDS)


def no_spare(terms: Terms) -> str:
    """A sentence about what one client that fails costs, if there is no group to spare; else nothing."""
    groups = terms.most_owners // terms.group_size
    if groups > terms.least_groups:
        return ""
    return (
        f"None of the {groups} groups is to spare: a client that fails holds each round up for {terms.commit_seconds} s; more --owners, or a "
        "smaller --group-size, make another group.\n"
    )


def _document(market: LocalMarket, file: Path | None) -> Document:
    """All that a page shows of the market, and written as one if a file is named."""
    from ..explore.market_document import WatchedMarket
    from ..explore.page_file import write_page

    document = WatchedMarket(market.ledger, 0).document()
    if file is not None:
        write_page(file, document)
    return document


def _show(printer: Printer, market: LocalMarket, file: Path | None) -> None:
    """Say what everybody earned, and write the page if one is asked for."""
    document = _document(market, file)
    rows = [
        {"data_owner": owner["address"], "paid_rounds": owner["paidRounds"], "earned_wei": int(owner["earned"])}
        for owner in document["owners"]
    ]
    settled = sum(story["outcome"] == "settled" for story in document["rounds"])
    if printer.as_json:
        printer.facts({"rpc_url": market.anvil.url, "market": market.ledger.address, "settled_rounds": settled, "owners": rows})
        return
    printer.note(f"\nWhat everybody earned in {counted(settled, 'settled round')} and may claim, in play money:")
    printer.rows([*rows, {"data_owner": "together", "paid_rounds": None, "earned_wei": sum(row["earned_wei"] for row in rows)}])
    if file is not None:
        printer.note(f"The market as a page: {file}")
