"""Container files and systemd units: their linters find nothing, and every command in them is one that its program takes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.test_commands_in_documents import PROGRAMS

ROOT = Path(__file__).resolve().parents[2]
CONTAINER, SYSTEMD = ROOT / "runs" / "deployment" / "container", ROOT / "runs" / "deployment" / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
COMPOSE_FILES = sorted(CONTAINER.glob("*.yaml"))
DOCKERFILE = CONTAINER / "Dockerfile"
BIN = "/opt/omnilytics/bin/"

needs_engine = pytest.mark.skipif(
    shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0,
    reason="no container engine runs here",
)


def program(name: str) -> str:
    """A linter, installed here or beside Python."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def compose(path: Path) -> dict[str, Any]:
    """A compose file as it is where every variable is ``/1`` that has no default."""
    filled = re.sub(r"\$\{\w+(?::([-?])([^}]*))?\}", lambda found: (found[2] if found[1] == "-" else "") or "/1", path.read_text())
    loaded: dict[str, Any] = pytest.importorskip("yaml").safe_load(filled)
    return loaded


def lines_of(unit: Path) -> Iterator[str]:
    """Lines of a unit, continued ones in one."""
    yield from unit.read_text().replace("\\\n", " ").splitlines()


def take(words: list[str]) -> None:
    """Read a command by its program's own parser."""
    PROGRAMS[words[0]](words[1:])


def test_linter_finds_nothing_in_the_dockerfile() -> None:
    done = subprocess.run([program("hadolint"), "--no-color", str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_dockerfile_copies_what_is_there_and_is_not_kept_from_it() -> None:
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE.read_text(), re.MULTILINE) for word in line.split()[:-1]]
    assert copied
    assert [word for word in copied if not (ROOT / word).exists()] == []
    sent = (CONTAINER / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in sent, "nothing else of the checkout, which may hold keys, is sent to whoever builds"
    assert {line[1:] for line in sent if line.startswith("!")} == set(copied)


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_compose_file_follows_the_specification(path: Path) -> None:
    checker, yaml = pytest.importorskip("compose_spec").PyCompose, pytest.importorskip("yaml")
    checker.from_yaml(yaml.safe_dump(compose(path))).validate()
    with pytest.raises(ValueError, match="restarts"):
        checker.from_yaml(yaml.safe_dump(compose(path)).replace("read_only:", "restarts:"))


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_services_take_their_commands_are_confined_and_get_no_secret_in_the_environment(path: Path) -> None:
    for name, service in compose(path)["services"].items():
        if "command" in service:
            take(service["command"])
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not [key for key in service.get("environment", {}) if "PASSWORD" in key or "PRIVATE" in key], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_supernode_of_a_container_sees_nothing_of_the_home() -> None:
    services = compose(CONTAINER / "data-owner.yaml")["services"]
    shared = set(services["agent"]["volumes"]) & {volume.removesuffix(":ro") for volume in services["supernode"]["volumes"]}
    assert shared == {"run:/run/omnilytics"}
    assert services["agent"]["user"] != services["supernode"]["user"]
    assert "password" not in services["supernode"]["secrets"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_the_unit(unit: Path, tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    place = tmp_path / "etc" / "systemd" / "system"
    place.mkdir(parents=True)
    binaries = tmp_path / BIN.strip("/")
    binaries.mkdir(parents=True)
    for name in ("omnilytics", "flower-supernode"):
        (binaries / name).touch(mode=0o755)

    def verdict(text: str) -> tuple[int, str]:
        (place / unit.name).write_text(text)
        command = [analyze, "verify", f"--root={tmp_path}", "--recursive-errors=no", "--man=no", unit.name.replace("@", "@alice")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert verdict(unit.read_text()) == (0, "")
    code, said = verdict(unit.read_text().replace("LockPersonality=", "LockPersonalty="))
    assert code != 0
    assert "LockPersonalty" in said


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_starts_a_command_that_its_program_takes(unit: Path) -> None:
    (start,) = [line.removeprefix("ExecStart=") for line in lines_of(unit) if line.startswith("ExecStart=")]
    assert start.startswith(BIN)
    take(shlex.split(re.sub(r"\$\{\w+\}|%i", "1", start.removeprefix(BIN))))


@needs_engine
@pytest.mark.slow
def test_image_builds_and_its_command_starts() -> None:
    tag = "omnilytics-test"
    subprocess.run(["docker", "build", "--file", str(DOCKERFILE), "--tag", tag, str(ROOT)], check=True)
    done = subprocess.run(
        ["docker", "run", "--rm", "--read-only", tag, "omnilytics", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("omnilytics")
