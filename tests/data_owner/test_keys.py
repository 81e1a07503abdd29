"""A data owner's secrets: made once, readable by their owner, forgotten after their epoch, never shown."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnilytics_flwr.data_owner.owner_keys import OwnerKeys
from omnilytics_flwr.errors import Malformed
from omnilytics_flwr.market.task import TaskId
from tests.data_owner.owners import lone_owner, make_wallet, market_id
from tests.support.builders import MARKET, address_of

TASK = TaskId(31337, MARKET, 1, 1, b"\1" * 32)
CHANGES: list[dict[str, Any]] = [{"chain_id": 1}, {"market": address_of(0)}, {"epoch": 2}, {"round": 2}, {"task_hash": b"\2" * 32}]


def test_mask_key_is_the_same_again_and_another_for_every_market_and_epoch(tmp_path: Path) -> None:
    first = OwnerKeys(tmp_path).mask_key("1-0xa", 1)
    assert OwnerKeys(tmp_path).mask_key("1-0xa", 1).public == first.public
    others = [("1-0xa", 2), ("1-0xb", 1), ("2-0xa", 1)]
    publics = {OwnerKeys(tmp_path).mask_key(market, epoch).public for market, epoch in others} | {first.public}
    assert len(publics) == 4


def test_rounding_key_is_the_same_again_and_another_for_every_task(tmp_path: Path) -> None:
    tasks = [TASK, *(replace(TASK, **change) for change in CHANGES)]
    keys = [OwnerKeys(tmp_path).rounding_key(task) for task in tasks]
    assert [OwnerKeys(tmp_path).rounding_key(task) for task in tasks] == keys
    assert len(set(keys)) == len(tasks)
    assert OwnerKeys(tmp_path / "other").rounding_key(TASK) != keys[0]


def test_files_are_the_owners_only_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "keys"
    keys = OwnerKeys(folder)
    keys.mask_key("m", 1)
    keys.rounding_key(TASK)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = {path.name: (stat.S_IMODE(path.stat().st_mode), path.stat().st_size) for path in folder.iterdir()}
    assert files == dict.fromkeys(("mask-m-0000000001.key", "rounding.key"), (0o600, 32))


def test_forget_deletes_keys_of_past_epochs_of_that_market_only(tmp_path: Path) -> None:
    keys = OwnerKeys(tmp_path)
    made = {(market, epoch): keys.mask_key(market, epoch).public for market in ("m", "mm", "n") for epoch in (1, 2, 3)}
    rounding = keys.rounding_key(TASK)
    keys.forget("m", before_epoch=3)
    for (market, epoch), public in made.items():
        forgotten = market == "m" and epoch < 3
        assert (OwnerKeys(tmp_path).mask_key(market, epoch).public != public) == forgotten
    assert keys.rounding_key(TASK) == rounding


def test_forget_deletes_what_a_crash_left_half_written(tmp_path: Path) -> None:
    keys = OwnerKeys(tmp_path)
    keys.mask_key("m", 1)
    (made,) = tmp_path.iterdir()
    os.link(made, tmp_path / f"{made.name}abc.tmp")
    keys.forget("m", before_epoch=2)
    assert not list(tmp_path.iterdir())


def test_find_mask_key_makes_none(tmp_path: Path) -> None:
    assert OwnerKeys(tmp_path).find_mask_key("m", 1) is None
    assert not list(tmp_path.iterdir())


def test_processes_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        publics = list(pool.map(lambda _: OwnerKeys(tmp_path).mask_key("m", 1).public, range(32)))
    assert len(set(publics)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mask-m-0000000001.key"]


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_damaged_file_is_a_named_error(tmp_path: Path, content: bytes) -> None:
    keys = OwnerKeys(tmp_path)
    keys.mask_key("m", 1)
    keys.rounding_key(TASK)
    for path in tmp_path.iterdir():
        path.write_bytes(content)
    for use in (lambda: keys.mask_key("m", 1), lambda: keys.rounding_key(TASK)):
        with pytest.raises(Malformed, match=f"has {len(content)} bytes, expected 32"):
            use()


def test_agent_and_its_wallet_show_no_secret(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    agent, keys, private = owner.agent(), owner.keys, make_wallet(0)._account.key
    mask = owner.mask_files[0].read_bytes()
    key = keys.mask_key(market_id(scene), 1)
    for shown in map(repr, (agent, vars(agent), make_wallet(0), agent.ledger, keys, vars(keys), key)):
        for secret in (bytes(private), mask):
            assert secret.hex() not in shown
            assert repr(secret)[2:-1] not in shown
