"""Model and data: nothing in here knows of a market, or of Flower."""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

warnings.filterwarnings("ignore", category=ConvergenceWarning)

Arrays = list[NDArray[np.float64]]


def load_data(partition_id: int, num_partitions: int) -> Arrays:
    """One data owner's share of 1,797 digits, as train and test images and labels."""
    images, labels = load_digits(return_X_y=True)
    own = np.random.default_rng(0).permutation(len(labels))[partition_id::num_partitions]
    split: Arrays = train_test_split(images[own] / 16, labels[own], test_size=0.2, random_state=0)
    return split


def new_model(local_epochs: int) -> LogisticRegression:
    """An untrained model: ten digits, 64 pixels."""
    model = LogisticRegression(max_iter=local_epochs, warm_start=True)
    model.classes_ = np.arange(10)
    set_parameters(model, [np.zeros((10, 64)), np.zeros(10)])
    return model


def get_parameters(model: LogisticRegression) -> Arrays:
    """Weights of the model."""
    return [model.coef_, model.intercept_]


def set_parameters(model: LogisticRegression, arrays: Arrays) -> None:
    """Put weights into the model."""
    model.coef_, model.intercept_ = arrays
