"""Where a market stands, in a sentence, and what comes next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omnilytics_flwr.market.outlook import missing_owners, outlook
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import make_scene, make_terms

STATE = make_scene().state
MANY = (1 << 16) - 1


@pytest.mark.parametrize(
    ("changes", "sentence", "next_step"),
    [
        ({"enrolled": 0b1111111}, "7 of 15 data owners have enrolled for epoch 1", "8 more before `omnilytics epoch freeze`"),
        ({"enrolled": MANY}, "16 data owners have enrolled for epoch 1, of at most 20", "`omnilytics epoch freeze` fixes them"),
        ({"stage": Stage.FROZEN, "epoch": 1, "draw_block": 99}, "epoch 1 is frozen with 0 data owners", "draws groups after block 99"),
        ({"stage": Stage.FROZEN, "epoch": 1, "draw_block": 9}, "epoch 1 is frozen with 0 data owners", "`omnilytics epoch draw` draws"),
        ({"stage": Stage.IDLE, "epoch": 1, "opened_in_epoch": 3}, "epoch 1 has had 3 of 8 rounds", "anchors round 1"),
        ({"stage": Stage.IDLE, "epoch": 1, "opened_in_epoch": 8}, "epoch 1 has had 8 of 8 rounds; 0 of 15 data owners", "15 more before"),
        ({"stage": Stage.ANCHORED, "round": 4, "open_by": 60}, "round 4 has its task", "opens it with the groups"),
        ({"stage": Stage.ANCHORED, "round": 4, "open_by": 40}, "round 4 has its task, but was not opened", "anchors another task"),
        (
            {"stage": Stage.ANCHORED, "epoch": 1, "round": 9, "open_by": 60, "opened_in_epoch": 8},
            "epoch 1 has had 8 of 8 rounds;",
            "15 more",
        ),
        ({"stage": Stage.OPEN, "round": 4, "groups": 1, "settle_by": 60}, "round 4 is open with 1 group", "settles it, or everybody"),
        ({"stage": Stage.OPEN, "round": 4, "groups": 7, "settle_by": 40}, "open with 3 groups, and overdue", "`omnilytics round timeout`"),
        ({"stage": Stage.OPEN, "groups": 7, "settle_by": 90, "answer_by": 60, "accused": 3, "answered": 1}, "", "1 accused data owner has"),
        ({"stage": Stage.CLOSED, "credits_wei": 5}, "the market is closed", "`omnilytics withdraw` pays out"),
        ({"stage": Stage.CLOSED}, "the market is closed", ""),
    ],
)
def test_outlook_says_where_it_stands_and_what_comes_next(changes: dict[str, object], sentence: str, next_step: str) -> None:
    told = outlook(replace(STATE, **changes), make_terms(), now=50, block=50)

    assert sentence in told.sentence
    assert next_step in told.next_step


@pytest.mark.parametrize("enrolled", range(21))
def test_missing_owners_make_whole_groups(enrolled: int) -> None:
    terms = make_terms()
    total = enrolled + missing_owners(enrolled, terms)

    assert total // terms.group_size >= terms.least_groups
    assert total % terms.group_size <= total // terms.group_size
    assert total == enrolled or (total - 1) // terms.group_size < terms.least_groups or (total - 1) % 3 > (total - 1) // 3
