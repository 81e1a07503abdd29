"""Models with numbers of every kind go through whole rounds: weights are trained in their own dtype, constants stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM, Strategy

from omnilytics_flwr.errors import TermsError
from omnilytics_flwr.flower.mod import OmnilyticsMod
from tests.flower.clients import arrays_of
from tests.flower.markets import FIRST_NODE, MemoryRun, accepted_owners, memory_run, number_of
from tests.support.builders import address_of

MODEL: dict[str, np.ndarray] = {
    "half": np.linspace(-1, 1, 6).astype("float16").reshape(2, 3),
    "single": np.linspace(-2, 2, 5).astype("float32"),
    "double": np.linspace(-3, 3, 4),
    "scalar": np.asarray(0.25, dtype="float32"),
    "empty": np.zeros((0, 4), dtype="float32"),
    "num_batches_tracked": np.asarray(11),
    "table": np.arange(6, dtype="uint8"),
    "mask": np.array([True, False, True]),
}
WEIGHTS = 6 + 5 + 4 + 1
STEP = 1 / (2**15 - 1)
"""One quantised unit at a clip of 1 and 16 bits."""


def trained_by(number: int, model: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a data owner makes of a model: it changes everything, constants too."""
    changed = {name: np.asarray(array + 0.01 * (number + 1), dtype=array.dtype) for name, array in model.items() if array.dtype.kind == "f"}
    counters = {"num_batches_tracked": model["num_batches_tracked"] + 40, "table": model["table"] + 1, "mask": ~model["mask"]}
    return {name: (changed | counters)[name] for name in model}


def record_of(model: dict[str, np.ndarray]) -> ArrayRecord:
    return ArrayRecord({name: Array(np.asarray(array)) for name, array in model.items()})


def mixed_run(folder: Path, inner: Strategy) -> tuple[MemoryRun, list[dict[str, np.ndarray]]]:
    """A market for `MODEL`, and the models that data owner 0 is sent."""
    run = memory_run(folder, inner=inner, weights=WEIGHTS, metrics=())
    agents = {number: owner.agent() for number, owner in run.owners.items()}
    sent: list[dict[str, np.ndarray]] = []

    app = ClientApp(mods=[OmnilyticsMod(agent=lambda context: agents[number_of(context)])])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        model = arrays_of(message.content.array_records["arrays"])
        if number_of(context) == 0:
            sent.append(model)
        # An app loads what it is sent into a model of its own, whose dtypes are fixed.
        own = {name: np.asarray(model[name], dtype=MODEL[name].dtype) for name in MODEL}
        new = record_of(trained_by(number_of(context), own))
        return Message(RecordDict({"arrays": new, "metrics": MetricRecord({"num-examples": 1})}), reply_to=message)

    run.grid.apps = {FIRST_NODE + number: app for number in run.owners}
    return run, sent


def test_mean_is_learnt_in_every_dtype_and_constants_stay(tmp_path: Path) -> None:
    run, sent = mixed_run(tmp_path, FedAvg())
    models: list[dict[str, np.ndarray]] = []
    result = run.strategy.start(run.grid, record_of(MODEL), 2, evaluate_fn=lambda number, arrays: models.append(arrays_of(arrays)) or None)
    assert [report.settled for report in run.reports] == [True, True]
    for before, after, report in zip(models, models[1:], run.reports, strict=False):
        replies = [trained_by(number, before) for number in run.owners if address_of(number) in accepted_owners(report)]
        assert len(replies) == 12
        for name, array in after.items():
            assert (array.dtype, array.shape) == (MODEL[name].dtype, MODEL[name].shape)
            if array.dtype.kind == "f":
                mean = np.mean([reply[name].astype(float) for reply in replies], axis=0)
                coarse = float(np.finfo(array.dtype).eps) * 4
                np.testing.assert_allclose(array.astype(float), mean, rtol=coarse, atol=STEP)
            else:
                assert np.array_equal(array, MODEL[name])
    assert arrays_of(result.arrays).keys() == MODEL.keys()
    assert [model["num_batches_tracked"] for model in sent] == [11, 11]


@pytest.mark.parametrize("inner", [FedAdam(eta=0.01), FedAvgM(server_learning_rate=0.5, server_momentum=0.9)])
def test_strategy_that_widens_dtypes_still_settles_every_round(tmp_path: Path, inner: Strategy) -> None:
    run, sent = mixed_run(tmp_path, inner)
    result = run.strategy.start(run.grid, record_of(MODEL), 3)
    assert [report.settled for report in run.reports] == [True] * 3
    for model in (*sent, arrays_of(result.arrays)):
        assert {name: (array.dtype, array.shape) for name, array in model.items()} == {n: (a.dtype, a.shape) for n, a in MODEL.items()}
        assert all(np.array_equal(model[name], MODEL[name]) for name in ("num_batches_tracked", "table", "mask"))
    assert not np.array_equal(result.arrays["single"].numpy(), MODEL["single"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"half": np.full((2, 3), np.nan, dtype="float16")}, "'half' holds numbers that are not finite"),
        ({"mask": np.zeros(3)}, r"19 weights, .* say 16; .*mask 3"),
        ({name: np.zeros(3, dtype=int) for name in MODEL}, r"0 weights, .* say 16; .*Constant, because .*: half, single"),
    ],
)
def test_model_that_cannot_be_traded_is_refused_by_name_before_anything_is_anchored(
    tmp_path: Path, changes: dict[str, np.ndarray], reason: str
) -> None:
    run, sent = mixed_run(tmp_path, FedAvg())
    with pytest.raises(TermsError, match=reason):
        run.strategy.start(run.grid, record_of(MODEL | changes), 1)
    assert run.scene.state.round == 0
    assert not sent
