"""Points of Ethereum's KZG ceremony, from the copy that eth-account ships.

`crypto` reads this one file and no other. A hash pins its points, so they need no checks of their own.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from py_arkworks_bls12381 import G1Point, G2Point

from ..errors import ToolMissing
from .domain import REVERSED
from .field import N

_FILE = "kzg_trusted_setup.txt"
_NUM_G2 = 65
_SHA256 = "2721e57b4a7ec42d5a1c0a29ab1b14419f1f1008bd159b538c332ed923886a7e"


@cache
def lagrange_points() -> tuple[G1Point, ...]:
    """Commitments of the N Lagrange polynomials of H, in the order of a blob.

    Raises
    ------
    ToolMissing
        eth-account is not installed, or carries other points.
    """
    natural = [G1Point.from_compressed_bytes_unchecked(raw) for raw in _encoded_points()[:N]]
    return tuple(natural[i] for i in REVERSED)


@cache
def tau_g2() -> G2Point:
    """tau times the generator of G2; same errors as `lagrange_points`."""
    return G2Point.from_compressed_bytes_unchecked(_encoded_points()[N + 1])


@cache
def ckzg_setup() -> Any:
    """The ceremony as c-kzg holds it; takes 1.5 s, once. Same errors as `lagrange_points`."""
    import ckzg

    _encoded_points()
    return ckzg.load_trusted_setup(str(setup_path()), 0)


def _encoded_points() -> list[bytes]:
    """Lagrange points in natural order, then powers of tau in G2, compressed."""
    points = [bytes.fromhex(line) for line in _read().split()[2 : 2 + N + _NUM_G2]]
    if sha256(b"".join(points)).hexdigest() != _SHA256:
        raise ToolMissing("the installed eth-account carries other points than Ethereum's ceremony made; install eth-account 0.13 or newer")
    return points


def setup_path() -> Path:
    """The file with the ceremony's points; raises `ToolMissing` if there is none."""
    # `find_spec` of a top-level name does not import it: eth-account takes a second to load.
    spec = find_spec("eth_account")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for path in Path(folder).rglob(_FILE):
            return path
    raise ToolMissing(f"{_FILE} of eth-account is not on this machine; install eth-account 0.13 or newer")


def _read() -> str:
    return setup_path().read_text(encoding="ascii")
