"""The client's benchmark: its cases are markets that can be, and its table shows what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from runs.client.__main__ import HERE, Case, Recipe, model_of, steps_of, terms_of
from runs.client.passage import Passage
from runs.client.tables import client_table
from runs.recipes import read_recipe
from tests.flower.clients import as_server, make_context
from tests.support.builders import MARKET

RECIPE = read_recipe(Recipe, HERE / "config.toml")


@pytest.mark.parametrize("case", RECIPE.case, ids=lambda case: str(case.weights))
def test_terms_of_every_case_are_good(case: Case) -> None:
    terms = terms_of(case, RECIPE.owners, MARKET)
    terms.check(computed=False)
    assert (terms.weights, terms.projected, bool(terms.answer_seconds)) == (
        case.weights,
        case.verification == "projected",
        case.accusations,
    )


def test_model_has_so_many_weights_in_layers() -> None:
    assert [array.numpy().shape for array in model_of(2**20 + 5).values()] == [(2**20,), (5,)]


def test_message_passes_as_the_objects_that_flower_makes_of_it(tmp_path: Path) -> None:
    passage, content = Passage(tmp_path / "reply"), RecordDict({"arrays": model_of(20_000), "config": ConfigRecord({"piece": bytes(9)})})
    with as_server():
        passage.send(Message(content, 11, "train"), make_context(1))
    received = passage.receive()
    assert received.content == content
    assert (tmp_path / "reply" / received.metadata.message_id).exists()
    assert 80_000 < passage.sent_bytes() < 85_000


def test_table_shows_each_step_and_memory_beside_a_plain_client() -> None:
    work = [{"work": "mask", "seconds": 1.0, "cpu_seconds": 0.25, "peak_memory_bytes": 2**20}] * 2
    used = {"seconds": 2.0, "cpu_seconds": 1.5, "peak_memory_bytes": 2**27, "sent_bytes": 2**20}
    case = {"weights": 1000, "verification": "exact", "accusations": False, "training_seconds": 20}
    row = case | {"client": used, "plain": used, "steps": steps_of(work)}
    last = client_table({"cases": [row]}).splitlines()[-1]
    assert last == "| 1,000 | exact, without accusations, training takes 20 s | 1.50 s | 2.00 s | 0.50 | 128 / 128 MiB | 1.0 MiB |"
