"""Which Flower app a function is from: the publisher and name of its project, which stay the same over versions."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any


def app_name(function: Callable[..., Any]) -> str:
    """``publisher/name``, as Flower has it; of a function that is in no app's folder, the name of its module."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)  # a decorator's own file is no app's
    named = function if hasattr(function, "__qualname__") else type(function)
    try:
        folders = Path(inspect.getfile(named)).resolve().parents
    except (TypeError, OSError):
        folders = Path("/").parents
    return next(filter(None, map(_app_at, folders)), str(named.__module__))


def _app_at(folder: Path) -> str:
    """The app whose folder it is; nothing if it is none's."""
    try:
        project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())
        return f"{project['tool']['flwr']['app']['publisher']}/{project['project']['name']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
