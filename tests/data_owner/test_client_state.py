"""What a client keeps in its owner home: whole or not there, by market, for the home's user alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from omnilytics_flwr.data_owner.client_state import ClientState
from omnilytics_flwr.errors import Malformed, Refused
from tests.data_owner.owners import lone_task
from tests.support.builders import STRANGER, address_of


def test_content_is_kept_by_market_and_name(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    state = ClientState(folder)
    assert state.kept("1-0xab", "metrics") == b""
    for content in (b"first", b"", b"a\nb\n"):
        state.keep("1-0xab", "metrics", content)
        assert ClientState(folder).kept("1-0xab", "metrics") == content
    assert state.kept("1-0xcd", "metrics") == state.kept("1-0xab", "other") == b""
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())] == [0o700, 0o600]


def test_damaged_content_is_a_named_error(tmp_path: Path) -> None:
    state = ClientState(tmp_path)
    state.keep("1-0xab", "metrics", b"some content")
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole + b"x", b"", whole[1:]):
        path.write_bytes(damaged)
        with pytest.raises(Malformed, match=r"is damaged; .*remove it"):
            state.kept("1-0xab", "metrics")


@pytest.mark.parametrize("name", ["", "../keys/rounding", "a/b", "A", "a" * 65, "a\n", "."])
def test_name_that_could_be_a_path_is_refused(tmp_path: Path, name: str) -> None:
    for act in (lambda: ClientState(tmp_path).keep("1-0xab", name, b"x"), lambda: ClientState(tmp_path).kept("1-0xab", name)):
        with pytest.raises(Malformed, match="names no state of a client"):
            act()
    assert not list(tmp_path.iterdir())


def test_agent_keeps_for_its_own_market_alone(tmp_path: Path) -> None:
    _, owner, task = lone_task(tmp_path)
    agent = owner.agent()
    agent.keep(task.chain_id, task.market, "metrics", b"x")
    assert owner.agent().kept(task.chain_id, task.market, "metrics") == b"x"
    for chain_id, market in ((1, task.market), (task.chain_id, address_of(STRANGER))):
        with pytest.raises(Refused, match="works for market"):
            agent.keep(chain_id, market, "metrics", b"y")
        with pytest.raises(Refused, match="works for market"):
            agent.kept(chain_id, market, "metrics")
