"""The networks of this run, each with the patterns of what stays private."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..digits import CLASSES, SIDE
from ..mnist.model import Net

__all__ = ["NETWORKS", "Network", "made"]

RANK, WIDTH, HEADS, LAYERS, PATCH = 8, 128, 4, 2, 7
RESNET_SIDE, RESNET_CHANNELS, NORM_GROUPS = 32, 3, 32


@dataclass(frozen=True, slots=True)
class Network:
    """A network by what makes it, and what of it is not federated."""

    make: Callable[[], nn.Module]
    private: tuple[str, ...] = ()


class LoraLinear(nn.Module):
    """A frozen linear layer and a trained product of two thin matrices beside it (Hu et al., "LoRA", ICLR 2022)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.frozen = nn.Linear(inputs, outputs).requires_grad_(False)
        self.lora_a = nn.Parameter(torch.randn(RANK, inputs) / inputs**0.5)
        self.lora_b = nn.Parameter(torch.zeros(outputs, RANK))

    def forward(self, values: Tensor) -> Tensor:
        """Both outputs, added."""
        added: Tensor = self.frozen(values) + functional.linear(functional.linear(values, self.lora_a), self.lora_b)
        return added


class Layer(nn.Module):
    """A layer of a transformer: attention, then two linear layers, each beside a residual connection and behind a frozen norm."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (LoraLinear(WIDTH, WIDTH) for _ in range(4))
        self.wide, self.narrow = LoraLinear(WIDTH, 2 * WIDTH), LoraLinear(2 * WIDTH, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH).requires_grad_(False) for _ in range(2))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens as the layer leaves them, shape (n, tokens, WIDTH) as before."""
        seen = self.norms[0](tokens)
        heads = [made(seen).unflatten(2, (HEADS, -1)).transpose(1, 2) for made in (self.query, self.key, self.value)]
        tokens = tokens + self.out(functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))
        moved: Tensor = tokens + self.narrow(functional.gelu(self.wide(self.norms[1](tokens))))
        return moved


class Transformer(nn.Module):
    """A small transformer over the patches of a digit, frozen as it was drawn but for its adapters and its head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(PATCH * PATCH, WIDTH).requires_grad_(False)
        self.place = nn.Parameter(torch.randn((SIDE // PATCH) ** 2, WIDTH) / 2, requires_grad=False)
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (n, 10)."""
        patches = functional.unfold(images, PATCH, stride=PATCH).transpose(1, 2)
        scores: Tensor = self.head(self.layers(self.embedding(patches) + self.place).mean(1))
        return scores


class Resnet18(nn.Module):
    """torchvision's ResNet-18 with GroupNorm (Wu and He, ECCV 2018), given grey digits as coloured pictures of 32 x 32 pixels.

    Running variances of BatchNorm move further in a round than any clip that suits the weights, and no mean of a few groups suits them.
    """

    def __init__(self) -> None:
        from ..vision import models  # two seconds, which the others do without

        super().__init__()
        self.resnet = models.resnet18(num_classes=CLASSES, norm_layer=lambda channels: nn.GroupNorm(NORM_GROUPS, channels))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (n, 10)."""
        border = (RESNET_SIDE - SIDE) // 2
        scores: Tensor = self.resnet(functional.pad(images, [border] * 4).expand(-1, RESNET_CHANNELS, -1, -1))
        return scores


def _dense() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 1000), nn.ReLU(), nn.Linear(1000, 213), nn.ReLU(), nn.Linear(213, CLASSES))


NETWORKS = {
    "cnn": Network(Net),
    "dense": Network(_dense),
    "resnet18": Network(Resnet18),
    "lora": Network(Transformer, private=("*", "!*.lora_*", "!head.*")),
}
"""By the name of their section in the recipe."""


def made(network: Network, seed: int) -> nn.Module:
    """The network as a seed draws it, for every party alike; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network.make()
