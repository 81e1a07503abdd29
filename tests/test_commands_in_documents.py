"""Commands in the documents are ones that their programs take: names, options and values, read by the programs' own parsers.

What the commands then do is tested where the commands are.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from flwr.cli.app import app as flwr_app
from flwr.superlink.cli.flower_superlink import _parse_args_run_superlink
from flwr.supernode.cli.flower_supernode import _parse_args_run_supernode
from typer.main import get_command

from omnilytics_flwr.cli.main import main
from omnilytics_flwr.trial.app_run import FlwrRun

from .test_documents import CODE, DOCUMENTS, FENCED, ROOT

REDIRECTED = re.compile(r"^(\d?>|&|\|)")
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


def commands_in(text: str) -> Iterator[list[str]]:
    """Words of every command in a document's blocks: loops are run once, comments and redirections are left out."""
    for block in FENCED.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"\$\(\([^)]*\)\)|\$\w+", "1", line.strip()).replace("0x...", "0x" + "0" * 40)
            if not line.startswith(tuple(f"{program} " for program in PROGRAMS)):
                continue
            words = [word for word in shlex.split(line, comments=True) if word != "..."]
            ends = [place for place, word in enumerate(words) if REDIRECTED.match(word)]
            yield words[: min(ends, default=len(words))]


def take_click(root: click.Command, words: list[str]) -> dict[str, object]:
    """What a command makes of its words; the command itself is not run."""
    command, name, rest = root, "", words
    while isinstance(command, click.Group):
        name, *rest = rest
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    with command.make_context(name, rest) as context:
        return dict(context.params)


def take_omnilytics(words: list[str]) -> None:
    values = take_click(main, words)
    if words[0] == "local":
        FlwrRun.parse(values["words"])  # type: ignore[arg-type]


def take_python(words: list[str]) -> None:
    if words[0] != "-m":
        assert (ROOT / words[0]).is_file()
        return
    found = find_spec(words[1])
    assert found is not None
    assert found.submodule_search_locations is None or find_spec(f"{words[1]}.__main__") is not None


def take_make(words: list[str]) -> None:
    assert words[0] in TARGET.findall((ROOT / "Makefile").read_text())


PROGRAMS: dict[str, Callable[[list[str]], object]] = {
    "omnilytics": take_omnilytics,
    "flwr": lambda words: take_click(get_command(flwr_app), words),
    "flower-superlink": lambda words: _parse_args_run_superlink().parse_args(words),
    "flower-supernode": lambda words: _parse_args_run_supernode().parse_args(words),
    "python": take_python,
    "make": take_make,
}


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.relative_to(ROOT).as_posix())
def test_programs_take_the_commands_of_a_document(document: Path) -> None:
    for program, *words in commands_in(document.read_text(encoding="utf-8")):
        PROGRAMS[program](words)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.relative_to(ROOT).as_posix())
def test_commands_and_options_that_a_document_names_in_passing_exist(document: Path) -> None:
    for named in CODE.findall(FENCED.sub("", document.read_text(encoding="utf-8"))):
        if not named.startswith("omnilytics "):
            continue
        words, command = re.sub(r" -- .*", "", named).split()[1:], main
        while isinstance(command, click.Group) and words and words[0] in command.commands:
            command = command.commands[words.pop(0)]  # type: ignore[assignment]
        known = {option for parameter in command.params for option in parameter.opts}
        assert command is not main, named
        assert [word for word in words if word.startswith("--") and word not in known] == [], named


@pytest.mark.parametrize(
    "line",
    ["omnilytics market creat", "omnilytics market create --no-such", "flwr run . --no-such", "flower-superlink --no-such", "make none"],
)
def test_command_that_a_program_does_not_take_is_told(line: str) -> None:
    ((program, *words),) = commands_in(f"```\n{line} > file   # words\n```")

    with pytest.raises((AssertionError, click.UsageError, SystemExit)):
        PROGRAMS[program](words)
