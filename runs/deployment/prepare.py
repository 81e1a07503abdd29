"""``python -m runs.deployment.prepare FOLDER``: what the parties of the walk-through (docs/start/deployment.md) bring along."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from ..digits import DataMissingError
from ..recipes import RecipeError
from .credentials import make_certificates, make_node_key
from .flower import write_connection
from .parties import split, write_digits, write_secret
from .recipe import load_recipe

PORT = 8000
CONNECTION = "walk"


def prepare(folder: Path) -> None:
    """Write certificates, Flower's connection, and each party's password and digits; a data owner has a SuperNode's key too.

    Parameters
    ----------
    folder : Path
        Made; refused with `FileExistsError` if it is there.
    """
    shares, test = split(load_recipe())
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
    folder: Path = parser.parse_args().folder
    try:
        prepare(folder)
    except FileExistsError:
        print(f"{folder} is there already; remove it or name another folder", file=sys.stderr)
        return 1
    except (DataMissingError, RecipeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{folder} has what every party brings along; next: cd {folder}, then docs/start/deployment.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
