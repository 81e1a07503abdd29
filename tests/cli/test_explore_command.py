"""Pages from the command line: one market as a file, all markets on loopback until somebody interrupts it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.chain.market_play import Play

from .command_line import CommandLine


def test_market_is_written_as_one_file_with_a_seat_marked(line: CommandLine, drawn: Play) -> None:
    line("explore", drawn.owner.address, "--html", "market.html", "--wallet", drawn.data[2].account)

    html = Path("market.html").read_text()
    told = json.loads(html.partition('id="data">')[2].partition("</script>")[0])
    assert (told["market"], told["own"], told["saved"]) == (drawn.owner.address, drawn.data[2].account, True)


def test_file_needs_a_market(line: CommandLine) -> None:
    assert "name it as in" in line.misused("explore", "--html", "market.html")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_pages_are_served_until_the_command_is_interrupted(line: CommandLine, drawn: Play, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "omnilytics_flwr", "explore", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        told = ""
        while not told.endswith("}\n"):
            told += served.stdout.readline()
        url = json.loads(told)["url"]
        assert drawn.owner.address in requests.get(url, timeout=60).text
        served.send_signal(number)
        _, complaint = served.communicate(timeout=60)
    assert served.returncode == 130
    assert complaint.strip() == "interrupted"
