"""Refusals keep their facts and tell them; tests/contracts/test_artifacts.py compares them with the contracts' errors."""

from __future__ import annotations

import pickle

import pytest

from omnilytics_flwr import errors
from omnilytics_flwr.errors import LedgerError
from omnilytics_flwr.market import refusals
from omnilytics_flwr.market.refusals import REFUSALS, WrongStage


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_is_named_as_its_solidity_error_less_the_prefix_if_free(name: str) -> None:
    short = name.removeprefix("Market")
    assert REFUSALS[name].__name__ == (name if hasattr(errors, short) else short)
    assert getattr(refusals, REFUSALS[name].__name__) is REFUSALS[name]


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_pickles_and_tells_its_facts(name: str) -> None:
    facts = tuple(range(2, 2 + len(REFUSALS[name].FACTS)))
    refusal = REFUSALS[name](*facts)
    copy = pickle.loads(pickle.dumps(refusal))
    assert isinstance(refusal, LedgerError)
    assert (type(copy), copy.args) == (REFUSALS[name], facts)
    assert tuple(getattr(copy, fact) for fact in REFUSALS[name].FACTS) == facts
    assert str(copy) == str(refusal) != ""
    assert "{" not in str(refusal)


def test_refusal_wrong_number_of_facts_raises() -> None:
    with pytest.raises(TypeError, match="takes 2 facts"):
        WrongStage(1)


def test_wrong_stage_names_stages_in_words() -> None:
    assert str(WrongStage(0, 0b001100)) == "the market is in stage enrolling; this needs idle or anchored"


def test_hashes_are_told_in_hexadecimal_digits() -> None:
    assert "the header hashes to 0x0102" in str(REFUSALS["MarketWrongHeader"](b"\x01\x02", bytes(32)))
