"""The run directory: whole records or none, for one market, one process and one pair of eyes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnilytics_flwr.errors import Malformed, Refused, TermsError
from omnilytics_flwr.model_owner.run_directory import Record, RunDirectory

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.asarray(2.5),
    "c": np.zeros((0, 4), dtype=np.int16),
    "d": np.asarray([1, 2], dtype=">f8"),
    "e": np.asarray([True, False]),
    "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
}


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


def test_record_comes_back_to_the_last_bit(directory: RunDirectory) -> None:
    facts = {"name": "é", "number": 2**300, "list": [1, 2.5, None, True], "nan": [float("inf")]}
    directory.write("round-1", Record(facts, ARRAYS))
    found = directory.read("round-1")
    assert found is not None
    assert found.facts == facts
    assert list(found.arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (found.arrays[name].dtype, found.arrays[name].shape) == (array.dtype, array.shape)
        assert found.arrays[name].tobytes() == array.tobytes()


def test_nobody_else_may_read_it_and_what_a_killed_process_left_half_written_goes(directory: RunDirectory) -> None:
    (directory.path / "progress.npz.x.tmp").touch()
    with directory.locked():
        directory.write("progress", Record({}))
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.path.iterdir()} == {".lock": 0o600, "progress.npz": 0o600}


def test_what_is_not_there_is_none_and_may_be_deleted(directory: RunDirectory) -> None:
    assert directory.read("progress") is None
    directory.delete("progress")
    directory.write("round-2", Record({}))
    directory.write("round-1", Record({}))
    assert directory.names("round-") == ["round-1", "round-2"]
    directory.delete("round-1")
    assert directory.names("") == ["round-2"]


def test_objects_are_never_pickled(directory: RunDirectory) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        directory.write("progress", Record({}, {"a": np.asarray([object()])}))
    assert directory.read("progress") is None


def test_every_write_is_synced_before_it_takes_its_name(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, rename = os.fsync, os.replace

    def noted_sync(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_rename(source: str, to: str) -> None:
        order.append("rename")
        rename(source, to)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_rename)
    directory.write("progress", Record({}))
    assert order == ["file", "rename", "folder"]


@settings(max_examples=60)
@given(st.data())
def test_damaged_record_is_malformed_or_what_it_was(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    directory = RunDirectory(tmp_path_factory.mktemp("run"))
    directory.write("progress", Record({"number": 1}, ARRAYS))
    path = directory.path / "progress.npz"
    raw = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        del raw[place:]
    else:
        raw[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(raw))
    try:
        found = directory.read("progress")
    except Malformed:
        return
    assert found is not None
    assert all(found.arrays[name].tobytes() == array.tobytes() for name, array in ARRAYS.items() if name in found.arrays)


def test_directory_of_another_market_is_refused(directory: RunDirectory) -> None:
    directory.claim(chain_id=1, market="0x" + 40 * "1")
    directory.claim(chain_id=1, market="0x" + 40 * "1")
    for chain_id, market in ((2, "0x" + 40 * "1"), (1, "0x" + 40 * "2")):
        with pytest.raises(TermsError, match="is the run directory of market 0x1111"):
            directory.claim(chain_id=chain_id, market=market)


def test_directory_that_somebody_else_holds_is_refused(directory: RunDirectory) -> None:
    with directory.locked(), pytest.raises(Refused, match="another process runs from"), RunDirectory(directory.path).locked():
        raise AssertionError("held by two")
    with directory.locked():
        pass
