"""The same app, with the same parties and seed, in Flower's simulation on a copy of the chain."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from omnilytics_flwr import Anvil, AnvilOptions, Connection

from .flower import run_command, start_simulation
from .parties import ModelOwner, Parties
from .processes import Processes
from .recipe import Recipe

RUN_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Twin:
    """A market before its first round, to be played twice.

    Groups are drawn already and weights are rounded by secrets in the homes: what is played twice comes out the same.

    Attributes
    ----------
    folder : Path
        Copies of everybody's folders.
    chain : str
        The chain's state, as its node dumps it.
    """

    folder: Path
    chain: str
    model_owner: ModelOwner

    @classmethod
    def of(cls, connection: Connection, parties: Parties, folder: Path) -> Twin:
        """Copy folders and chain."""
        for owner in parties.owners:
            shutil.copytree(owner.folder, folder / owner.folder.name)
        mine = parties.model_owner
        place = folder / mine.keystore.parent.name
        shutil.copytree(mine.keystore.parent, place)
        model_owner = replace(mine, keystore=place / mine.keystore.name, password_file=place / mine.password_file.name)
        return cls(folder, connection.request("anvil_dumpState"), model_owner)


def simulate(recipe: Recipe, twin: Twin) -> list[list[str]]:
    """Distances of every round."""
    with Anvil(AnvilOptions(accounts=2)) as anvil, Processes(twin.folder / "logs") as processes:
        anvil.endpoint.request("anvil_loadState", twin.chain)
        for config in twin.folder.glob("owner-*/home/owner.toml"):
            local = re.sub(r"(?m)^agent = .*$", 'agent = "local"', config.read_text())
            config.write_text(re.sub(r"(?m)^rpc-url = .*$", f"rpc-url = {json.dumps(anvil.url)}", local))
        start_simulation(processes, twin.folder / "flower", twin.model_owner, anvil.url, twin.folder)
        options = ("--federation-config", f"num-supernodes={recipe.owners}")
        processes.run("flwr-run-simulation", run_command(recipe.run_config(market=True), *options), seconds=RUN_SECONDS)
        record = json.loads((twin.model_owner.keystore.parent / "market.json").read_text())
    return [one["distances"] for one in record["rounds"]]
