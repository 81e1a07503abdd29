"""``python -m runs.deployment.prepare FOLDER``: what the parties of the walk-through (docs/deployment.md) bring along."""

from __future__ import annotations

import argparse
import secrets
import sys
from dataclasses import replace
from pathlib import Path

from ..digits import DataMissingError
from ..recipes import RecipeError
from .credentials import make_certificates, make_node_key
from .flower import write_connection
from .parties import split, write_digits, write_secret
from .recipe import load_recipe

PORT = 8000
CONNECTION = "walk"


def prepare(folder: Path, owners: int) -> None:
    """Write certificates, Flower's connection, and each party's password and digits; a data owner has a SuperNode's key too.

    Parameters
    ----------
    folder : Path
        Made; refused with `FileExistsError` if it is there.
    owners : int
        Data owners.
    """
    shares, test = split(replace(load_recipe(), owners=owners))
    folder.mkdir(parents=True)
    certificates = make_certificates(folder / "certificates")
    write_connection(folder / "flwr", CONNECTION, PORT, certificates)
    for name, digits in {"model-owner": test, **{f"owner-{index}": share for index, share in enumerate(shares)}}.items():
        place = folder / name
        place.mkdir(mode=0o700)
        write_digits(place, digits)
        write_secret(place / "password", secrets.token_urlsafe(18).encode() + b"\n")
        if name != "model-owner":
            make_node_key(place, "supernode-key")


def main() -> int:
    """Parse, prepare, and say what to do next."""
    parser = argparse.ArgumentParser(prog="python -m runs.deployment.prepare", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder to make")
    parser.add_argument("--owners", type=int, default=15, help="data owners (default: 15)")
    arguments = parser.parse_args()
    try:
        prepare(arguments.folder, arguments.owners)
    except FileExistsError:
        print(f"{arguments.folder} is there already; remove it or name another folder", file=sys.stderr)
        return 1
    except (DataMissingError, RecipeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.folder} has everything for {arguments.owners} data owners; next: cd {arguments.folder}, then docs/deployment.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
