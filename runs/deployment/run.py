"""The run from top to bottom: every process started, the rounds, one data owner's SuperNode killed, and what came of it."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from omnilytics_flwr import Anvil, AnvilOptions, Stage, connect

from ..audit.verdict import audited
from ..record import circumstances, new_folder, point_latest, write_json, write_market_page, write_recipe
from ..screen import new_console
from .flower import Network, start_network
from .parties import DataOwner, Parties, set_up
from .processes import Guarded, ProcessError, Processes
from .recipe import Recipe
from .result import Incident, broken_promises, result_of
from .show import Progress, show_result
from .simulate import Twin, simulate

HERE = Path(__file__).parent
AGENT_SECONDS = 180.0
STARTS_AT_A_TIME = 2
RUN_SECONDS = 900.0
CLAIM_SECONDS = 120.0


def run(recipe: Recipe, *, plain: bool = True, simulation: bool = True) -> int:
    """Run everything and write the record; 0 if every promise held.

    Parameters
    ----------
    recipe : Recipe
    plain, simulation : bool (default: True)
        Whether the same rounds are run without the market, and in Flower's simulation, to compare.
    """
    console = new_console()
    folder = new_folder(HERE)
    facts = circumstances()
    write_recipe(folder / "recipe.json", recipe)
    console.print(f"[bold]One market in {2 * recipe.owners + 2} processes[/bold]: {recipe.owners} data owners, a model owner, a chain")
    with tempfile.TemporaryDirectory(prefix="omnilytics-") as place, Progress(console) as progress:
        result = _run(recipe, Path(place), folder, progress, plain=plain, simulation=simulation)
    result = {"run": "deployment", "seed": recipe.seed, **facts, **result}
    write_json(folder / "result.json", result)
    latest = point_latest(folder)
    broken = broken_promises(json.loads((folder / "result.json").read_text()))
    show_result(console, result, broken, folder=folder, latest=latest)
    return 1 if broken else 0


def _run(recipe: Recipe, place: Path, folder: Path, progress: Progress, *, plain: bool, simulation: bool) -> dict[str, object]:
    progress.step("start the chain")
    with Anvil(AnvilOptions(accounts=2)) as anvil, Processes(folder / "logs") as processes:
        connection = connect(anvil.url)
        parties = set_up(recipe, connection, anvil.url, place, on_step=progress.step)
        twin = Twin.of(connection, parties, place / "simulation") if simulation else None
        progress.note("the market is there: everybody has joined, groups are drawn")
        agents = [_start_agent(owner, processes) for owner in parties.owners]
        network = _start_flower(parties, processes, place, anvil.url, progress)
        for agent in agents:
            processes.await_for(agent.name, partial(_is_ready, agent), seconds=AGENT_SECONDS)
        progress.note(f"{len(agents)} SuperNodes and as many agents are online")
        incident = _market(recipe, parties, network, progress)
        _await_claims(parties, processes, progress)
        if plain:
            _plain(recipe, network, progress)
        progress.step("audit the market from its chain alone")
        result = result_of(recipe, parties, incident) | {"audit": audited(parties.model_owner.ledger)}
        write_market_page(folder, parties.model_owner.ledger, result["accuracy"]["per_round"])
    if twin is not None:
        progress.step("the same rounds in Flower's simulation")
        result["simulated_distances"] = simulate(recipe, twin)
    return result


def _start_agent(owner: DataOwner, processes: Processes) -> Guarded:
    return processes.start(f"agent-{owner.index}", [sys.executable, "-m", "omnilytics_flwr", "agent", str(owner.home.path), "--json"])


def _is_ready(agent: Guarded) -> bool:
    return '"ready": true' in agent.tail()


def _start_flower(parties: Parties, processes: Processes, place: Path, url: str, progress: Progress) -> Network:
    """Start Flower's programs, and wait for them."""
    progress.step("start the SuperLink, the SuperNodes and the owner agents")
    network = start_network(processes, place / "flower", parties.model_owner, url)
    with ThreadPoolExecutor(STARTS_AT_A_TIME) as pool:
        try:
            list(pool.map(network.start_node, parties.owners))
        finally:
            pool.shutdown(cancel_futures=True)
    network.await_nodes(len(parties.owners))
    return network


def _market(recipe: Recipe, parties: Parties, network: Network, progress: Progress) -> Incident:
    """Run the app in the market, and kill the victim's SuperNode once the round that it committed in is open."""
    incident = Incident()
    ledger, deadline = parties.model_owner.ledger, time.monotonic() + RUN_SECONDS
    victim: DataOwner | None = parties.owners[recipe.victim] if recipe.victim >= 0 else None
    process = network.start_run("flwr-run-market", recipe.run_config(market=True))
    while process.is_running:
        state = ledger.state()
        progress.chain(state, recipe.rounds)
        if victim is not None and not incident.killed and state.stage is Stage.OPEN and state.round == recipe.victim_round:
            network.kill_node(victim.index)
            incident.killed = time.time()
            progress.note(f"killed the SuperNode of data owner {victim.index}: it has committed and will not deliver")
        if victim is not None and incident.killed and not incident.restarted and (state.accused or state.stage is not Stage.OPEN):
            network.start_node(victim)
            incident.restarted = time.time()
            progress.note("it is accused; its agent answers on the chain, and its SuperNode is started again")
        if time.monotonic() > deadline:
            raise ProcessError(f"the market's run did not end within {RUN_SECONDS:g} s; its log ends:\n{process.tail(20)}")
        time.sleep(0.05)
    if not (parties.model_owner.keystore.parent / "market.json").exists():
        raise ProcessError(f"the market's run failed; its log ({process.log}) ends:\n{process.tail(30)}")
    network.processes.forget(process)
    return incident


def _await_claims(parties: Parties, processes: Processes, progress: Progress) -> None:
    """Let the agents claim by themselves."""
    progress.step("the agents claim")
    ledger = parties.model_owner.ledger
    processes.await_for(
        "claims of all agents",
        lambda: not any(ledger.claimable_wei(owner.ledger.account) for owner in parties.owners),
        seconds=CLAIM_SECONDS,
    )


def _plain(recipe: Recipe, network: Network, progress: Progress) -> None:
    """The same app without the market, on the same SuperNodes."""
    progress.step("plain FedAvg on the same SuperNodes")
    network.await_nodes(recipe.owners)
    start = time.monotonic()
    process = network.start_run("flwr-run-plain", recipe.run_config(market=False))
    while process.is_running:
        time.sleep(0.2)
        if time.monotonic() > start + RUN_SECONDS:
            raise ProcessError(f"the plain run did not end within {RUN_SECONDS:g} s; its log ends:\n{process.tail(20)}")
