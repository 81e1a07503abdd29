"""The model of an app that somebody else wrote: what its server would start training from, and by which strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, RecordDict
from flwr.server.strategy import Strategy as LegacyStrategy
from flwr.serverapp.strategy import Strategy

import omnilytics_flwr

from ..errors import CannotCompose, TermsError, UpdateError
from ..flower.compose import check_composes
from ..flower.weights import flatten
from .app_folder import AppFolder, at_work, replaced


@dataclass(frozen=True, slots=True)
class AppStart:
    """How an app's server starts training.

    Attributes
    ----------
    arrays : ArrayRecord
        The whole model.
    strategy : Strategy
        The app's own, without a market.
    rounds : int
    train_config, evaluate_config : ConfigRecord
        What it is started with.
    in_market : bool
        Whether the app wraps it in `Omnilytics`.
    private : tuple of str
        Patterns of the private parameters, if the app names them to `Omnilytics`.
    evaluate_fn : callable, optional
        What it is started with.
    """

    arrays: ArrayRecord
    strategy: Strategy
    rounds: int
    train_config: ConfigRecord
    evaluate_config: ConfigRecord
    in_market: bool
    private: tuple[str, ...]
    evaluate_fn: Callable[[int, ArrayRecord], Any] | None = None


class _Started(BaseException):
    """Ends the server app where it would start to train; no `Exception`, so that the app does not catch it."""

    def __init__(self, strategy: Strategy, arrays: ArrayRecord, rounds: int, evaluate_fn: Any, *configs: ConfigRecord | None) -> None:
        super().__init__()
        self.strategy, self.arrays, self.rounds, self.evaluate_fn = strategy, arrays, rounds, evaluate_fn
        self.configs = tuple(ConfigRecord() if config is None else config for config in configs)


class _Refused(BaseException):
    """Ends the server app where it would do what no market can; the error says what."""

    def __init__(self, error: TermsError) -> None:
        super().__init__()
        self.error = error


class _NoGrid:
    """Stands where the server app gets its grid: there are no nodes here."""

    def __getattr__(self, name: str) -> Any:
        raise TermsError(f"the app asks its grid for {name} before it starts a strategy; expected start first; count its weights by hand")


@dataclass(slots=True)
class _Market:
    """Stands where a patched app finds its market."""

    in_market: bool = False
    private: tuple[str, ...] = ()

    def omnilytics(self, inner: Strategy, *, private: Iterable[str] = (), **options: object) -> Strategy:
        """Stands for `Omnilytics`: the strategy alone."""
        self.in_market, self.private = True, tuple(private)
        return inner


def initial_arrays(app: Path, run_config: str = "") -> ArrayRecord:
    """What the app's strategy is started with; the app's own code runs until there, in an empty folder and without W&B.

    Parameters
    ----------
    app : Path
        Folder of its pyproject.toml; patched or not.
    run_config : str
        Overrides as of ``flwr run --run-config``.

    Raises
    ------
    TermsError
        There is no Flower app, it fails, or it starts no strategy that a market could run.
    """
    folder = AppFolder.read(app, run_config)
    with at_work(folder):
        return start_of(folder).arrays


def start_of(app: AppFolder) -> AppStart:
    """Run an app's server, which is `at_work`, up to where it starts training; raises `TermsError` if it never does."""
    context = Context(run_id=0, node_id=0, node_config={}, state=RecordDict(), run_config=dict(app.config))
    market = _Market()
    with _without_market(market):
        try:
            app.load("serverapp")(_NoGrid(), context)
        except _Started as started:
            train, evaluate = started.configs
            its_own = (market.in_market, market.private, started.evaluate_fn)
            return AppStart(started.arrays, started.strategy, started.rounds, train, evaluate, *its_own)
        except _Refused as refused:
            raise refused.error from None
        except TermsError:
            raise
        except Exception as error:
            said = f"the server app of {app.path} fails before it starts a strategy: {type(error).__name__}: {error}"
            raise TermsError(f"{said}; see whether it runs without a market, or count its weights by hand") from error
    raise TermsError(
        f"the server app of {app.path} ends without starting a strategy; expected strategy.start(...); count its weights by hand"
    )


def table(arrays: ArrayRecord) -> tuple[str, int]:
    """Parameters of a model and what becomes of each in a market; and the number of weights that the terms must say."""
    rows, weights = [("parameter", "dtype", "shape", "in a market")], 0
    for name, array in arrays.items():
        try:
            count = flatten(ArrayRecord({name: array})).size
        except UpdateError as error:
            rows.append((name, array.dtype, str(tuple(array.shape)), f"refused: {error}"))
            continue
        constant = not count and array.numpy().size
        weights += count
        rows.append((name, array.dtype, str(tuple(array.shape)), "constant" if constant else f"{count:,} weights"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows]
    return "\n".join(lines), weights


def _start(
    strategy: Strategy,
    grid: object,
    initial_arrays: ArrayRecord,
    num_rounds: int = 3,
    timeout: float = 3600,
    train_config: ConfigRecord | None = None,
    evaluate_config: ConfigRecord | None = None,
    evaluate_fn: Any = None,
    **named: object,
) -> None:
    """Stands for Flower's `start`, whose parameters these are."""
    raise _Started(strategy, initial_arrays, num_rounds, evaluate_fn, train_config, evaluate_config)


def _attribute(self: Strategy, name: str) -> Any:
    """Stands for how a strategy finds its attributes, so that no `start` runs, not even one that the app has written."""
    if name != "start":
        return object.__getattribute__(self, name)
    try:
        check_composes(self)
    except CannotCompose as error:
        raise _Refused(error) from None
    return partial(_start, self)


def _legacy(self: LegacyStrategy, *arguments: object, **named: object) -> None:
    raise _Refused(
        TermsError(
            f"{type(self).__name__} is a strategy of flwr.server.strategy, which no market runs; expected one of flwr.serverapp.strategy; "
            "move the app to Flower's message API"
        )
    )


@contextmanager
def _without_market(market: _Market) -> Iterator[None]:
    """Strategies stop at their start, and a patched app's market is left out."""
    with ExitStack() as held:
        held.enter_context(replaced(Strategy, "__getattribute__", _attribute))
        held.enter_context(replaced(LegacyStrategy, "__init__", _legacy))
        held.enter_context(replaced(omnilytics_flwr, "open_market", lambda **options: None))
        held.enter_context(replaced(omnilytics_flwr, "Omnilytics", market.omnilytics))
        yield
