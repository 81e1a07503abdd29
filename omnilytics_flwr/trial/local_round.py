"""One local round of an app: what some of its clients make of the model that its server starts from."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from flwr.app import ArrayRecord, Context, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import ClientAppCallable
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

import omnilytics_flwr

from ..errors import CannotCompose, Refused, TermsError
from ..flower.compat import unsaid
from ..flower.inner_strategy import InnerStrategy
from ..flower.metrics import allowed_metrics, examples_in, plain_metrics
from ..flower.mod_order import check_place
from ..flower.weights import difference
from ..market.terms import ABOUT, is_metric_name
from ..market.terms_bounds import MOST_METRIC_BYTES
from .app_folder import AppFolder, at_work, replaced, settings_in
from .app_model import AppStart, start_of

_FIRST_NODE = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LocalRound:
    """What a local round came to.

    Attributes
    ----------
    start : AppStart
        What the server starts from.
    trained : tuple of ArrayRecord
        The whole model as each client trained it.
    examples : tuple of int
        On how many examples each client that trained says it did, by the metric by which the strategy weighs; 0 if it does not say.
    metrics : tuple of str
        Names of the numbers that the clients report, of training and of evaluation.
    has_mod : bool
        Whether the client app has a mod of ours.
    seconds : float
        The longest that one of them trained.
    trouble : str
        What failed and would end no run, in a sentence; empty if nothing did.
    """

    start: AppStart
    trained: tuple[ArrayRecord, ...]
    examples: tuple[int, ...]
    metrics: tuple[str, ...]
    has_mod: bool
    seconds: float
    trouble: str

    @property
    def fitting(self) -> tuple[str, ...]:
        """Of the metrics, those that terms have room for: the weight of averages first, then as many as can be, so the shortest."""
        weight = InnerStrategy(self.start.strategy).weight_key
        taken: list[str] = []
        for name in sorted(self.metrics, key=lambda name: (name != weight, len(name), name)):
            if ABOUT["metrics"].measure([*taken, name]) <= MOST_METRIC_BYTES:
                taken.append(name)
        return tuple(sorted(taken))

    @property
    def no_room(self) -> str:
        """A sentence about the metrics that terms have no room for; empty if they all fit."""
        left = ", ".join(name for name in self.metrics if name not in self.fitting)
        return left and (
            f"{left} have no room in the terms, which hold {MOST_METRIC_BYTES} bytes of metrics' names; give them shorter names if they may "
            "leave a data owner"
        )


class _Nodes:
    """Stands where a strategy gets its grid to ask who is there."""

    def __init__(self, count: int) -> None:
        self._count = count

    def get_node_ids(self) -> Iterable[int]:
        return range(_FIRST_NODE, _FIRST_NODE + self._count)


def local_round(
    app: Path,
    *,
    owners: int,
    trained: int = 3,
    count_all: bool = False,
    run_config: str = "",
    node_config: str = "",
    on_client: Callable[[int], None] = lambda number: None,
) -> LocalRound:
    """Run an app's server up to its first task, and its train function for some data owners; no market is asked.

    The app's own code runs, in an empty folder and without W&B. What it prints goes to standard error.

    Parameters
    ----------
    app : Path
        Folder of its pyproject.toml; in a market already or not.
    owners : int
        Data owners among whom the app divides its data, as ``num-partitions``.
    trained : int, 1 .. owners (default: 3)
        How many of them train: those with the first partitions.
    count_all : bool (default: False)
        Whether the others train too, to tell on how many examples; what they train is not kept.
    run_config, node_config : str
        As of ``flwr run --run-config`` and ``flower-supernode --node-config``.
    on_client : callable, optional
        Called with the number of each data owner, from 1, before it trains.

    Raises
    ------
    TermsError
        There is no Flower app, it fails, or it trains nobody.
    CannotCompose
        Its strategy needs more than the mean of the updates.
    """
    folder = AppFolder.read(app, run_config)
    config = settings_in(node_config, "node config")

    def context_of(place: int) -> Context:
        own = {"partition-id": place, "num-partitions": owners} | config
        return Context(run_id=1, node_id=_FIRST_NODE + place, node_config=own, state=RecordDict(), run_config=dict(folder.config))

    with at_work(folder), _without_mod() as mods, redirect_stdout(sys.stderr):
        start = start_of(folder)
        client: ClientApp = folder.load("clientapp")
        models, examples, names, seconds = [], [], set[str](), 0.0
        inner = _checked_strategy(folder, start, owners)
        for place, task in enumerate(_tasks(folder, start, inner, owners)[: owners if count_all else trained]):
            on_client(place + 1)
            began = time.perf_counter()
            reply = _trained(folder, client, task, context_of(place), start.arrays)
            seconds = max(seconds, time.perf_counter() - began)
            models += list(reply.content.array_records.values()) if place < trained else []
            examples.append(examples_in(reply.content, inner.weight_key))
            names |= _metrics(reply)
        evaluated, trouble = _evaluated(folder, client, start, inner, owners, context_of(0))
    return LocalRound(start, tuple(models), tuple(examples), tuple(sorted(names | evaluated)), bool(mods), seconds, trouble)


def _checked_strategy(app: AppFolder, start: AppStart, owners: int) -> InnerStrategy:
    """The app's strategy as a market wraps it, once it has evaluated the model that it starts from as Flower does first."""
    needed = getattr(start.strategy, "min_available_nodes", 0)
    if needed > owners:
        raise TermsError(f"the strategy of {app.path} waits for {needed} nodes; expected at most {owners}, the data owners; name more")
    if start.evaluate_fn is not None:
        try:
            plain_metrics(start.evaluate_fn(0, start.arrays))
        except Exception as error:
            raise TermsError(
                f"the evaluate_fn of {app.path} fails: {type(error).__name__}: {error}; see whether it runs without a market"
            ) from error
    return InnerStrategy(start.strategy)


