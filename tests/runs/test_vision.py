"""torchvision imports beside the torch that is installed, whatever the two were built for."""

import numpy as np
import torch

from runs.vision import datasets, models, transforms


def test_transform_of_an_image_gives_its_pixels() -> None:
    pixels = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)
    tensor = transforms.ToTensor()(pixels)
    assert torch.equal(tensor[0] * 255, torch.from_numpy(pixels).float())


def test_model_of_torchvision_runs() -> None:
    model = models.resnet18().eval()
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)


def test_data_set_of_torchvision_is_there() -> None:
    assert len(datasets.FakeData(size=3)) == 3
