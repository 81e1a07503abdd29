"""Model, data and training; nothing here knows of a market."""

import math

import torch
from torch import nn


class Net(nn.Module):
    """A small classifier with a normalisation that counts its batches."""

    def __init__(self):
        super().__init__()
        generator_state = torch.random.get_rng_state()
        torch.manual_seed(7)
        self.hidden = nn.Linear(2, 16)
        self.norm = nn.BatchNorm1d(16)
        self.output = nn.Linear(16, 2)
        torch.random.set_rng_state(generator_state)

    def forward(self, x):
        """Scores of the two rings."""
        return self.output(torch.relu(self.norm(self.hidden(x))))


def make_points(seed, count):
    """Points on two rings of radius 1 and 3, and their rings."""
    generator = torch.Generator().manual_seed(seed)
    rings = torch.arange(count) % 2
    angles = torch.rand(count, generator=generator) * 2 * math.pi
    radii = 1 + 2 * rings + 0.2 * torch.randn(count, generator=generator)
    return torch.stack([radii * torch.cos(angles), radii * torch.sin(angles)], dim=1), rings


def load_data(partition_id):
    """Train and validation points of a client."""
    points, rings = make_points(100 + partition_id, 60)
    return (points[:48], rings[:48]), (points[48:], rings[48:])


def load_central_data():
    """Points of the server, for testing."""
    return make_points(1, 600)


def train(model, data, epochs, lr):
    """Train and return the loss of the last epoch."""
    points, rings = data
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    model.train()
    loss = torch.zeros(())
    for _ in range(epochs):
        for batch in torch.arange(len(rings)).split(16):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(points[batch]), rings[batch])
            loss.backward()
            optimizer.step()
    return loss.item()


def test(model, data):
    """Loss and accuracy."""
    points, rings = data
    model.eval()
    with torch.no_grad():
        scores = model(points)
    return nn.functional.cross_entropy(scores, rings).item(), (scores.argmax(dim=1) == rings).float().mean().item()
