"""The owner agent as a process of its own: for one home, it serves Flower clients on a socket and watches the market."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ..crypto.kzg import check_known_answer
from ..errors import ChainError, Refused
from ..files import locked, remove_leftovers, write_file
from ..interruption import signals_interrupt
from ..market.amount import format_amount
from ..market.market_view import MarketState
from ..telemetry import HOST, told_on
from .agent_health import AgentHealth
from .agent_server import AgentServer
from .owner_home import OwnerHome, try_node
from .round_needs import RoundNeeds
from .run_folder import group_id, make_run_folder
from .watcher import Watcher

LOCK_NAME = "agent.lock"
SEEN_NAME = "agent.seen"
"""Says when the agent last saw the chain, and what it saw; JSON."""
REQUEST_SECONDS = 10.0
RECEIPT_SECONDS = 60.0
"""Shorter than elsewhere: while the watcher waits for one thing, it sees no other."""

_log = logging.getLogger(__name__)


def run_agent(
    path: Path, *, on_ready: Callable[[], None] | None = None, stop: threading.Event | None = None, health: int | None = None
) -> None:
    """Be the owner agent of a home until SIGTERM, SIGINT, or `stop`; if it is killed, the next one continues where it stopped.

    Parameters
    ----------
    path : Path
        The owner home.
    on_ready : callable, optional
        Called once clients are served.
    stop : threading.Event, optional
        Ends the agent when set; signals are handled in the main thread only.
    health : int, optional
        Port of loopback on which the agent tells how it is; by default it tells nobody.

    Raises
    ------
    Refused
        There is no home at the path, it has an agent already, its run folder cannot be shared as it says, or the port is taken.
    TermsError, ChainError
        The home cannot be used, or its chain cannot be reached.
    """
    home, end = OwnerHome.open(path), stop or threading.Event()
    busy = Refused(f"an owner agent is at work on {path} already, and a home has one; stop that one first")
    with locked(path / LOCK_NAME, if_held=busy), _socket_folder(home) as (folder, group), signals_interrupt(end.set):
        remove_leftovers(path)
        check_known_answer()
        ledger = home.ledger(timeout_seconds=REQUEST_SECONDS, receipt_seconds=RECEIPT_SECONDS)
        second, policy = home.second_node(ledger), home.policy_on(ledger.connection)
        told = AgentHealth(ledger, path, policy.fresh_seconds)

        def note_seen(state: MarketState) -> None:
            _note_seen(path, state)
            if health is not None:
                told.note(state)

        watcher = Watcher(
            ledger=ledger,
            journal=home.journal(),
            signer=ledger.sender,
            policy=policy,
            balance_wei=lambda: ledger.connection.balance_wei(ledger.account),
            gas_price_wei=ledger.gas_price_wei,
            enrol_again=(lambda: agent.enrol_again()) if home.policy.enrol_again else None,
            tidy=lambda: agent.tidy(),
            on_seen=note_seen,
            second=second,
        )
        agent = home.agent_for(ledger, check_ready=_check_of(watcher, lambda: try_node(ledger)), second=second, ahead=True)
        watcher.see()  # so that the first client finds it fresh; what there is to do may take its time
        with AgentServer(folder, agent, group=group), told_on(health, "omnilytics_agent", told.report) as port:
            if port is not None:
                _log.info("tells how it is on http://%s:%d/health", HOST, port)
            _log.info("owner agent of %s at work for market %s", ledger.account, ledger.address)
            _log.info("%s", RoundNeeds.of(ledger.scheme()))
            if on_ready is not None:
                on_ready()
            watcher.run(end)
    _log.info("owner agent of %s at rest", ledger.account)


def _check_of(watcher: Watcher, find_cost_wei: Callable[[], int]) -> Callable[[], None]:
    """What is asked before a commitment: whether the node would pass an answer on, tried until it would, and whether the watcher is ready."""
    trouble = _tried(find_cost_wei)

    def check_ready() -> None:
        nonlocal trouble
        if trouble is not None:
            trouble = _tried(find_cost_wei)
        if trouble is not None:
            raise Refused("an accusation could not be answered: the data owner's node fails it; the agent's log says how")
        watcher.check_ready()

    return check_ready


def _tried(find_cost_wei: Callable[[], int]) -> ChainError | None:
    """Why this node could not pass an answer on, if so: the agent works all the same for what is committed, and commits to nothing new."""
    try:
        cost_wei = find_cost_wei()
    except ChainError as error:
        _log.error("nothing is committed by this agent: %s", error)
        return error
    if cost_wei:
        _log.info("an answer to an accusation would cost %s now", format_amount(cost_wei))
    return None


@contextmanager
def _socket_folder(home: OwnerHome) -> Iterator[tuple[Path, int | None]]:
    """Where the socket goes, held against other agents, and the group that shares it."""
    folder, group = home.socket_folder(), group_id(home.config.run_group)
    if folder == home.path:
        yield folder, group
        return
    make_run_folder(folder, group)
    with locked(folder / LOCK_NAME, if_held=Refused(f"another home's agent is at work in the run folder {folder}; a home needs its own")):
        yield folder, group


def _note_seen(path: Path, state: MarketState) -> None:
    """Tell whoever looks into the home that the agent is alive."""
    seen = {"seen": int(time.time()), "process": os.getpid(), "stage": state.stage.name.lower(), "epoch": state.epoch, "round": state.round}
    with contextlib.suppress(OSError):  # an agent that answers is worth more than one that tells
        write_file(path / SEEN_NAME, msgspec.json.encode(seen))
