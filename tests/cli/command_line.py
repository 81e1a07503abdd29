"""Running the command line in this process, and reading what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from omnilytics_flwr.cli.main import main

MODEL_OWNER = ("--dev-account", "0")
DATA_OWNER = ("--dev-account", "1")


@dataclass(frozen=True)
class CommandLine:
    """Commands as a person gives them in a folder."""

    folder: Path

    def __call__(self, *arguments: str, typed: str | None = None) -> str:
        """What a command that succeeds says."""
        code, said, complaint = self.run(arguments, typed)
        assert code == 0, complaint or said
        return said

    def json(self, *arguments: str, typed: str | None = None) -> Any:
        """What a command that succeeds says in JSON."""
        return json.loads(self(*arguments, "--json", typed=typed))

    def refused(self, *arguments: str, typed: str | None = None) -> str:
        """The sentence of a command that is refused; the same to a person and in JSON, but for units of amounts and times."""
        code, said, complaint = self.run(arguments, typed)
        assert code == 1, (code, said, complaint)
        assert "Traceback" not in complaint
        code, in_json, _ = self.run((*arguments, "--json"), typed)
        assert code == 1
        told = json.loads(in_json[in_json.index("{") :])
        assert set(told) == {"error", "message"}
        *_, sentence = complaint.strip().split("refused: ")
        assert told["error"] == "NotFunded" or "Unix seconds" in told["message"] or told["message"] == sentence
        return sentence

    def misused(self, *arguments: str) -> str:
        """What is said of a wrong command line."""
        code, said, complaint = self.run(arguments, None)
        assert code == 2, (code, said, complaint)
        return " ".join(complaint.split())

    def run(self, arguments: tuple[str, ...], typed: str | None = None) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        result = CliRunner().invoke(main, list(arguments), input=typed)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr


def run_without(packages: set[str], *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, where these packages are not installed."""
    program = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {packages}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from omnilytics_flwr.cli.main import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
