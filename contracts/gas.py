"""Measure what every call of a market costs, in a market whose every byte is fixed, so that the figures are exact.

python contracts/gas.py           write ``contracts/gas.json``
python contracts/gas.py --check   measure and compare; exit 1 if a figure differs

Fixed are all keys, updates, masks, roundings, times, and the randomness of the draw. Needs the local chain (anvil).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.evm.anvil import HARDFORK, Anvil, AnvilOptions

HERE = Path(__file__).resolve().parent
# Neither the tests nor what lies here are part of the installed package.
sys.path.append(str(HERE.parent))

from contracts.gas_play import OWNERS, Play  # noqa: E402

GAS_FILE = HERE / "gas.json"
CONTRACTS = (artifacts.MARKET, artifacts.FACTORY, *artifacts.VERIFICATIONS, artifacts.ADMISSION)
FIRST_BLOCK_SECONDS, BLOCK_SECONDS = 1_800_000_000, 12


def main(arguments: Sequence[str] | None = None, gas_file: Path = GAS_FILE) -> int:
    """Run as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the file that is there")
    check = parser.parse_args(arguments).check
    measured = measure()
    if not check:
        gas_file.write_text(text(measured), encoding="utf-8")
        print(text(measured), end="")
        return 0
    found = differences(json.loads(gas_file.read_text(encoding="utf-8")), measured)
    for line in found:
        print(f"gas: {line}", file=sys.stderr)
    return 1 if found else 0


def measure() -> dict[str, Any]:
    """Play the market and return all that is committed."""
    described = artifacts.described(artifacts.MARKET)
    with Anvil(AnvilOptions(timestamp=FIRST_BLOCK_SECONDS, block_seconds=BLOCK_SECONDS)) as anvil:
        play = Play.start(anvil)
        play.run()
    gas, terms = play.gas, play.terms
    return {
        "compiler": described["compiler"],
        "settings": described["settings"],
        "hardfork": HARDFORK,
        "runtime_bytes": {name: len(artifacts.load(name).runtime_code) for name in CONTRACTS},
        "market": {
            "owners": OWNERS,
            "groups": OWNERS // terms.group_size,
            "group_size": terms.group_size,
            "faulty_groups": terms.faulty_groups,
            "weights": terms.weights,
            "polynomials": terms.polynomials,
            "update_bits": terms.update_bits,
        },
        "settlement_bytes": play.settlement_bytes,
        "gas": gas,
        "gas_of_a_round": {
            "first": gas["open first"] + gas["settle first"],
            "later": gas["open later"] + gas["settle later"],
            "data owners": play.gas_of_data_owners,
        },
    }


def differences(committed: object, measured: object, where: str = "") -> list[str]:
    """What two JSON values differ in, one line for each place."""
    if isinstance(committed, dict) and isinstance(measured, dict):
        names = [*committed, *(name for name in measured if name not in committed)]
        return [
            line for name in names for line in differences(committed.get(name, "missing"), measured.get(name, "missing"), f"{where}/{name}")
        ]
    return [] if committed == measured else [f"{where} is {measured}, the file says {committed}; run `make gas` if it should be"]


def text(measured: dict[str, Any]) -> str:
    """Render the figures as they are written."""
    return json.dumps(measured, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
