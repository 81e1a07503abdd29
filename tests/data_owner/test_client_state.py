"""What a client keeps in its owner home: whole or not there, by market, for the home's user alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from omnilytics_flwr.data_owner.client_state import MOST_BYTES, MOST_FILES, ClientState
from omnilytics_flwr.errors import Malformed, Refused
from tests.data_owner.owners import lone_task
from tests.support.bad_inputs import full_disk
from tests.support.builders import STRANGER, address_of

PRIVATE = [f"private-{number:032x}" for number in range(3 * MOST_FILES)]


def test_content_is_kept_by_market_and_name(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    state = ClientState(folder)
    assert state.kept("1-0xab", "metrics") == b""
    for content in (b"first", b"", b"a\nb\n"):
        state.keep("1-0xab", "metrics", content)
        assert ClientState(folder).kept("1-0xab", "metrics") == content
    assert state.kept("1-0xcd", "metrics") == state.kept("1-0xab", PRIVATE[0]) == b""
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())] == [0o700, 0o600, 0o600]


def test_damaged_content_is_a_named_error(tmp_path: Path) -> None:
    state = ClientState(tmp_path)
    state.keep("1-0xab", "metrics", b"some content")
    (path,) = tmp_path.glob("*.state")
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole + b"x", b"", whole[1:]):
        path.write_bytes(damaged)
        with pytest.raises(Malformed, match=r"is damaged; .*remove it"):
            state.kept("1-0xab", "metrics")


@pytest.mark.parametrize(
    "name", ["", "../keys/rounding", "a/b", "A", "a" * 65, "a\n", ".", "other", "private-1", PRIVATE[0] + "0", "metrics\n"]
)
def test_name_that_could_be_a_path_is_refused(tmp_path: Path, name: str) -> None:
    for act in (lambda: ClientState(tmp_path).keep("1-0xab", name, b"x"), lambda: ClientState(tmp_path).kept("1-0xab", name)):
        with pytest.raises(Malformed, match="names no state of a client"):
            act()
    assert not list(tmp_path.iterdir())


def kept_names(folder: Path, names: list[str]) -> list[str]:
    return [name for name in names if ClientState(folder).kept("1-0xab", name)]


def keep_all(folder: Path, names: list[str], content: bytes) -> None:
    """Each kept a second after the one before it."""
    for place, name in enumerate(names):
        ClientState(folder).keep("1-0xab", name, content)
        os.utime(folder / f"1-0xab-{name}.state", (place, place))


def test_few_names_are_kept_and_the_oldest_goes_first(tmp_path: Path) -> None:
    """An app must not fill the disk on which an answer to an accusation is prepared."""
    keep_all(tmp_path, PRIVATE, b"x")
    assert kept_names(tmp_path, PRIVATE) == PRIVATE[-MOST_FILES:]
    keep_all(tmp_path, PRIVATE[-1:], b"y")
    assert kept_names(tmp_path, PRIVATE) == PRIVATE[-MOST_FILES:], "in its own place it takes no other"


def test_bytes_are_bounded_one_by_one_and_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnilytics_flwr.data_owner.client_state.MOST_BYTES", 1000)
    assert MOST_BYTES == 2**28
    keep_all(tmp_path, PRIVATE[:3], bytes(400))
    assert kept_names(tmp_path, PRIVATE) == PRIVATE[1:3]
    with pytest.raises(Malformed, match="has 1001 bytes with its hash, expected at most 1000"):
        ClientState(tmp_path).keep("1-0xab", PRIVATE[1], bytes(936))
    assert kept_names(tmp_path, PRIVATE) == PRIVATE[1:3]
    (tmp_path / "1-0xab-metrics.state.tmp").write_bytes(bytes(900))
    ClientState(tmp_path).keep("1-0xab", PRIVATE[1], bytes(935))
    assert kept_names(tmp_path, PRIVATE) == PRIVATE[1:2]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 1000


def test_disk_that_refuses_keeps_what_was_there_and_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = ClientState(tmp_path)
    state.keep("1-0xab", "metrics", b"first")
    monkeypatch.setattr("omnilytics_flwr.files.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        state.keep("1-0xab", "metrics", b"second")
    assert state.kept("1-0xab", "metrics") == b"first"
    assert not list(tmp_path.glob("*.tmp"))


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
