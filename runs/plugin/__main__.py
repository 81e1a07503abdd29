"""``python -m runs.plugin``: join a market with an app that somebody else wrote."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..record import new_folder, point_latest, write_json
from ..screen import told
from .examples import EXAMPLES, HERE, MARKET_PATCH, OWNERS, REPEAT_PATCH
from .patches import Edit, carry_out, plan


def main(arguments: list[str] | None = None) -> int:
    """Parse and do it."""
    parser = argparse.ArgumentParser(prog="python -m runs.plugin", description=__doc__)
    commands = parser.add_subparsers(required=True)
    apply = commands.add_parser("apply", help="touch the lines by which a copy of an example joins a market")
    apply.add_argument("name", choices=EXAMPLES)
    apply.add_argument("copy", type=Path, metavar="PATH", help="folder of the copy's pyproject.toml")
    apply.add_argument("--check", action="store_true", help="show the lines and change nothing")
    apply.add_argument("--undo", action="store_true", help="take the lines back")
    apply.add_argument("--patch", choices=(MARKET_PATCH, REPEAT_PATCH), default=MARKET_PATCH, help="repeat: fix seeds instead")
    apply.set_defaults(run=_apply)
    terms = commands.add_parser("terms", help="show an app's parameters, and the number of weights for its terms")
    terms.add_argument("app", type=Path, metavar="PATH", help="folder of the app's pyproject.toml")
    terms.add_argument("--run-config", default="", help='overrides, as of flwr run: "key=value key=value"')
    terms.add_argument("--owners", type=int, default=OWNERS, help=f"most data owners of the market (default: {OWNERS})")
    terms.set_defaults(run=_terms)
    compare = commands.add_parser("compare", help="run examples plain and in a market, and write the record")
    compare.add_argument("flower", type=Path, metavar="PATH", help="a checkout of Flower's repository")
    compare.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(EXAMPLES)} (default: all)")
    compare.set_defaults(run=_compare)
    chosen = parser.parse_args(arguments)
    return told(lambda: int(chosen.run(chosen)))


def _apply(chosen: argparse.Namespace) -> int:
    edits = plan(chosen.copy, EXAMPLES[chosen.name].patch(chosen.patch), undo=chosen.undo)
    for edit in edits:
        _show(edit)
    if chosen.check:
        print("nothing was changed")
        return 0
    carry_out(edits)
    print(f"{sum(hunk.touched for edit in edits for _, hunk in edit.places)} lines in {len(edits)} files")
    return 0


def _show(edit: Edit) -> None:
    for line, hunk in edit.places:
        old, new = hunk.changes
        print(f"{edit.path}:{line}")
        for text in old:
            print(f"  - {text}")
        for text in new:
            print(f"  + {text}")


def _terms(chosen: argparse.Namespace) -> int:
    from omnilytics_flwr import Address, Terms
    from omnilytics_flwr.errors import BadTerms
    from omnilytics_flwr.trial.app_model import initial_arrays, table

    shown, weights = table(initial_arrays(chosen.app, chosen.run_config))
    print(shown)
    anywhere = Address("0x" + "00" * 19 + "01")

    def made(*, projected: bool | None) -> Terms:
        return Terms.for_model(weights, verification=anywhere, owners=chosen.owners, projected=projected)

    fitting = made(projected=None)  # refuses a model that fits no market
    if fitting.projected:
        try:
            made(projected=False)
        except BadTerms as refused:
            print(f"With exact distances {refused}")
    print(f"Terms(weights={weights}{', projected=True' if fitting.projected else ''})")
    return 0


def _compare(chosen: argparse.Namespace) -> int:
    from .compare import broken_promises, compare

    unknown = sorted(set(chosen.names) - set(EXAMPLES))
    if unknown:
        print(f"there is no example {', '.join(unknown)}; expected some of {', '.join(EXAMPLES)}", file=sys.stderr)
        return 2
    names = chosen.names or list(EXAMPLES)
    result = compare([EXAMPLES[name] for name in names], chosen.flower, print)
    folder = new_folder(HERE)
    command = f"python -m runs.plugin compare FLOWER {' '.join(names)}"
    write_json(folder / "result.json", {"command": command, **result})
    print(json.dumps(result["examples"], indent=2))
    print(f"the record is in {folder}, also under {point_latest(folder)}; `python -m runs.reference` makes it the reference")
    broken = broken_promises(result)
    for sentence in broken:
        print(f"broken: {sentence}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
