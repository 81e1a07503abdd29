"""An agent of one user and a Flower client of another: they share a run folder by a group, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, RecordDict

from omnilytics_flwr.data_owner.agent_process import _socket_folder
from omnilytics_flwr.data_owner.agent_server import AgentServer
from omnilytics_flwr.data_owner.agent_socket import SOCKET_NAME, TOKEN_NAME
from omnilytics_flwr.data_owner.owner_home import OwnerHome
from omnilytics_flwr.data_owner.remote_agent import RemoteAgent
from omnilytics_flwr.data_owner.run_folder import group_id, make_run_folder
from omnilytics_flwr.errors import OmnilyticsError, Refused, TermsError
from omnilytics_flwr.flower.mod import RUN_FOLDER_KEY, agent_of_operator
from omnilytics_flwr.market.task import TaskId
from tests.data_owner.owners import lone_task, update_of
from tests.support import other_user
from tests.support.builders import MARKET

AGENT, CLIENT, STRANGER, GROUP = 64_001, 64_002, 64_003, 64_010
"""Numbers of users and of a group that no machine has named."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of two users")


def serve(home: str, run: str) -> None:
    """Be the agent of a home until the input ends; tells its task."""
    _, owner, task = lone_task(Path(home))
    make_run_folder(Path(run), GROUP)
    with AgentServer(Path(run), owner.agent(), group=GROUP):
        print(json.dumps([task.chain_id, task.market, task.epoch, task.round, task.task_hash.hex()]), flush=True)
        sys.stdin.read()


def use(home: str, run: str, told: str) -> None:
    """Be a Flower client; tells what it was answered, what it could read and what it could write."""
    chain_id, market, epoch, number, task_hash = json.loads(told)
    task = TaskId(chain_id, market, epoch, number, bytes.fromhex(task_hash))
    context = Context(run_id=1, node_id=1, node_config={RUN_FOLDER_KEY: run}, state=RecordDict(), run_config={})
    try:
        answer = agent_of_operator(context).commit(task, update_of(0)).digest.hex()
    except OmnilyticsError as error:
        answer = type(error).__name__
    forbidden = []
    for act in (
        lambda: list(Path(home).rglob("*.key")) or (Path(home) / "owner-0" / "keys").stat(),
        lambda: (Path(home) / "owner-0" / "journal").stat(),
        lambda: (Path(run) / "planted").write_text("x"),
        lambda: (Path(run) / SOCKET_NAME).unlink(),
        lambda: (Path(run) / TOKEN_NAME).write_bytes(bytes(32)),
    ):
        try:
            act()
            forbidden.append(False)
        except PermissionError:
            forbidden.append(True)
    print(json.dumps([answer, forbidden]), flush=True)


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.communicate(timeout=120)


def told_by(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter, with a home that is the agent's alone."""
    folder = Path(tempfile.mkdtemp(prefix="omnilytics-users-"))
    try:
        folder.chmod(0o755)
        for name in ("home", "run"):
            (folder / name).mkdir(mode=0o700)
            os.chown(folder / name, AGENT, AGENT)
        yield folder
    finally:
        shutil.rmtree(folder)


@as_root
def test_client_of_another_user_in_the_group_is_served_and_sees_nothing_else(place: Path) -> None:
    home, run = str(place / "home"), str(place / "run")
    with ended(other_user.start(AGENT, (AGENT, GROUP), __name__, "serve", home, run)) as agent:
        task = told_by(agent)
        answers = {}
        for user, groups in ((CLIENT, (CLIENT, GROUP)), (STRANGER, (STRANGER,))):
            with ended(other_user.start(user, groups, __name__, "use", home, run, task)) as client:
                answers[user] = json.loads(told_by(client))
        found = {path.name: (path.stat().st_uid, path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) for path in place.glob("run/*")}
    assert len(answers[CLIENT][0]) == 64, "a digest"
    assert answers[STRANGER][0] == "Refused"
    assert all(answers[CLIENT][1]), "neither keys nor journal are read, and nothing in the run folder is replaced"
    assert all(answers[STRANGER][1])
    assert found == {SOCKET_NAME: (AGENT, GROUP, 0o660), TOKEN_NAME: (AGENT, GROUP, 0o640)}
    assert stat.S_IMODE((place / "run").stat().st_mode) == 0o750


@as_root
def test_agent_that_is_no_member_of_the_group_says_so(place: Path) -> None:
    with ended(other_user.start(AGENT, (AGENT,), __name__, "tell_refusal", str(place / "run"))) as agent:
        assert "may not give" in told_by(agent)


def tell_refusal(run: str) -> None:
    """Tell why a run folder cannot be shared."""
    try:
        make_run_folder(Path(run), GROUP)
    except Refused as error:
        print(error, flush=True)


@as_root
def test_run_folder_of_another_user_is_refused(place: Path) -> None:
    with pytest.raises(Refused, match=f"is of user {AGENT}; expected one of the agent's user 0"):
        make_run_folder(place / "run", None)


def test_run_folder_to_which_others_write_is_refused(tmp_path: Path) -> None:
    """Whoever may write there can put its own socket in the agent's place, and read updates."""
    run = tmp_path / "run"
    run.mkdir()
    for mode in (0o770, 0o702, 0o777):
        run.chmod(mode)
        with pytest.raises(Refused, match=f"has mode {mode:o}"):
            make_run_folder(run, None)


def test_run_folder_is_made_and_without_a_group_it_is_the_users_alone(tmp_path: Path) -> None:
    _, owner, task = lone_task(tmp_path)
    make_run_folder(tmp_path / "a" / "run", None)
    with AgentServer(tmp_path / "a" / "run", owner.agent()):
        assert RemoteAgent(tmp_path / "a" / "run").admit(task).commitment is None
    assert stat.S_IMODE((tmp_path / "a" / "run").stat().st_mode) == 0o700


def test_run_folder_is_one_agents_at_a_time(tmp_path: Path) -> None:
    """Two agents would take each other's socket for a dead one."""
    shared: dict[str, Any] = {"rpc_url": "http://127.0.0.1:1", "chain_id": 1, "market": MARKET, "account": {"development": 1}}
    homes = [OwnerHome.create(tmp_path / name, agent="process", run_folder=str(tmp_path / "run"), **shared) for name in "ab"]
    with _socket_folder(homes[0]) as held:
        assert held == (tmp_path / "run", None)
        with pytest.raises(Refused, match="another home's agent is at work in the run folder"), _socket_folder(homes[1]):
            pass
    with _socket_folder(homes[1]):
        pass


def test_group_is_found_by_name_or_number() -> None:
    assert (group_id(None), group_id("64010"), group_id("root")) == (None, 64_010, 0)
    with pytest.raises(TermsError, match="there is no group 'nobody knows'"):
        group_id("nobody knows")
