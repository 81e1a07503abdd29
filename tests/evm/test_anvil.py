"""The managed local chain: what it is, and that it never outlives its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from omnilytics_flwr.errors import ToolMissing, Unreachable
from omnilytics_flwr.evm.anvil import HISTORY_BLOCKS, Anvil, AnvilOptions, find_anvil
from omnilytics_flwr.evm.connection import HISTORY_CONTRACT
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_key

PATIENCE_SECONDS = 30.0

PARENT = """
import os, signal
from omnilytics_flwr.evm.anvil import Anvil
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a script is started with it ignored
anvil = Anvil()
{before}
print(anvil.guard_id, flush=True)
{then}
"""


def children_of(process_id: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process_id)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def is_alive(process_id: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True, check=False).stdout.strip()
    return bool(state) and not state.startswith("Z")


def wait_until_gone(*process_ids: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(map(is_alive, process_ids)):
        assert time.monotonic() < deadline, f"still alive: {[p for p in process_ids if is_alive(p)]}"
        time.sleep(0.02)


def start_parent(*, before: str = "", then: str = "signal.pause()") -> tuple[subprocess.Popen[str], int, int]:
    """A process with a local chain, the chain's guard, and the chain."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(before=before, then=then)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    guard = int(parent.stdout.readline())
    (chain,) = children_of(guard) or [0]
    return parent, guard, chain


def finish(parent: subprocess.Popen[str]) -> None:
    assert parent.stdout is not None
    parent.wait()
    parent.stdout.close()


def block_number(anvil: Anvil) -> int:
    return int(anvil.endpoint.request("eth_blockNumber"), 16)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None])
def test_anvil_parent_killed_or_exiting_without_closing_ends(number: signal.Signals | None) -> None:
    parent, guard, chain = start_parent(then="signal.pause()" if number else "os._exit(3)")
    assert is_alive(chain) or number is None
    while parent.poll() is None:  # a signal that comes between Python's last look and the call that waits for one is not seen
        if number:
            parent.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            parent.wait(1.0)
    finish(parent)
    wait_until_gone(guard, chain)


def test_anvil_pipe_inherited_by_forked_sibling_ends() -> None:
    parent, guard, chain = start_parent(
        before="sibling = os.fork()\nif sibling == 0:\n    signal.pause()\n    os._exit(0)",
        then="print(sibling, flush=True)\nsignal.pause()",
    )
    assert parent.stdout is not None
    sibling = int(parent.stdout.readline())
    try:
        parent.kill()
        finish(parent)
        wait_until_gone(guard, chain)
        assert is_alive(sibling)
    finally:
        os.kill(sibling, signal.SIGKILL)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can signal the child of a killed process")
def test_anvil_guard_killed_ends() -> None:
    parent, guard, chain = start_parent()
    os.kill(guard, signal.SIGKILL)
    wait_until_gone(chain)
    parent.kill()
    finish(parent)


def test_anvil_starting_thread_ended_lives_on() -> None:
    parent, guard, chain = start_parent(
        before="from threading import Thread\nmade = []\nthread = Thread(target=lambda: made.append(Anvil()))\n"
        "thread.start()\nthread.join()\nanvil.close()\nanvil = made[0]",
        then="print(anvil.now() > 0, flush=True)",
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "True\n"
    finish(parent)
    wait_until_gone(guard, chain)


def test_anvil_closed_leaves_no_process() -> None:
    with Anvil() as anvil:
        guard = anvil.guard_id
        (chain,) = children_of(guard)
    assert not is_alive(guard)
    assert not is_alive(chain)
    anvil.close()


def test_anvil_accounts_are_those_of_the_mnemonic(anvil: Anvil) -> None:
    accounts = anvil.endpoint.request("eth_accounts")
    assert len(accounts) == 60
    for index in (0, 1, 59):
        assert Wallet(Secret(dev_key(index))).address.lower() == accounts[index].lower()


def test_anvil_state_file_given_goes_on_where_it_ended(tmp_path: Path) -> None:
    options = AnvilOptions(state=tmp_path / "state.json")
    with Anvil(options) as anvil:
        anvil.mine(7)
        anvil.increase_time(100_000)
        ended, seventh = anvil.now(), anvil.endpoint.request("eth_getBlockByNumber", "0x7", False)["hash"]
    with Anvil(options) as anvil:
        assert block_number(anvil) == 8
        assert anvil.endpoint.request("eth_getBlockByNumber", "0x7", False)["hash"] == seventh
        assert int(anvil.endpoint.request("eth_getBlockByNumber", "latest", False)["timestamp"], 16) >= ended - 1


def test_anvil_options_given_are_kept_beside_another_chain(anvil: Anvil, tmp_path: Path) -> None:
    before = anvil.now()
    anvil.increase_time(5000)
    assert 5000 <= anvil.now() - before <= 5010
    options = AnvilOptions(chain_id=4242, timestamp=1_900_000_000, block_seconds=12, log=tmp_path / "anvil.log")
    with Anvil(options) as anvil:
        assert int(anvil.endpoint.request("eth_chainId"), 16) == 4242
        anvil.mine(3)
        assert anvil.now() == 1_900_000_048
        anvil.increase_time(1000)
        assert anvil.now() == 1_900_000_048 + 1000 + 12
    assert "Listening on" in (tmp_path / "anvil.log").read_text()


def test_anvil_reverted_is_as_before(anvil: Anvil) -> None:
    number = block_number(anvil)
    name = anvil.snapshot()
    anvil.mine(3)
    anvil.revert(name)
    assert block_number(anvil) == number
    with pytest.raises(Unreachable, match="no snapshot"):
        anvil.revert(name)


def test_anvil_reorganised_late_in_its_life_keeps_its_contracts(anvil: Anvil) -> None:
    anvil.mine(2 * HISTORY_BLOCKS)
    anvil.endpoint.request("anvil_reorg", HISTORY_BLOCKS - 10, [])
    assert anvil.endpoint.request("eth_getCode", HISTORY_CONTRACT, "latest") != "0x"


def test_find_anvil_variable_then_path_then_checkout(tmp_path: Path) -> None:
    program = tmp_path / "anvil"
    with pytest.raises(ToolMissing, match="OMNILYTICS_ANVIL"):
        find_anvil({"OMNILYTICS_ANVIL": str(program)})
    with pytest.raises(ToolMissing, match="make setup"):
        find_anvil({"PATH": str(tmp_path)}, checkout=tmp_path)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_anvil({"PATH": str(tmp_path)}, checkout=tmp_path) == program


def test_anvil_that_does_not_start_is_told_in_its_words(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(Unreachable, match=r"state\.json"):
        Anvil(AnvilOptions(state=tmp_path / "state.json"))
    program = tmp_path / "anvil"
    program.write_text("#!/bin/sh\necho I am something else\n")
    program.chmod(0o755)
    with pytest.raises(Unreachable, match="I am something else"):
        Anvil(binary=program)
