"""A Flower app in its folder: its components, its run config, and its code run with no market around it."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import tomllib
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import TermsError

_SETTING = re.compile(r"""([^\s=]+)\s*=\s*("[^"]*"|'[^']*'|[^\s"']+)""")

_OUR_NAME = re.compile(r"\s*omnilytics[-_.]+flwr\s*($|[^-\w.@\s])", re.IGNORECASE)
"""With no address after it."""


@dataclass(frozen=True, slots=True)
class AppFolder:
    """What an app's pyproject.toml says of it.

    Attributes
    ----------
    path : Path
        Folder of the pyproject.toml, as it was named.
    root : Path
        The same, wherever its code works.
    components : mapping of str to str
        Where ``serverapp`` and ``clientapp`` are, as ``module:attribute``.
    config : mapping of str to scalar
        Its run config, with dotted names.
    """

    path: Path
    root: Path
    components: Mapping[str, str]
    config: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path, run_config: str = "") -> AppFolder:
        """The app in a folder, with overrides as of ``flwr run --run-config``; raises `TermsError` if there is none."""
        try:
            said = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["flwr"]["app"]
            components = {name: str(said["components"][name]) for name in ("serverapp", "clientapp")}
        except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
            raise TermsError(
                f"{path} is no Flower app ({error!r}); expected a pyproject.toml that names its serverapp and clientapp; check the path"
            ) from error
        return cls(path, path.resolve(), components, dict(_flat(said.get("config", {}))) | settings_in(run_config, "run config"))

    def load(self, component: str) -> Any:
        """One of its components; raises `TermsError` if a package is missing that it imports."""
        module, _, attribute = self.components[component].partition(":")
        try:
            return getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise TermsError(
                f"{self.path} imports {error.name}, which is not here; install what its pyproject.toml names, then try again"
            ) from None

    def place_of(self, error: BaseException) -> str:
        """The last line of the app's own code that an error came by, as a clause; empty if it came by none."""
        lines = [(Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__)]
        own = [(file, line) for file, line in lines if file.is_relative_to(self.root) and "site-packages" not in file.parts]
        return f" at {own[-1][0].relative_to(self.root)}, line {own[-1][1]}" if own else ""


def asks_registry_for_us(app: Path) -> str:
    """A sentence about an app whose dependencies name this package, as if a registry had it; empty if they do not."""
    project = tomllib.loads((app / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    if not any(_OUR_NAME.match(str(one)) for one in project.get("dependencies", [])):
        return ""
    return (
        f"the dependencies of {app} name omnilytics_flwr, and on the public registry that name is not ours: elsewhere, flwr run may install "
        "somebody else's code; take it out of the pyproject.toml, and install this package from its checkout"
    )


@contextmanager
def at_work(app: AppFolder) -> Iterator[None]:
    """Run an app's code: its modules are found, it works in an empty folder that is deleted, and it opens no run at W&B.

    Its modules are forgotten afterwards: another app may call its own the same.
    """
    before = set(sys.modules)
    packages = {where.partition(":")[0].split(".")[0] for where in app.components.values()}
    with ExitStack() as held:
        held.enter_context(replaced(sys, "path", [str(app.root), *sys.path]))
        held.enter_context(chdir(held.enter_context(tempfile.TemporaryDirectory(prefix="omnilytics-"))))
        held.enter_context(_variable("WANDB_MODE", "disabled"))
        try:
            yield
        finally:
            for name in {name for name in sys.modules if name.split(".")[0] in packages} - before:
                del sys.modules[name]


@contextmanager
def replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    """Meanwhile an attribute has another value."""
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


def settings_in(text: str, what: str) -> dict[str, Any]:
    """Settings as they stand on Flower's command lines, ``key=value key=value``, with dotted names; `what` they are is for the error."""
    try:
        parsed = tomllib.loads("\n".join(f"{key} = {value}" for key, value in _SETTING.findall(text)))
    except tomllib.TOMLDecodeError as error:
        raise TermsError(f'the {what} {text!r} does not parse: {error}; write it as "key=value key=value", text in quotes') from error
    return dict(_flat(parsed))


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


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Entries with dotted names, as Flower gives them to apps."""
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
