"""The peers: how each trains a lesson over the same nodes, and what a run of it came to."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from flwr.app import ArrayRecord
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg, MultiKrum, Strategy

from omnilytics_flwr import Address, LocalMarket, Omnilytics, OmnilyticsMod, Terms
from omnilytics_flwr.errors import BadTerms

from .lessons import Lesson, Mod
from .nodes import Nodes, Workers
from .recipe import MARKETS, SecAgg
from .secagg import OlderMessages, train_secagg

COMPRESSED_BYTES = 1 << 20
"""How much of a message is compressed, to see whether it can be read."""
HOME_KEY = "omnilytics-home"
"""Of the node config: where a data owner has its keys."""


@dataclass(frozen=True)
class PeerClient:
    """The data owners' app of a peer; made in the process where it runs."""

    peer: str
    lesson: Lesson
    names: tuple[str, ...]

    def app(self) -> ClientApp:
        """The lesson's app, with what the peer adds to it."""
        mods: list[Mod] = []
        if self.peer in MARKETS:
            mods = [OmnilyticsMod()]
        elif self.peer == "secagg+":
            from flwr.client.mod import secaggplus_mod

            mods = [secaggplus_mod, OlderMessages(self.names)]
        return self.lesson.app(mods)


def train(
    peer: str, lesson: Lesson, workers: Workers, *, rounds: int = 1, secagg: SecAgg, silent: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Train a lesson with a peer.

    Parameters
    ----------
    silent : (int, int), optional
        As of `Nodes`.

    Returns
    -------
    dict
        The peer, its costs and what the model came to; ``refused`` instead where the market's terms refuse such a model. ``failures``
        has what the peer logged as an error or raised.
    """
    with ExitStack() as held:
        market = None
        configs: list[dict[str, str]] = [{} for _ in range(lesson.owners)]
        if peer in MARKETS:
            try:
                market = held.enter_context(_market(peer, lesson, rounds))
            except BadTerms as error:
                return {"peer": peer, "refused": str(error)}
            configs = [{HOME_KEY: str(home.path)} for home in market.homes]
        start = lesson.start()
        nodes = Nodes(workers, PeerClient(peer, lesson, tuple(start)), configs, silent=silent)
        with nodes, _errors() as failures:
            try:
                final = _trained(peer, nodes, start, rounds, secagg, market)
            except Exception as error:
                failures.append(f"{type(error).__name__}: {error}")
                final = start
        return {
            "peer": peer,
            "rounds": rounds,
            **asdict(nodes.meter),
            "compressed_to": _compressed_to(nodes.largest_reply),
            **lesson.judge(final),
            "failures": failures,
            **(_market_facts(market) if market is not None else {}),
        }


def _market(peer: str, lesson: Lesson, rounds: int) -> LocalMarket:
    model, typical = dict(lesson.start()), lesson.typical()

    def terms(verification: Address) -> Terms:
        made = Terms.for_model(
            model,
            verification=verification,
            owners=lesson.owners,
            trained=None if typical is None else dict(typical),
            rounds=rounds,
            projected=peer == "projected",
        )
        # Where nobody can be accused, a hash commits to an update; silent data owners are waived here in either market.
        return replace(made, draw_delay_blocks=2, answer_seconds=0 if peer == "projected" else made.answer_seconds)

    return LocalMarket(terms, num_owners=lesson.owners)


def _trained(peer: str, nodes: Nodes, start: ArrayRecord, rounds: int, secagg: SecAgg, market: LocalMarket | None) -> ArrayRecord:
    if peer == "secagg+":
        return train_secagg(nodes, start, rounds=rounds, settings=secagg)
    owners = len(list(nodes.get_node_ids()))
    plain: dict[str, Any] = {"fraction_evaluate": 0.0, "min_train_nodes": 1, "min_available_nodes": owners}
    strategy: Strategy = FedAvg(**plain)
    if peer == "multikrum":
        strategy = MultiKrum(**plain, num_malicious_nodes=1, num_nodes_to_select=owners - 1)
    elif market is not None:
        strategy = Omnilytics(strategy, ledger=market.ledger, poll_seconds=1.0)
    return strategy.start(nodes, start, num_rounds=rounds).arrays


def _market_facts(market: LocalMarket) -> dict[str, Any]:
    """Gas of the last round, what each data owner may claim, and what a stranger's audit confirms."""
    gas = {t.event: t.gas_used for t in market.transactions if t.event in ("open", "settle")}
    earned = [ledger.claimable_wei(ledger.account) for ledger in market.owner_ledgers()]
    command = [sys.executable, "-m", "omnilytics_flwr", "audit", market.ledger.address, "--rpc-url", market.anvil.url, "--json"]
    audit = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return {"gas": gas, "earned_wei": earned, "reward_wei": market.ledger.terms().reward_wei, "audited_rounds": _confirmed(audit)}


def _confirmed(audit: dict[str, Any]) -> int:
    """Settled rounds that the audit has recomputed, none if anything in them does not follow."""
    return sum(one["outcome"] == "settled" for one in audit["rounds"]) if audit["complete"] else 0


def _compressed_to(message: bytes) -> float:
    """Share of its length to which a message compresses: next to nothing if an update that repeats itself is in it in clear."""
    part = message[:COMPRESSED_BYTES]
    return len(zlib.compress(part, 1)) / max(len(part), 1)


@contextmanager
def _errors() -> Iterator[list[str]]:
    """What Flower logs as errors meanwhile, each sentence once."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() not in said:
                said.append(record.getMessage())

    listener = Listener(logging.ERROR)
    logger = logging.getLogger("flwr")
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)
