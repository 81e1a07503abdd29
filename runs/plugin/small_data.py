"""Small data with the columns of the data sets that the examples load, from what scikit-learn ships.

``datasets`` loads a data set from a folder of its name in the working directory before it asks the hub, so that the examples need no
change for this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TEST_SHARE = 3
"""One row of so many is for testing."""
REPEATS = 30
SHIFTS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1))
"""In enlarged pixels."""


def write_data(name: str, folder: Path) -> None:
    """Write a data set, by the name under which it is loaded, below `folder`."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    target = folder / name
    target.mkdir(parents=True)
    for split, columns in _MAKERS[name]().items():
        Dataset.from_dict(columns).to_parquet(target / f"{split}.parquet")


def _iris() -> dict[str, dict[str, list[object]]]:
    """150 flowers in one split, as the hub's, each `REPEATS` times, so that 15 shares have some of each kind; the kinds take turns."""
    from sklearn.datasets import load_iris

    flowers, rng = load_iris(), np.random.default_rng(0)
    kinds = [np.flatnonzero(flowers.target == kind) for kind in range(3)]
    order = np.concatenate([np.stack([rng.permutation(kind) for kind in kinds], axis=1).ravel() for _ in range(REPEATS)])
    names = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    columns = {name: flowers.data[order, place].tolist() for place, name in enumerate(names)}
    return {"train": columns | {"species": flowers.target[order].tolist()}}


def _cifar() -> dict[str, dict[str, list[object]]]:
    return _digits(side=32, mode="RGB", image="img")


def _mnist() -> dict[str, dict[str, list[object]]]:
    return _digits(side=28, mode="L", image="image")


def _digits(*, side: int, mode: str, image: str) -> dict[str, dict[str, list[object]]]:
    """1,797 handwritten digits of 8 x 8 pixels, enlarged; those for training once for each of `SHIFTS`."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))

    def picture(pixels: NDArray[np.float64], shift: tuple[int, int]) -> Image.Image:
        small = Image.fromarray((pixels * (255 / 16)).astype(np.uint8))
        large = small.resize((side, side), Image.Resampling.BILINEAR)
        return Image.fromarray(np.roll(np.asarray(large), shift, axis=(0, 1))).convert(mode)

    def columns(rows: NDArray[np.int64], shifts: Sequence[tuple[int, int]]) -> dict[str, list[object]]:
        pictures = [picture(digits.images[row], shift) for shift in shifts for row in rows]
        return {image: pictures, "label": np.tile(digits.target[rows], len(shifts)).tolist()}

    tests = len(order) // TEST_SHARE
    return {"train": columns(order[tests:], SHIFTS), "test": columns(order[:tests], [(0, 0)])}


_MAKERS: dict[str, Callable[[], dict[str, dict[str, list[object]]]]] = {
    "hitorilabs/iris": _iris,
    "uoft-cs/cifar10": _cifar,
    "ylecun/mnist": _mnist,
}
