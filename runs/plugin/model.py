"""The model of an app that somebody else wrote: what its server would start training from."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, Context, RecordDict
from flwr.server.strategy import Strategy as LegacyStrategy
from flwr.serverapp.strategy import Strategy

import omnilytics_flwr
from omnilytics_flwr.errors import TermsError, UpdateError
from omnilytics_flwr.flower.weights import flatten

_OVERRIDE = re.compile(r"""([^\s=]+)\s*=\s*("[^"]*"|'[^']*'|[^\s"']+)""")


class _Started(BaseException):
    """Ends the server app where it would start to train; no `Exception`, so that the app does not catch it."""

    def __init__(self, arrays: ArrayRecord) -> None:
        super().__init__()
        self.arrays = arrays


class _Refused(BaseException):
    """Ends the server app where it would do what no market can; its text is a whole sentence."""


class _NoGrid:
    """Stands where the server app gets its grid: there are no nodes here."""

    def __getattr__(self, name: str) -> Any:
        raise TermsError(f"the app asks its grid for {name} before it starts a strategy; expected start first; count its weights by hand")


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
    try:
        project = tomllib.loads((app / "pyproject.toml").read_text(encoding="utf-8"))
        module, _, attribute = project["tool"]["flwr"]["app"]["components"]["serverapp"].partition(":")
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise TermsError(
            f"{app} is no Flower app ({error!r}); expected a pyproject.toml that names its serverapp; check the path"
        ) from error
    config = dict(_flat(project["tool"]["flwr"]["app"].get("config", {}))) | _overrides(run_config)
    context = Context(run_id=0, node_id=0, node_config={}, state=RecordDict(), run_config=config)
    with _without_market(), _replaced(sys, "path", [str(app.resolve()), *sys.path]), _apart():
        try:
            getattr(import_module(module), attribute)(_NoGrid(), context)
        except _Started as started:
            return started.arrays
        except _Refused as refused:
            raise TermsError(str(refused)) from None
        except ModuleNotFoundError as error:
            raise TermsError(
                f"{app} imports {error.name}, which is not here; install what its pyproject.toml names, then try again"
            ) from None
        except TermsError:
            raise
        except Exception as error:
            said = f"the server app of {app} fails before it starts a strategy: {type(error).__name__}: {error}"
            raise TermsError(f"{said}; see whether it runs without a market, or count its weights by hand") from error
    raise TermsError(f"the server app of {app} ends without starting a strategy; expected strategy.start(...); count its weights by hand")


def table(arrays: ArrayRecord) -> str:
    """Parameters of a model, what becomes of each in a market, and the number of weights that the terms must say."""
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
    return "\n".join([*lines, f"Terms(weights={weights})"])


def _start(grid: object, initial_arrays: ArrayRecord, *arguments: object, **named: object) -> None:
    raise _Started(initial_arrays)


def _attribute(self: Strategy, name: str) -> Any:
    """Stands for how a strategy finds its attributes, so that no `start` runs, not even one that the app has written."""
    if name != "start":
        return object.__getattribute__(self, name)
    if (kind := type(self)).start is not Strategy.start:
        raise _Refused(
            f"{kind.__name__} overrides start, and a market runs its own; expected Flower's start; move what it does into aggregate or "
            "evaluate functions of the app, or give it to Omnilytics as on_model="
        )
    return _start


def _legacy(self: LegacyStrategy, *arguments: object, **named: object) -> None:
    raise _Refused(
        f"{type(self).__name__} is a strategy of flwr.server.strategy, which no market runs; expected one of flwr.serverapp.strategy; move the "
        "app to Flower's message API"
    )


@contextmanager
def _apart() -> Iterator[None]:
    """Work in an empty folder, where nobody misses what the app writes, and keep it from opening a run at W&B."""
    with tempfile.TemporaryDirectory(prefix="omnilytics-") as folder, chdir(folder), _variable("WANDB_MODE", "disabled"):
        yield


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


@contextmanager
def _without_market() -> Iterator[None]:
    """Strategies stop at their start, and a patched app's market is left out."""
    with (
        _replaced(Strategy, "__getattribute__", _attribute),
        _replaced(LegacyStrategy, "__init__", _legacy),
        _replaced(omnilytics_flwr, "open_market", _no_market),
        _replaced(omnilytics_flwr, "Omnilytics", _inner_alone),
    ):
        yield


def _no_market() -> None:
    """Stands for `open_market`."""


def _inner_alone(inner: Strategy, **options: object) -> Strategy:
    """Stands for `Omnilytics`."""
    return inner


@contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)  # what it inherits is found again


def _overrides(text: str) -> dict[str, Any]:
    try:
        parsed = tomllib.loads("\n".join(f"{key} = {value}" for key, value in _OVERRIDE.findall(text)))
    except tomllib.TOMLDecodeError as error:
        raise TermsError(f'the run config {text!r} does not parse: {error}; write it as "key=value key=value", text in quotes') from error
    return dict(_flat(parsed))


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Entries with dotted names, as Flower gives them to apps."""
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
