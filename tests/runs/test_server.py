"""The model owner's benchmark: a whole small round, and its line on the page."""

from __future__ import annotations

from runs.recipes import read_recipe
from runs.server.__main__ import HERE, Recipe, Size, row_of
from runs.server.tables import server_table


def test_round_is_settled_and_shown() -> None:
    row = row_of(Size(weights=300, owners=15, group_size=3), seed=1, accusations=False)

    assert (row["groups_accepted"], {"check", "sum", "prove"} <= row["steps"].keys()) == (5, True)
    assert min(row["cpu_seconds"], row["seconds"], row["delivery_mib"]) > 0
    assert server_table({"rounds": [row]}).splitlines()[-1].startswith("| 300 | 15 | ")


def test_recipe_has_the_million_of_twenty_owners() -> None:
    assert Size(1_000_000, 20, 4) in read_recipe(Recipe, HERE / "config.toml").rounds
