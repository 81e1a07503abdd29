"""The registry: one name for each attack, each documented, each of use where its family says."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from omnilytics_flwr import adversary
from omnilytics_flwr.adversary.knowledge import Knowledge
from omnilytics_flwr.adversary.registry import ATTACKS, Family, attack_named
from omnilytics_flwr.adversary.rogues import CommitsAnew, Rogue
from omnilytics_flwr.crypto.field import FieldVector, N
from omnilytics_flwr.errors import TermsError

FOLDER = Path(adversary.__file__).parent
LITERATURE = (
    "sign-flip",
    "scaled",
    "noise",
    "zero",
    "constant",
    "label-flip",
    "little-is-enough",
    "inner-product",
    "directed-deviation",
    "just-accepted",
)


def test_every_attack_of_the_kit_is_in_the_registry() -> None:
    """Read from the source: classes that can be called with an update or a vector, and rogues."""
    made = {attack.make.__name__ for attack in ATTACKS.values()}
    bases = {Rogue.__name__, CommitsAnew.__name__, "UpdateAttack", "VectorAttack"}
    found = set()
    for file in ("updates.py", "colluding.py", "vectors.py", "rogues.py", "forgers.py"):
        classes = [node for node in ast.parse((FOLDER / file).read_text()).body if isinstance(node, ast.ClassDef)]
        found |= {node.name for node in classes} - bases
    assert found | {"flip_labels"} == made
    assert len(made) == len(ATTACKS)


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_says_in_one_sentence_what_it_does(name: str) -> None:
    attack = ATTACKS[name]
    assert attack.name == name
    assert attack.does.endswith((".", ".)"))
    assert attack.story.startswith(attack.does)


def test_attacks_from_the_literature_name_it() -> None:
    assert [name for name in LITERATURE if not re.search(r"\b20(1|2)\d\b", ATTACKS[name].story)] == []


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.family in (Family.UPDATE, Family.COLLUSION)])
def test_update_attack_can_be_made_by_name_alone_and_called(name: str) -> None:
    honest = np.random.default_rng(0).normal(size=20)
    attack = attack_named(name, Family.UPDATE, Family.COLLUSION).make()
    sent = attack(Knowledge(honest, seen=(honest + 0.1, honest - 0.1), owners=3))
    assert sent.dtype == np.float64
    assert sent.shape == (20,) or name == "wrong-length"
    assert not np.array_equal(sent, honest)


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.family is Family.VECTOR])
def test_vector_attack_can_be_made_by_name_alone_and_called(name: str) -> None:
    vector = FieldVector.from_ints(range(N))
    assert attack_named(name, Family.VECTOR).make()(vector) != vector


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.family is Family.AGENT])
def test_rogue_answers_to_every_message_of_an_agent(name: str) -> None:
    rogue = ATTACKS[name].make
    for method in ("join", "admit", "admit_evaluation", "commit", "deliver"):
        honest = inspect.signature(getattr(Rogue, method))
        assert inspect.signature(getattr(rogue, method)) == honest


@pytest.mark.parametrize(("name", "families"), [("flood", ()), ("zero", (Family.AGENT,)), ("late", (Family.UPDATE, Family.COLLUSION))])
def test_name_that_is_none_or_of_another_family_is_refused(name: str, families: tuple[Family, ...]) -> None:
    with pytest.raises(TermsError, match=f"'{name}' is no attack that can be used here; expected one of "):
        attack_named(name, *families)
