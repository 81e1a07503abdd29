"""The model, and all that is done with it: train, measure, re-fit.

Everything runs on one core, with a whole share as one tensor and minibatches by index: for a model
of this size that is faster than a loader and threads.
"""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PRIVATE", "Net", "accuracy", "fit_private", "initial_model", "pretrain", "train"]

PRIVATE = ("conv1.*",)
"""Names of the parameters that never leave their owner; the others are the public part."""

LARGEST_TURN_RADIANS = 0.24
LARGEST_STRETCH = 0.16
LARGEST_SHIFT_PIXELS = 2.0
SIDE_PIXELS = 28


class Net(nn.Module):
    """A small CNN for 28 x 28 digits: 208 weights private, 20,314 public."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=5)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=5)
        self.dense1 = nn.Linear(16 * 4 * 4, 64)
        self.dense2 = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Score the ten digits.

        Parameters
        ----------
        images : float32 tensor, shape (n, 1, 28, 28), pixels in [0, 1]

        Returns
        -------
        float32 tensor, shape (n, 10)
            Logits.
        """
        hidden = functional.relu(functional.max_pool2d(self.conv1(images), 2))
        hidden = functional.relu(functional.max_pool2d(self.conv2(hidden), 2))
        hidden = functional.relu(self.dense1(hidden.flatten(1)))
        logits: Tensor = self.dense2(hidden)
        return logits


def initial_model(seed: int) -> Net:
    """Return the model that every party starts from: the seed is published.

    Owners that start their private parts alike keep them alike enough to share what follows.

    Parameters
    ----------
    seed : int
        The only source of randomness; torch's global generator is left as it was.

    Returns
    -------
    Net
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Net()


def train(
    model: nn.Module, images: Tensor, labels: Tensor, *, epochs: int, lr: float, batch_size: int, generator: torch.Generator
) -> float:
    """Train all parameters that require gradients, in place, by Adam.

    Parameters
    ----------
    model : nn.Module
    images : float32 tensor, shape (n, 1, 28, 28), pixels in [0, 1]
    labels : int64 tensor, shape (n,), in [0, 10)
    epochs : int
        Passes over the images.
    lr : float
        Learning rate.
    batch_size : int
        Images in a step; the last step of a pass may have fewer.
    generator : torch.Generator
        Draws the order of the images.

    Returns
    -------
    float
        Mean loss over the last pass.
    """
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, foreach=True)
    total = 0.0
    with _single_thread():
        for _ in range(epochs):
            total = 0.0
            for batch in torch.split(torch.randperm(len(labels), generator=generator), batch_size):
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(images[batch]), labels[batch])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                total += loss.item() * len(batch)
    return total / len(labels)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images whose digit the model finds, from 0 to 1."""
    model.eval()
    with _single_thread(), torch.inference_mode():
        found = sum(
            int((model(some).argmax(1) == wanted).sum())
            for some, wanted in zip(torch.split(images, 1000), torch.split(labels, 1000), strict=True)
        )
    return found / len(labels)


def pretrain(model: Net, images: Tensor, labels: Tensor, *, epochs: int, lr: float, generator: torch.Generator) -> float:
    """Train the model owner's whole model on its own few samples, in place; return the last mean loss."""
    return train(model, images, labels, epochs=epochs, lr=lr, batch_size=len(labels), generator=generator)


def fit_private(model: Net, images: Tensor, labels: Tensor, *, epochs: int, lr: float, generator: torch.Generator) -> float:
    """Re-fit the private part alone to the model owner's own few samples, in place; return the last loss.

    As with the data owners, the private part moves beside a public part that moves too; the model
    owner then drops the latter. Moved alone, it follows the few samples away from where the owners'
    private parts go. Every pass sees the samples anew, turned, stretched and shifted a little, so that
    they are not learnt by heart.

    Parameters
    ----------
    model : Net
        The new public part, joined with the private part as it was.
    images : float32 tensor, shape (n, 1, 28, 28), pixels in [0, 1]
    labels : int64 tensor, shape (n,), in [0, 10)
    epochs : int
        Passes, one step each.
    lr : float
        Adam's learning rate.
    generator : torch.Generator
        Draws turns, stretches and shifts.

    Returns
    -------
    float
    """
    trained = copy.deepcopy(model)
    trained.train()
    optimizer = torch.optim.Adam(trained.parameters(), lr=lr, foreach=True)
    last = 0.0
    with _single_thread():
        for _ in range(epochs):
            optimizer.zero_grad()
            loss = functional.cross_entropy(trained(_varied(images, generator)), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            last = loss.item()
    private = {name: value for name, value in trained.state_dict().items() if _matches(name, PRIVATE)}
    model.load_state_dict({**model.state_dict(), **private})
    return last


def _varied(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn, stretch and shift each image by amounts of its own."""

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) * 2 - 1

    turn, stretch = LARGEST_TURN_RADIANS * draw(len(images)), 1 + LARGEST_STRETCH * draw(len(images))
    cosine, sine = stretch * turn.cos(), stretch * turn.sin()
    linear = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    # In affine_grid's units an image is 2 wide.
    shift = 2 * LARGEST_SHIFT_PIXELS / SIDE_PIXELS * draw(len(images), 2)
    grid = functional.affine_grid(torch.cat([linear, shift.unsqueeze(2)], 2), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


@contextmanager
def _single_thread() -> Iterator[None]:
    """Keep torch to one thread: more only wait for each other on tensors this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
