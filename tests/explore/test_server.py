"""The server of the pages: on loopback alone, honest about its node, and quiet while nothing changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests

from tests.chain.market_play import Play
from tests.support.nodes import FaultyNode

Get = Callable[..., requests.Response]


@pytest.fixture
def get(address: str) -> Get:
    """Asks the server for a path."""
    return lambda path, **headers: requests.get(
        address + path, headers={name.replace("_", "-"): value for name, value in headers.items()}, timeout=60
    )


def test_markets_of_the_factory_are_listed_and_each_has_its_page(get: Get, opened: Play) -> None:
    (row,) = get("/markets.json").json()["markets"]

    assert (row["market"], row["owners"], row["sentence"]) == (opened.owner.address, 15, "round 1 is open with 5 groups")
    for path in ("/", f"/market/{row['market']}"):
        answer = get(path)
        assert answer.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert row["market"] in answer.text
    assert get(f"/market/{row['market']}.json").json()["own"] == opened.data[0].account


def test_nothing_is_sent_again_until_something_has_changed(get: Get, opened: Play) -> None:
    path = f"/market/{opened.owner.address}.json"
    tag = get(path).headers["etag"]

    opened.owner.connection.request("anvil_mine", "0x1")
    assert get(path, If_None_Match=tag).status_code == 304
    opened.owner.fund(7)
    answer = get(path, If_None_Match=tag)
    assert (answer.status_code, answer.headers["etag"] != tag) == (200, True)


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "192.168.0.1"])
def test_page_from_elsewhere_reads_nothing(get: Get, host: str) -> None:
    assert get("/markets.json", Host=host).status_code == 400


@pytest.mark.parametrize("wrong", ["0x12", "0x" + "12" * 20, "<b>"])
def test_address_without_a_market_is_told_in_a_sentence(get: Get, wrong: str) -> None:
    answer = get(f"/market/{wrong}")

    assert answer.status_code == 502
    assert answer.headers["content-type"].startswith("text/plain")
    assert "Traceback" not in answer.text


def test_node_that_is_away_is_told_in_a_sentence_and_found_again(get: Get, opened: Play, node: FaultyNode) -> None:
    path = f"/market/{opened.owner.address}.json"
    get(path)
    node.refusing = True

    answer = get(path)

    assert answer.status_code == 502
    assert "does not answer" in answer.text
    node.refusing = False
    assert get(path).status_code == 200
