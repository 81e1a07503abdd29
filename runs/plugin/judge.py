"""Accuracy of the model that a run of an example saved, by the example's own functions, on the small data's test rows.

``python -m runs.plugin.judge NAME COPY`` in the folder of the run prints it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .examples import EXAMPLES


def pytorch(task: Any, model_file: str) -> float:
    """Share of the test images that the model names rightly."""
    import torch

    model = task.Net()
    model.load_state_dict(torch.load(model_file))
    _, accuracy = task.test(model, task.load_centralized_dataset(), torch.device("cpu"))
    return float(accuracy)


def sklearn(task: Any, model_file: str) -> float:
    """Share of all flowers that the model names rightly; the data set has one split."""
    import joblib
    from datasets import load_dataset

    model = joblib.load(model_file)
    flowers = load_dataset(EXAMPLES["sklearn"].data, split="train").to_pandas()
    return float(model.score(flowers[task.FEATURES].values, flowers["species"].values))


def jax(task: Any, model_file: str) -> float:
    """Share of the test images that the model names rightly."""
    from datasets import load_dataset

    with np.load(model_file) as saved:
        state = task.set_params(task.create_train_state(0.1), [saved[name] for name in saved.files])
    test = load_dataset(EXAMPLES["jax"].data, split="test").with_format("numpy")[:]
    images = np.asarray(test["image"], np.float32)[..., None] / 255
    _, _, accuracy = task.apply_model(state, images, np.asarray(test["label"]))
    return float(accuracy)


JUDGES: dict[str, Callable[[Any, str], float]] = {"pytorch": pytorch, "sklearn": sklearn, "jax": jax}


def main(name: str, copy: str) -> None:
    """Print the accuracy."""
    sys.path.insert(0, copy)
    (package,) = {Path(one.path).parts[0] for one in EXAMPLES[name].patch() if one.path.endswith("client_app.py")}
    print(JUDGES[name](import_module(f"{package}.task"), EXAMPLES[name].model_file))


if __name__ == "__main__":
    main(*sys.argv[1:])
