"""Model and data: nothing in here knows of a market, or of Flower."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn


class Net(nn.Module):
    """A body that everybody trains together, and a head that everybody keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(64, 32)
        self.head = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the ten digits."""
        scores: Tensor = self.head(torch.relu(self.body(images)))
        return scores


def new_net(seed: int) -> Net:
    """An untrained net; the seed decides on its first weights."""
    torch.manual_seed(seed)
    return Net()


def load_data(partition_id: int, num_partitions: int) -> list[Tensor]:
    """One data owner's share of 1,797 digits, as train and test images and labels."""
    images, labels = load_digits(return_X_y=True)
    own = np.random.default_rng(0).permutation(len(labels))[partition_id::num_partitions]
    parts = train_test_split(images[own].astype(np.float32) / 16, labels[own], test_size=0.2, random_state=0)
    return [torch.from_numpy(part) for part in parts]


def train(net: Net, images: Tensor, labels: Tensor, epochs: int, lr: float) -> None:
    """Train on one data owner's digits."""
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(images)), 16):
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(net(images[batch]), labels[batch]))
            optimizer.step()


def accuracy(net: Net, images: Tensor, labels: Tensor) -> float:
    """Share of digits that the net reads right."""
    with torch.no_grad():
        return float((net(images).argmax(1) == labels).float().mean())
