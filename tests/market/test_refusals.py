"""One class for every Solidity error, with its arguments; each can be pickled and tells what to do."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from omnilytics_flwr.errors import LedgerError
from omnilytics_flwr.market.refusals import REFUSALS, Refusal, WrongStage

INTERFACES = Path(__file__).parents[2] / "contracts" / "src" / "interfaces"
DECLARATION = re.compile(r"^\s*error (\w+)\(([^)]*)\);", re.MULTILINE)
SAMPLES = {"uint256": 3, "Stage": 2, "address": "0x" + "11" * 20, "bytes32": b"\x01" * 32, "string": "bondWei"}


def declared_errors() -> dict[str, list[tuple[str, str]]]:
    """Errors in the interfaces: types and names of their arguments."""
    found = {}
    for source in INTERFACES.glob("*.sol"):
        for name, arguments in DECLARATION.findall(source.read_text()):
            found[name] = [tuple(argument.split()) for argument in arguments.split(",") if argument]
    return found


DECLARED = declared_errors()


def snake_case(name: str) -> str:
    snake = "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)
    return snake + "_" if snake == "from" else snake


def test_refusals_are_exactly_the_errors_declared() -> None:
    assert set(REFUSALS) == set(DECLARED)
    assert len(set(REFUSALS.values())) == len(REFUSALS)


@pytest.mark.parametrize("name", DECLARED)
def test_refusal_has_the_facts_of_the_solidity_error(name: str) -> None:
    assert REFUSALS[name].FACTS == tuple(snake_case(argument) for _, argument in DECLARED[name])


@pytest.mark.parametrize("name", DECLARED)
def test_refusal_is_named_as_its_solidity_error_less_the_prefix_if_free(name: str) -> None:
    assert REFUSALS[name].__name__ in (name, name.removeprefix("Market"))


@pytest.mark.parametrize("name", DECLARED)
def test_refusal_pickles_and_tells_its_facts(name: str) -> None:
    facts = tuple(SAMPLES[kind] for kind, _ in DECLARED[name])
    refusal = REFUSALS[name](*facts)

    copy = pickle.loads(pickle.dumps(refusal))

    assert isinstance(refusal, LedgerError)
    assert (type(copy), copy.args) == (REFUSALS[name], facts)
    assert all(getattr(copy, field) == fact for field, fact in zip(REFUSALS[name].FACTS, facts, strict=True))
    assert re.search(r"[;,] ", str(refusal))
    assert "{" not in str(refusal)


def test_refusal_wrong_number_of_facts_raises() -> None:
    with pytest.raises(TypeError, match="takes 2 facts"):
        WrongStage(1)


def test_wrong_stage_names_stages_in_words() -> None:
    refusal = WrongStage(0, 0b001100)

    assert str(refusal) == ("the market is in stage enrolling; this needs idle or anchored; wait for it or read the state again")
    assert isinstance(refusal, Refusal)
