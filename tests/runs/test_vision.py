"""torchvision imports beside the torch that is installed, whatever the two were built for."""

import numpy as np
import torch

from runs.vision import datasets, models, transforms


def test_transforms_models_and_data_sets_of_torchvision_work() -> None:
    pixels = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)
    tensor = transforms.ToTensor()(pixels)
    assert torch.equal(tensor[0] * 255, torch.from_numpy(pixels).float())
    assert models.resnet18().eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)
    assert len(datasets.FakeData(size=3)) == 3
