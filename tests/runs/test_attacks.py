"""What an attacker sends in place of an honest update."""

import numpy as np
import pytest

from runs.mnist.attacks import poison

RECEIVED = [np.array([1, 2], np.float32), np.array([[3]], np.float32)]
TRAINED = [np.array([2, 2], np.float32), np.array([[1]], np.float32)]


def test_sign_flip_sends_the_update_backwards_and_label_flip_leaves_it() -> None:
    sent = poison(RECEIVED, TRAINED, kind="sign-flip", scale=4.0, rng=np.random.default_rng(0))
    assert [part.tolist() for part in sent] == [[-3, 2], [[11]]]
    assert all(part.dtype == np.float32 for part in sent)
    sent = poison(RECEIVED, TRAINED, kind="label-flip", scale=4.0, rng=np.random.default_rng(0))
    assert [part.tolist() for part in sent] == [part.tolist() for part in TRAINED], "its labels were flipped before"
    with pytest.raises(ValueError, match="'flood' is no kind of attack; expected sign-flip"):
        poison(RECEIVED, TRAINED, kind="flood", scale=1.0, rng=np.random.default_rng(0))


def test_noise_is_scale_times_as_long_as_the_update_and_repeats() -> None:
    rng = np.random.default_rng(1)
    received = [np.zeros(5000, np.float32), np.zeros((50, 100), np.float32)]
    trained = [part + rng.normal(0, 0.1, part.shape).astype(np.float32) for part in received]
    sent = poison(received, trained, kind="noise", scale=4.0, rng=np.random.default_rng(2))
    honest, noise = np.concatenate([part.ravel() for part in trained]), np.concatenate([part.ravel() for part in sent])
    assert np.linalg.norm(noise) == pytest.approx(4 * np.linalg.norm(honest), rel=0.05)
    assert abs(noise @ honest) < 0.1 * np.linalg.norm(noise) * np.linalg.norm(honest)
    again = poison(received, trained, kind="noise", scale=4.0, rng=np.random.default_rng(2))
    assert all(np.array_equal(one, other) for one, other in zip(sent, again, strict=True))
