"""``flwr run`` in a local market: what the command says, and its run from start to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import TermsError
from .own_superlink import PROGRAMS, OwnSuperLink, without_secrets

_FLWR = str(PROGRAMS / "flwr")
_COMPLETED = "finished:completed"


@dataclass(frozen=True, slots=True)
class FlwrRun:
    """A command ``flwr run``.

    Attributes
    ----------
    arguments : tuple of str
        After ``flwr run``.
    app : Path
        Folder of the app that it runs.
    run_config : str
        Its overrides, ``key=value key=value``.
    """

    arguments: tuple[str, ...]
    app: Path
    run_config: str

    @classmethod
    def parse(cls, words: Sequence[str]) -> FlwrRun:
        """The command that these words are, by Flower's own rules.

        Raises
        ------
        TermsError
            It is another command, or asks for what a local market brings itself.
        click.UsageError
            Flower does not know such an option.
        """
        if [Path(word).name for word in words[:1]] + list(words[1:2]) != ["flwr", "run"]:
            raise TermsError(
                f"{' '.join(words[:2])} is not `flwr run`; expected `flwr run PATH`; for scripts there is omnilytics_flwr.LocalMarket"
            )
        from flwr.cli.app import app
        from flwr.common.config import parse_config_args
        from typer.main import get_command

        arguments = tuple(words[2:])
        command = get_command(app).commands["run"]  # type: ignore[attr-defined]
        said = command.make_context("flwr run", list(arguments)).params
        brought = {
            f"SuperLink {said['superlink']}": said["superlink"],
            f"federation {said['federation']}": said["federation"],
            "number of nodes": any("num-supernodes" in one for one in said["federation_config_overrides"] or ()),
        }
        for what, named in brought.items():
            if named:
                raise TermsError(f"the command names a {what}; expected none: a local market brings its own; leave it out, or use --owners")
        if said["app"].startswith("@"):
            raise TermsError(f"{said['app']} is an app elsewhere; expected the folder of one; get it by `flwr new {said['app']}`")
        try:
            overrides = parse_config_args(list(said["run_config_overrides"] or ()))
        except ValueError as error:
            raise TermsError(f"the run config does not parse: {error}") from error
        run_config = " ".join(f"{name}={json.dumps(value)}" for name, value in overrides.items())
        return cls(arguments, Path(said["app"]).expanduser(), run_config)

    def complete(self, nodes: int) -> list[str]:
        """The command with what it needs to end with the run, on so many nodes."""
        stream = () if "--stream" in self.arguments else ("--stream",)
        return [_FLWR, "run", *self.arguments, *stream, "--federation-config", f"num-supernodes={nodes}"]


def run_app(
    command: FlwrRun, environment: Mapping[str, str], *, nodes: int, work: Path | None = None, output: IO[str] | int | None = None
) -> bool:
    """Run an app to its end on a SuperLink of its own; whether it completed.

    Parameters
    ----------
    command : FlwrRun
    environment : mapping of str to str
        Added to that of the apps, e.g. `LocalMarket.environment`.
    nodes : int
        How many are simulated.
    work : Path, optional
        Folder in which the apps run; by default the present one.
    output : file or descriptor, optional
        Where the command writes to; by default where this process does.

    Raises
    ------
    Unreachable
        The SuperLink did not start.
    """
    with tempfile.TemporaryDirectory(prefix="omnilytics-") as folder, OwnSuperLink(Path(folder), environment, work=work) as link:
        own = {**without_secrets(), **link.environment, "PYTHONUNBUFFERED": "1"}
        # A group of its own: a terminal's Ctrl-C reaches this process only, which then ends the command.
        running = subprocess.Popen(
            command.complete(nodes), env=own, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, process_group=0
        )
        try:
            if running.wait():
                return False
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        listed = subprocess.run([_FLWR, "list", "--format", "json"], env=own, capture_output=True, text=True, check=False)
        with suppress(ValueError, LookupError, TypeError):
            return bool(json.loads(listed.stdout)["runs"][0]["status"] == _COMPLETED)
        return False
