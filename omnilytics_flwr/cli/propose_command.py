"""``omnilytics market terms-propose``: clip and norm from one local round of an app."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import TermsError
from .printer import Printer, counted
from .session import Session, options
from .settings import FILE, FOLDER, VERIFICATIONS, example

if TYPE_CHECKING:
    from ..trial.proposal import Proposal


@click.command(
    "terms-propose",
    epilog=example(
        "omnilytics market terms-propose my-app --owners 20 --output terms.toml",
        "omnilytics market terms-propose my-app --run-config 'lr=0.1 local-epochs=2'",
    ),
)
@click.argument("app", metavar="APP", type=FOLDER)
@click.option("--owners", type=int, default=24, show_default=True, help="Most data owners; the app divides its data among so many.")
@click.option("--train", "trained", type=click.IntRange(1), default=3, show_default=True, help="How many of them train, one after another.")
@click.option("--group-size", type=int, help="Members of a group; by default 4 if that leaves a group to spare, else 3.")
@click.option("--verification", type=click.Choice(VERIFICATIONS), help="As for `terms-template`.")
@click.option("--run-config", default="", help="Overrides of the app's settings, as for flwr run.")
@click.option("--node-config", default="", help="What a SuperNode's operator says, as for flower-supernode.")
@click.option("--output", type=FILE, help="Write terms with this clip and norm into a file.")
@options()
def terms_propose(
    session: Session,
    app: Path,
    owners: int,
    trained: int,
    group_size: int | None,
    verification: str | None,
    run_config: str,
    node_config: str,
    output: Path | None,
) -> None:
    """Propose clip and norm for the app in the folder APP.

    Some data owners train one round, as the app does it and without a market. Shown is how far each parameter moved, what smaller clips
    would cut, and terms that fit. The app's code runs here, with your rights.
    """
    from ..errors import BadTerms
    from ..market.examples import usual_of
    from ..trial.local_round import local_round
    from ..trial.proposal import propose
    from .terms_file import template

    def tell(number: int) -> None:
        click.echo(f"data owner {number} of {trained} trains", err=True)

    trained = min(trained, owners)
    found = local_round(app, owners=owners, trained=trained, run_config=run_config, node_config=node_config, on_client=tell)
    proposal = propose(found.start.arrays, found.trained, found.start.private, found.examples)
    try:
        text = template(
            owners=owners,
            weights=proposal.weights,
            group_size=group_size,
            verification=verification,
            clip=proposal.clip,
            longest_mean=proposal.longest_mean,
            examples=found.examples,
        )
    except BadTerms as error:
        raise TermsError(f"{error}; change --owners ({owners}) or --group-size ({group_size or 'not given'})") from error
    if output is not None:
        output.write_text(text, encoding="utf-8")
    printer = session.printer()
    if session.settings.as_json:
        reported = {
            "private": found.start.private,
            "examples": found.examples,
            "metrics_reported": found.metrics,
            "trouble": found.trouble,
            "no_room": found.no_room,
            "terms": None if output is None else str(output),
        }
        printer.facts(asdict(proposal) | reported)
        return
    usual = usual_of(found.examples)
    _show(printer, proposal, found.metrics, usual)
    if usual:
        printer.note(f"usual-examples = {usual:_}, by which updates weigh, and 0 lets all weigh the same")
    for sentence in filter(None, (found.trouble, found.no_room)):
        printer.note(f"Beware: {sentence}.")
    written = (
        f"Written to {output}; look through it" if output is not None else f"Next: omnilytics market terms-propose {app} --output FILE"
    )
    printer.note(f"{written}, then omnilytics market create --terms {output or 'FILE'}")


def _show(printer: Printer, proposal: Proposal, metrics: tuple[str, ...], usual: int) -> None:
    """Tables for people, and what follows from them."""
    from ..trial.proposal import PERCENTILES

    of_whom = ", of a data owner that counts least (usual ones are cut at half the clip)" if usual else ""
    names = ["median" if percent == 50 else "largest" if percent == 100 else f"{percent:g} %" for percent in PERCENTILES]
    printer.note(f"How far {counted(len(proposal.norms), 'data owner')} moved {counted(proposal.weights, 'weight')} in one local round:")
    printer.rows([_row(names, one) for one in proposal.parameters], "")
    printer.note(f"What a clip would cut of that{of_whom}, and how long it leaves the mean update:")
    printer.rows(
        [
            {
                "clip": f"{cut.clip:.3g}",
                "cuts": f"{cut.share:.2%}",
                "most_of": f"{cut.worst} ({cut.worst_share:.1%})" if cut.worst else "",
                "length_left": f"{cut.length_left:.1%}",
            }
            for cut in proposal.cuts
        ],
        "",
    )
    norms = ", ".join(f"{norm:.3g}" for norm in proposal.norms)
    printer.note(f"Updates have the L2 norms {norms}, their mean has {proposal.mean_norm:.3g}.")
    printer.note(f"{proposal.below_step:.1%} of the changes are smaller than one step of the proposed clip; they are rounded by chance.")
    if metrics:
        printer.note(f"The app reports {', '.join(metrics)}: name in `metrics` what may leave a data owner.")
    printer.note(f"\nProposal: clip = {proposal.clip:g}, norm = {proposal.longest_mean:g}, weights = {proposal.weights:_}")


def _row(names: list[str], change: Any) -> dict[str, Any]:
    values = {name: f"{value:.3g}" for name, value in zip(names, change.percentiles, strict=True)}
    return {"parameter": change.name, "weights": change.weights, **values}
