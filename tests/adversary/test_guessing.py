"""A model owner that guesses a data owner's update right, to the last rounding, cannot tell from what it holds that it did."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

from py_arkworks_bls12381 import G1Point

from omnilytics_flwr.crypto.curve import encode_point, parse_points
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.fixedpoint import pack, quantise
from omnilytics_flwr.crypto.kzg import commit, sum_points
from omnilytics_flwr.crypto.projection import project, projection_seed
from omnilytics_flwr.data_owner.owner_agent import MaskedUpdate
from omnilytics_flwr.market.task import TaskId
from tests.model_owner.conftest import honest_update

from .conftest import Game, make_game


def point_of(vector: FieldVector) -> G1Point:
    return parse_points(commit(vector), 1)[0]


def guess_of(game: Game, number: int, task: TaskId) -> FieldVector:
    """The very vector that a data owner masks; no guess can be better."""
    terms = game.scene.terms
    key = game.owners[number].keys.rounding_key(task)
    return pack(quantise(honest_update(number), weights=terms.weights, bits=terms.update_bits, clip=terms.clip, key=key))


def test_right_guess_of_an_update_is_confirmed_by_nothing_short_of_the_whole_group(tmp_path: Path) -> None:
    """A commitment to the update alone, or to the mask alone, would confirm it: neither leaves, and neither is on the disk."""
    game = make_game(tmp_path, projected=True)
    task, group = game.anchor(), game.group()
    game.commit(task)
    digests = game.keeper.open()
    made: dict[int, MaskedUpdate] = {n: game.owners[n].deliver(task, digests) for n in group}
    state = game.scene.state
    seed = projection_seed(task.settlement_context(state.epoch_seed), state.roster_hash)
    guesses = {n: guess_of(game, n, task) for n in group}
    for shown, guessed in (
        ({n: one.points for n, one in made.items()}, {n: point_of(guess) for n, guess in guesses.items()}),
        ({n: one.projected for n, one in made.items()}, {n: point_of(project(guess, seed)) for n, guess in guesses.items()}),
    ):
        points = {n: parse_points(raw, 1)[0] for n, raw in shown.items()}
        for size in range(1, len(group)):
            for some in combinations(group, size):
                assert total(points, some) != total(guessed, some)
        assert total(points, group) == total(guessed, group), "group sums are not hidden"
        telling = [encode_point(point) for n in group for point in (guessed[n], points[n] - guessed[n])]
        held = b"".join(file.read_bytes() for n in group for file in sorted(game.owners[n].folder.rglob("*")) if file.is_file())
        assert all(one.points in held for one in made.values()), "the journal is what is searched"
        assert not any(point in held for point in telling)


def total(points: dict[int, G1Point], some: tuple[int, ...]) -> bytes:
    return encode_point(sum_points([[points[n]] for n in some])[0])
