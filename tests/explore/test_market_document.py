"""What the pages are told of a market: what the chain has, kept up to date, and nothing else."""

from __future__ import annotations

import json
import re
from typing import Any

from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.explore.market_document import WatchedMarket
from omnilytics_flwr.explore.page_file import page
from omnilytics_flwr.market.roster import bits_of
from tests.chain.market_play import GROUPS, OWNERS, REWARD_WEI, Play

MOST_BYTES = 5_000_000


def test_document_tells_groups_rounds_and_owners_as_the_market_does(opened: Play, watched: WatchedMarket) -> None:
    told = watched.document(opened.data[0].account)

    state = opened.owner.state()
    assert (told["market"], told["own"], told["stage"]) == (opened.owner.address, opened.data[0].account, "open")
    assert told["sentence"] == "round 1 is open with 5 groups"
    assert told["deadline"] == state.settle_by
    assert told["books"]["escrow"] == str(state.escrow_wei)
    (epoch,), (round_,) = told["epochs"], told["rounds"]
    assert list(epoch["groups"]) == [bits_of(opened.owner.group_seats(group)) for group in range(GROUPS)]
    owners = {seat: told["owners"][place]["address"] for seat, place in epoch["members"]}
    assert owners == {member.seat: member.owner for member in opened.owner.members()}
    assert (round_["outcome"], round_["roster"], round_["settleBy"]) == ("open", (0, 1, 2, 3, 4), state.settle_by)


def test_document_follows_the_chain(anvil: Anvil, opened: Play, watched: WatchedMarket) -> None:
    before = watched.document()
    anvil.set_next_timestamp(opened.owner.state().settle_by + 1)
    opened.owner.timeout(1)

    after = watched.document()

    share = opened.owner.bond_share_wei(1)
    assert (before["rounds"][0]["outcome"], after["rounds"][0]["outcome"]) == ("open", "timed out")
    assert [one["earned"] for one in after["owners"]] == [str(REWARD_WEI + share)] * OWNERS
    assert after | {"now": 0} == WatchedMarket(opened.owner, 0).document() | {"now": 0}


def test_document_forgets_what_a_reorganisation_removed(anvil: Anvil, opened: Play, watched: WatchedMarket) -> None:
    before, name = watched.document(), anvil.snapshot()
    opened.owner.fund(777)
    assert watched.document()["funded"] == str(int(before["funded"]) + 777)
    anvil.revert(name)
    anvil.mine(2)

    assert watched.document()["funded"] == before["funded"]


def test_page_is_one_file_that_loads_nothing_and_runs_nothing_of_a_strangers(watched: WatchedMarket) -> None:
    html = page(watched.document() | {"sentence": "</script><script>alert(1)</script>", "market": "<b>"})

    assert "</script><script>alert" not in html
    assert "<b>" not in html.partition("<body>")[0]
    assert not re.findall(r"(?:src|href)=\"(?!data:,|#main|/\")[^\"]*\"", html)
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "default-src &#x27;none&#x27;" in html


def test_page_of_the_largest_market_is_below_five_megabytes(watched: WatchedMarket, largest: dict[str, Any]) -> None:
    html = page(watched.document() | largest)

    assert len(largest["rounds"]) == 200
    assert len(largest["owners"]) == 254
    assert len(html.encode()) < MOST_BYTES
    data = html.partition('id="data">')[2].partition("</script>")[0]
    assert len(json.loads(data)["rounds"]) == 200
