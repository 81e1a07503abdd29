"""What is installed is pinned, named without hosts, and installed again only when its description changes."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8")
LOCKS = [ROOT / folder / "package-lock.json" for folder in ("contracts", "runs")]


@pytest.fixture
def setup_script() -> ModuleType:
    """The set-up script as a module of its own in each test."""
    spec = importlib.util.spec_from_file_location("setup_script", ROOT / ".ci" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_dependency_is_pinned_to_one_exact_version() -> None:
    lines = [line for line in CONSTRAINTS.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    assert len(pinned) == len(lines)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(item for extra in project["optional-dependencies"].values() for item in extra)]
    assert {re.split(r"[\[<>=~! ]", item)[0].lower().replace("_", "-") for item in wanted} - {"omnilytics-flwr"} <= pinned


def test_nobody_is_told_to_install_a_package_of_this_name_from_a_registry() -> None:
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "omnilytics_flwr").rglob("*.py")]
    apps = [path for path in (ROOT / "runs").rglob("pyproject.toml") if "node_modules" not in path.parts]
    patches = list((ROOT / "runs").rglob("*.patch"))
    assert texts
    assert apps
    assert patches
    commands = re.compile(r"(pip|uv|poetry) (install|add)\b[^`\n]*[ '\"]omnilytics[_-]flwr(?!\S*\.whl)")
    assert [path for path in texts if commands.search(path.read_text(encoding="utf-8"))] == []
    named = re.compile(r"""["']omnilytics[_-]flwr""")
    assert [path for path in apps + patches if named.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_lock_names_hashes_and_no_hosts(lock: Path) -> None:
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    assert not any("resolved" in package for package in packages.values())
    # Foundry's programs for other machines could not all be had where the lock was made; they are optional.
    unhashed = {name for name, package in packages.items() if name and "integrity" not in package}
    assert all(packages[name]["optional"] and "/@foundry-rs/" in name for name in unhashed)
    assert not any(name.endswith("-linux-amd64") for name in unhashed)
    if lock == LOCKS[0]:
        programs = [
            f"{tool}-{system}-{kind}" for tool in ("anvil", "forge") for system in ("linux", "darwin") for kind in ("amd64", "arm64")
        ]
        assert {f"node_modules/@foundry-rs/{program}" for program in programs} <= set(packages)


def test_stamp_is_current_until_a_file_or_fact_changes(tmp_path: Path, setup_script: ModuleType) -> None:
    source = tmp_path / "source"
    source.write_text("one", encoding="utf-8")

    def stamp(fact: str = "here") -> Any:
        return setup_script.Stamp(tmp_path / "stamp", files=[source], facts=[fact])

    assert not stamp().is_current()
    stamp().write()
    assert stamp().is_current()
    assert not stamp("elsewhere").is_current()
    source.write_text("two", encoding="utf-8")
    assert not stamp().is_current()
    stamp().write()
    stamp().remove()
    assert not stamp().is_current()


def test_failing_step_shows_the_end_of_its_output_and_the_remedy(tmp_path: Path, setup_script: ModuleType) -> None:
    program = "import sys; [print('line', n) for n in range(99)]; sys.exit(3)"
    with pytest.raises(setup_script.SetupFailedError) as caught:
        setup_script.run_quietly([sys.executable, "-c", program], cwd=tmp_path, remedy="Plug it in.")
    assert "ended with 3" in str(caught.value)
    assert "line 98\nPlug it in." in str(caught.value)
    assert "line 73" not in str(caught.value)


def test_machine_without_programs_is_told_the_package(tmp_path: Path, setup_script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_script, "ROOT", tmp_path)
    with pytest.raises(setup_script.SetupFailedError, match="@foundry-rs/anvil-<system>-<processor>"):
        setup_script.check_native_tools()
