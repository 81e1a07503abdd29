"""The recipe is read strictly: no key too many, none missing, none of the wrong type or out of bounds."""

from pathlib import Path

import pytest

from runs.mnist.recipe import DEFAULT_PATH, RecipeError, load_recipe

TEXT = DEFAULT_PATH.read_text(encoding="utf-8")


def write(folder: Path, old: str, new: str) -> Path:
    """Recipe with one passage replaced."""
    assert TEXT.count(old) == 1
    path = folder / "recipe.toml"
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    return path


def test_recipe_of_the_run_gives_every_key_and_takes_whole_numbers_for_floats(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, "scale = 4.0", "scale = 3")).attack.scale == 3.0
    recipe = load_recipe()
    assert recipe.data.owners == 20
    assert recipe.attack.attackers == (7,)
    assert isinstance(recipe.attack.scale, float)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("owners = 20", "owner = 20", r"data\.owner is no key of the recipe; expected one of .*owners"),
        ("owners = 20", "", r"data\.owners is missing"),
        ("owners = 20", "owners = 20.5", r"data\.owners is 20\.5; expected int"),
        ("owners = 20", "owners = true", r"data\.owners is True; expected int"),
        ("attackers = [7]", 'attackers = ["7"]', r"attack\.attackers\[0\] is '7'; expected int"),
        ("attackers = [7]", "attackers = [20]", r"attack\.attackers is 20; expected 0 to 19"),
        ("attackers = [7]", "attackers = [7, 7]", r"attack\.attackers is \(7, 7\); expected each owner once"),
        ('source = "auto"', 'source = "web"', r"data\.source is 'web'; expected auto, torchvision or npm"),
        ('kind = "sign-flip"', 'kind = "flood"', r"attack\.kind is 'flood'"),
        ("dirichlet_alpha = 0.5", "dirichlet_alpha = 0.0", r"data\.dirichlet_alpha is 0\.0; expected above 0"),
        ("smallest_share = 40", "smallest_share = 200", r"data\.smallest_share is 200; expected at most 198"),
        ("batch_size = 32", "batch_size = 0", r"training\.batch_size is 0; expected above 0"),
        ('verification = "exact"', 'verification = "guessed"', r"market\.verification is 'guessed'; expected exact or projected"),
        ("[attack]", "[attack", r"recipe\.toml is not TOML"),
    ],
)
def test_recipe_with_a_fault_is_refused_by_name(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, old, new))