def _asked(app: AppFolder, what: str, ask: Callable[[], T]) -> T:
    """What a strategy asks of its clients."""
    try:
        return ask()
    except CannotCompose:
        raise
    except Exception as error:
        raise TermsError(f"the strategy of {app.path} fails to ask for {what}: {type(error).__name__}: {error}") from error


def _tasks(app: AppFolder, start: AppStart, inner: InnerStrategy, owners: int) -> list[Message]:
    """What it asks of every client in round 1."""
    grid = _Nodes(owners)
    content = _asked(app, "training", lambda: inner.train_content(1, start.arrays, start.train_config, cast(Grid, grid)))
    if content is None:
        raise TermsError(f"the strategy of {app.path} asks nobody to train in round 1; expected some task; see its fraction_train")
    return [Message(content, node, MessageType.TRAIN) for node in grid.get_node_ids()]


def _trained(app: AppFolder, client: ClientApp, task: Message, context: Context, model: ArrayRecord) -> Message:
    """What one client replies: the model as it trained it, and metrics."""
    whose = f"the client app of {app.path}"
    try:
        reply = client(task, context)
    except Refused as refused:  # of the mod's place
        raise TermsError(f"{whose} is refused in a market: {refused}") from refused
    except Exception as error:
        place = app.place_of(error)
        raise TermsError(f"{whose} fails{place}: {type(error).__name__}: {error}; {_advice(error, place, context)}") from error
    if reply.has_error():
        raise TermsError(f"{whose} replies with an error: {reply.error.reason}; see whether it runs without a market")
    records = list(reply.content.array_records.values())
    wrong = difference(records[0], model) if len(records) == 1 else f"there are {len(records)} records of arrays"
    if wrong:
        raise TermsError(f"{whose} replies with another model: {wrong}; expected one ArrayRecord like the one it was sent")
    return reply


def _advice(error: Exception, place: str, context: Context) -> str:
    """What to do about a client that fails: without a market, Flower may divide its data among fewer nodes."""
    if not place or isinstance(error, NameError):
        return "see whether it runs without a market"
    node = context.node_config
    config = f", with the node config {', '.join(node)}" if isinstance(error, KeyError) else ""
    return f"it was tried as partition {node['partition-id']} of {node['num-partitions']}{config}; --owners changes how many there are (15 at least)"


def _evaluated(
    app: AppFolder, client: ClientApp, start: AppStart, inner: InnerStrategy, owners: int, context: Context
) -> tuple[set[str], str]:
    """Names of what a client reports of an evaluation; and a sentence if that fails, which ends no run."""
    grid = cast(Grid, _Nodes(owners))
    content, nodes = _asked(app, "evaluation", lambda: inner.evaluate_content(1, start.arrays, start.evaluate_config, grid))
    if content is None:
        return set(), ""
    try:
        reply = client(Message(content, nodes[0], MessageType.EVALUATE), context)
        failure = str(reply.error.reason) if reply.has_error() else ""
    except Refused as refused:
        raise TermsError(f"the client app of {app.path} is refused in a market: {refused}") from refused
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    if failure:
        return set(), f"the client app of {app.path} fails to evaluate: {failure}; a run goes on, without metrics of evaluation"
    return _metrics(reply), ""


def _metrics(reply: Message) -> set[str]:
    """Names of what may leave a data owner of a market whose terms name all that can be named."""
    names = {name for record in reply.content.metric_records.values() for name in record if is_metric_name(name)}
    return {name for record in allowed_metrics(reply.content, names).metric_records.values() for name in record}


@contextmanager
def _without_mod() -> Iterator[list[str]]:
    """A patched client's mod hands messages on, and messages can be made as in a server; the list has what came by the mod."""
    came: list[str] = []

    def hand_on(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        check_place(hand_on)  # as the mod itself does in a market
        came.append(message.metadata.message_type)
        return call_next(message, context)

    changes: Mapping[tuple[Any, str], object] = {
        (omnilytics_flwr, "omnilytics_mod"): hand_on,
        (omnilytics_flwr, "OmnilyticsMod"): lambda **options: hand_on,
        (TaskIdentity, "_task_id"): 1,
        (TaskIdentity, "_run_id"): 1,
        (TaskIdentity, "_node_id"): _FIRST_NODE,
    }
    with ExitStack() as held:
        for (owner, name), value in changes.items():
            held.enter_context(replaced(owner, name, value))
        held.enter_context(unsaid("configure_train: ", "configure_evaluate: "))
        yield came
