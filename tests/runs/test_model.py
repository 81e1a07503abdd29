"""The model: its size, what training changes, and what re-fitting leaves alone."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from omnilytics_flwr import Address
from runs.mnist.data import load
from runs.mnist.model import Net, accuracy, fit_private, initial_model, pretrain, train
from runs.mnist.recipe import load_recipe
from runs.mnist.run import terms_of


@pytest.fixture(scope="module")
def samples() -> tuple[torch.Tensor, torch.Tensor]:
    recipe = load_recipe()
    digits = load(replace(recipe, data=replace(recipe.data, source="npm")))
    return digits.images[:200], digits.labels[:200]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_public_part_has_twenty_thousand_weights_and_the_private_part_is_conv1() -> None:
    model, recipe = Net(), load_recipe()
    assert terms_of(recipe)(Address("0x" + "0" * 39 + "1")).weights == 20_314
    assert sum(value.numel() for value in model.parameters()) - 20_314 == sum(value.numel() for value in model.conv1.parameters())


def test_initial_model_is_the_seeds_and_leaves_the_global_generator() -> None:
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    first, second, other = initial_model(1), initial_model(1), initial_model(2)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first.conv1.weight, second.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_training_learns_its_samples_and_repeats_exactly(samples: tuple[torch.Tensor, torch.Tensor]) -> None:
    first, second = initial_model(1), initial_model(1)
    settings: dict[str, Any] = {"epochs": 6, "lr": 0.005, "batch_size": 32}
    threads = torch.get_num_threads()
    loss = train(first, *samples, **settings, generator=generator())
    train(second, *samples, **settings, generator=generator())
    assert accuracy(first, *samples) > 0.8
    assert loss < 1.0
    assert torch.get_num_threads() == threads
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_accuracy_counts_the_images_that_are_right(samples: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, _ = samples
    model = initial_model(1)
    found = model(images).argmax(1)
    found[:50] = (found[:50] + 1) % 10
    assert accuracy(model, images, found) == 0.75


def test_refit_changes_the_private_part_alone(samples: tuple[torch.Tensor, torch.Tensor]) -> None:
    model = initial_model(1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit_private(model, *samples, epochs=3, lr=0.005, generator=generator())
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"conv1.weight", "conv1.bias"}
    assert all(value.requires_grad for value in model.parameters())


def test_refit_fits_a_foreign_private_part_to_its_public_part(samples: tuple[torch.Tensor, torch.Tensor]) -> None:
    model = initial_model(1)
    train(model, *samples, epochs=10, lr=0.005, batch_size=32, generator=generator())
    model.conv1.load_state_dict(initial_model(2).conv1.state_dict())
    foreign = accuracy(model, *samples)
    fit_private(model, *samples, epochs=40, lr=0.005, generator=generator())
    assert accuracy(model, *samples) > foreign + 0.2


def test_model_owner_starts_where_the_run_says() -> None:
    recipe = load_recipe()
    recipe = replace(recipe, data=replace(recipe.data, source="npm"))
    digits, model, settings = load(recipe), initial_model(recipe.seed), recipe.training
    chosen = torch.from_numpy(digits.model_owner)
    rng, epochs, lr = torch.Generator().manual_seed(recipe.seed), settings.pretrain_epochs, settings.pretrain_learning_rate
    pretrain(model, digits.images[chosen], digits.labels[chosen], epochs=epochs, lr=lr, generator=rng)
    assert 0.60 <= accuracy(model, digits.test_images, digits.test_labels) <= 0.66
