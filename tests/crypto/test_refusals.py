from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from omnilytics_flwr.crypto import refusals
from omnilytics_flwr.errors import LedgerError

INTERFACE = Path(__file__).parents[2] / "contracts" / "src" / "interfaces" / "IVerification.sol"
SOLIDITY = dict(re.findall(r"^    error (\w+)\((.*)\);", INTERFACE.read_text(encoding="utf-8"), re.MULTILINE))


def test_refusals_are_the_solidity_errors_with_their_facts() -> None:
    ours = {name: cls for name, cls in vars(refusals).items() if name.startswith("Verification")}

    assert {name: list(cls.FACTS) for name, cls in ours.items()} == {
        name: [argument.split()[-1] for argument in arguments.split(", ") if argument] for name, arguments in SOLIDITY.items()
    }
    assert all(issubclass(cls, LedgerError) and refusals.REFUSALS[name] is cls for name, cls in ours.items())


@pytest.mark.parametrize("name", SOLIDITY)
def test_refusal_there_and_back_through_pickle_keeps_its_facts(name: str) -> None:
    cls = refusals.REFUSALS[name]
    refusal = cls(*range(len(cls.FACTS)))

    copy = pickle.loads(pickle.dumps(refusal))

    assert type(copy) is cls
    assert [getattr(copy, fact) for fact in cls.FACTS] == list(range(len(cls.FACTS)))
    assert str(copy) == str(refusal) != ""


def test_refusal_with_another_number_of_facts_raises() -> None:
    with pytest.raises(TypeError, match="takes 2 facts"):
        refusals.VerificationWrongLength(1)
