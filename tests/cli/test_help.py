"""What holds for every command, and that the command line starts light."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

import omnilytics_flwr
from omnilytics_flwr.cli.main import main

from .command_line import CommandLine

ROOT = Path(__file__).parents[2]
SENDING = {
    "claim", "depart", "epoch draw", "epoch freeze", "join", "leave", "market close", "market create", "market deploy", "market fund",
    "round timeout", "withdraw",
}  # fmt: skip


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_of_the_command(bare: CommandLine, name: str) -> None:
    said = bare(*name.split(), "--help")
    assert f"omnilytics {name}" in said.partition("Example")[2]
    assert "--json" in said
    assert "--config" in said


@pytest.mark.parametrize("group", [[], ["wallet"], ["market"], ["owner"], ["epoch"], ["round"]])
def test_list_of_commands_says_of_each_in_a_whole_sentence_what_it_does(bare: CommandLine, group: list[str]) -> None:
    said = bare(*group, "--help")
    listed = said.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert listed
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)


def test_what_sends_can_be_planned() -> None:
    assert {name for name, command in COMMANDS.items() if any("--dry-run" in p.opts for p in command.params)} == SENDING


def test_no_key_and_no_password_is_ever_an_argument() -> None:
    for command in COMMANDS.values():
        for parameter in command.params:
            secret = any(word in parameter.name or "" for word in ("password", "key", "secret", "mnemonic"))
            assert not secret or isinstance(parameter.type, click.Path), parameter.name


@pytest.mark.parametrize("arguments", [["--help"], ["market", "fund", "--help"], ["wallet", "--help"]])
def test_help_starts_within_a_second_and_loads_no_chain(arguments: list[str]) -> None:
    code = (
        "import json, sys, time\n"
        "start = time.process_time()\n"
        "from omnilytics_flwr.cli.main import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "print(json.dumps([time.process_time() - start, sorted({name.split('.')[0] for name in sys.modules})]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, loaded = json.loads(done.stdout.splitlines()[-1])
    assert seconds < 1
    assert "click" in loaded
    assert not set(loaded) & {"web3", "eth_account", "eth_abi", "eth_utils", "requests", "flwr", "torch", "numpy", "rich", "cryptography"}


def test_installed_command_and_module_are_this_one(bare: CommandLine) -> None:
    assert bare("--version").strip() == f"omnilytics, version {omnilytics_flwr.__version__}"
    done = subprocess.run([sys.executable, "-m", "omnilytics_flwr", "market", "--help"], capture_output=True, text=True, check=True)
    assert "terms-template" in done.stdout
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["omnilytics"].partition(":")
    assert callable(getattr(import_module(module), name))
    assert module == "omnilytics_flwr.__main__", "which is what the module's run is"


def test_documentation_names_every_command() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text()
    table = text.partition("| command |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]
    named = {" ".join((*words[:-1], last)) for row in rows for words, last in _named(row)}
    assert named == set(COMMANDS)


def _named(row: str) -> Iterator[tuple[list[str], str]]:
    """Commands of a row such as ``omnilytics market create`, `fund``: the words of the first, and what the others put for its last."""
    first, *others = re.findall(r"`([^`]+)`", row)
    words = first.split()[1:]
    for last in (words[-1], *others):
        yield words, last


def test_command_interrupted_while_it_loads_says_one_line() -> None:
    code = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'omnilytics_flwr.cli.main':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from omnilytics_flwr.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
