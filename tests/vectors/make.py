"""Make the vectors: ``python -m tests.vectors.make`` writes ``tests/vectors/*.json``; FORMAT.md says what they hold.

Inputs are fixed here; outputs are the package's. `test_vectors.py` computes them again, and `contracts/test/unit/Vectors.t.sol` by the contract.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from eth_abi.abi import encode as abi_encode

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.crypto.computed import verify_computed
from omnilytics_flwr.crypto.curve import POINT_BYTES, parse_points, split_points
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.fixedpoint import pack, quantise
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.kzg import commit
from omnilytics_flwr.crypto.lanes import Lanes
from omnilytics_flwr.crypto.masks import GroupMask, MaskKey, Peer, check_mask_key
from omnilytics_flwr.crypto.projection import project, projection_seed
from omnilytics_flwr.crypto.prover import prove
from omnilytics_flwr.crypto.settlement import Settlement
from omnilytics_flwr.crypto.statement import Statement
from omnilytics_flwr.crypto.transcript import challenge_gamma, challenge_rho, challenge_z
from omnilytics_flwr.crypto.verifier import verify
from omnilytics_flwr.errors import BadPoint, OmnilyticsError, Refusal
from omnilytics_flwr.market.dispute import blob_hash_of
from omnilytics_flwr.market.krum import most_unpaid, select
from omnilytics_flwr.market.roster import bitmap_of
from omnilytics_flwr.market.task import TaskParts, arrays_hash, config_hash, named_config_hash
from tests.contracts.forging import COMMON_FORGERIES
from tests.crypto.conftest import ComputedRound, make_computed_round, make_round, sparse_vector
from tests.support import bad_inputs

FOLDER = Path(__file__).parent
FORGED = (
    "first V +1",
    "last y is r",
    "C_q and C_f swapped",
    "proof at infinity",
    "point is OFF_CURVE",
    "one byte too many",
)
Fields = dict[str, Any]


# ----------------------------------------------------------------------------------------------------------- inputs, by file and name


def inputs() -> dict[str, dict[str, Fields]]:
    """All inputs."""
    rounds = {"three groups": make_round((3, 4, 3), seed=1), "one group outside": make_round((3, 3, 3), polynomials=2, seed=2)}
    rounds["one group outside"] = rounds["one group outside"].with_outside(0b010)
    settlements: dict[str, Fields] = {}
    for name, one in rounds.items():
        sums = [None if one.statement.is_outside(i) else vector for i, vector in enumerate(one.vectors)]
        proof = prove(one.statement, sums, one.members)
        settlements[name] = _statement(one.statement) | {"settlement": _hex(proof.settlement)}
    honest = _settlement_of(settlements["three groups"])
    for name in FORGED:
        settlements[name] = settlements["three groups"] | {"settlement": _hex(COMMON_FORGERIES[name].change(honest))}
    points = {"GENERATOR": bad_inputs.GENERATOR, "INFINITY": bad_inputs.INFINITY, "two polynomials": commit(_small_vector(2))}
    points |= {"five polynomials": commit(_small_vector(5)), "seventeen": 17 * bad_inputs.GENERATOR}
    return {
        "mask_key": {"base point": _key(9)}
        | {name: _key(u) for name, u in (bad_inputs.LOW_ORDER_KEYS | bad_inputs.NON_CANONICAL_KEYS).items()},
        "mask": {f"member {i} of 3": _mask_input(3, i) for i in range(3)} | {"one of 4, two polynomials": _mask_input(4, 1, 2)},
        "quantised_vector": {
            "in range": _update([0.0, 0.05, -0.05, 1e-9, 0.1, -0.1], 16),
            "clipped": _update([0.1000001, -7.0, 1e300, -0.0], 8),
            "NaN": _update([0.0, float("nan")], 8),
            "infinite": _update([float("-inf")], 8),
        },
        "task_hash": {
            "one array": _task([("weight", "<f4", [2, 2], [1.0, -2.0, 0.5, 0.0])], {"lr": 0.1, "epochs": 1}),
            "two arrays": _task([("a", "<f8", [1], [1.5]), ("b", "<i8", [2], [-1, 7])], {"name": "sgd", "nesterov": True, "steps": [1, 2]}),
            "nothing": _task([], {}),
        },
        "digest": {name: {"points": _hex(raw)} for name, raw in (points | bad_inputs.BAD_POINTS).items()},
        "projection": {
            f"{n} polynomials": {"context": _hex(keccak256(b"context")), "roster_hash": _hex(keccak256(b"roster"))} | {"polynomials": n}
            for n in (1, 2, 5)
        },
        "selection": {
            f"{groups} groups, {faulty} faulty, {percent} per cent": _distances(groups, faulty, percent)
            for groups in range(13)
            for faulty in (1, 3)
            for percent in (0, 125)
        },
        "transcript": {"three groups": _transcript(honest.argument, _statement_of(settlements["three groups"]))},
        "settlement": settlements,
        "lanes": {
            "h = 3, b = 16": _lanes([32767, -32767, 0, 1, -1], 16, 3),
            "h = 16, b = 3": _lanes([3, -3, 2, 0] * 8, 3, 16),
            "h = 7, b = 24": _lanes([8388607, -8388607] * 5, 24, 7),
        },
        "computed": _computed_inputs(),
    }


def _key(u: int) -> Fields:
    return {"public_key": _hex(u.to_bytes(32, "little"))}


def _mask_input(size: int, own: int, polynomials: int = 1) -> Fields:
    secrets = [keccak256(b"mask secret" + word(i)) for i in range(size)]
    peers = [{"address": _hex(keccak256(word(i))[12:]), "public_key": _hex(MaskKey.from_private(s).public)} for i, s in enumerate(secrets)]
    where = {"chain_id": 31337, "market": _hex(b"\x11" * 20), "epoch_seed": _hex(keccak256(b"seed")), "epoch": 2, "round": 5}
    return {"private_key": _hex(secrets[own]), "peers": peers} | where | {"task_hash": _hex(keccak256(b"task")), "polynomials": polynomials}


def _update(weights: list[float], bits: int) -> Fields:
    floats = [_hex(struct.pack(">d", weight)) for weight in weights]
    return {"update": floats, "bits": bits, "clip": _hex(struct.pack(">d", 0.1)), "key": _hex(keccak256(b"rounding"))}


def _task(arrays: list[tuple[str, str, list[int], list[float]]], config: Fields) -> Fields:
    rows = [{"name": name, "dtype": dtype, "shape": shape, "values": values} for name, dtype, shape, values in arrays]
    configs = {"train_config": config, "evaluate_config": {}, "run_config": {"seed": 7}}
    return {"arrays": rows} | configs | {"round": 3, "arrays_name": "arrays", "config_name": "config"}


def _small_vector(polynomials: int) -> FieldVector:
    return sparse_vector(polynomials * N, {0: 1, 17: 2} | {k * N + 3: 4 + k for k in range(1, polynomials)})


def _transcript(argument: Any, statement: Statement) -> Fields:
    points = [_hex(keccak256(word(i)) * 3) for i in range(3)]  # hashed as they are: any 96 bytes do
    commitments = {name: _hex(getattr(argument, name)) for name in ("quotient", "remainder", "tail")}
    numbers = {"values": [_hex(word(v)) for v in argument.values], "evaluations": [_hex(word(y)) for y in argument.evaluations]}
    return _statement(statement) | {"points": points} | numbers | commitments


def _distances(groups: int, faulty: int, percent: int) -> Fields:
    """Small numbers, so that ties are common; up to as many groups as may go unpaid are longer than the bound."""
    random = Random(100 * groups + faulty + percent)
    sizes = sorted(random.choices((3, 4), k=groups), reverse=True)
    distances = [random.randrange(16) for _ in range(groups * (groups + 1) // 2)]
    for group in random.sample(range(groups), random.randint(0, most_unpaid(groups, faulty))):
        distances[group] = 10_000
    return {"sizes": sizes, "faulty": faulty, "norm_bound": 27, "outlier_percent": percent, "distances": distances}


def _statement(s: Statement) -> Fields:
    hashes = {"context": _hex(s.context), "roster_hash": _hex(s.roster_hash), "sizes": list(s.sizes)}
    return hashes | {"outside": s.outside, "polynomials": s.polynomials}


def _statement_of(f: Fields) -> Statement:
    return Statement(_raw(f["context"]), _raw(f["roster_hash"]), tuple(f["sizes"]), f["outside"], f["polynomials"])


def _lanes(units: list[int], bits: int, group_size: int) -> Fields:
    return {"units": units, "bits": bits, "group_size": group_size}


def _computed_inputs() -> dict[str, Fields]:
    honest = make_computed_round((3, 4, 3), seed=3)
    just, above = honest.lanes.width * honest.lanes.count, 1 << honest.lanes.width
    # The sum's lane 0 is brought to the end of its range, and one beyond it.
    room = 3 * 32767 - sum(int(member[0]) for member in honest.units[0])
    rounds = {
        "three groups": honest,
        "one group outside": honest.with_outside(0b010),
        "all groups outside": honest.with_outside(0b111),
        "range filled": make_computed_round((8, 9, 8), bits=24, group_size=8, seed=4, extreme=True),
        "largest lane": honest.with_extra(0, 0, room),
        "lane too large": honest.with_extra(0, 0, room + 1),
        "lane too small": honest.with_extra(0, 0, room - 6 * 32767 - 1),
        "lane borrows": honest.with_extra(1, 2, -above),
        "above all lanes": honest.with_extra(2, 1, 1 << just),
        "two groups out of range": honest.with_extra(0, 0, above).with_extra(2, 0, above),
    }
    cases = {name: _computed(one, one.settlement()) for name, one in rounds.items()}
    beyond = (int.from_bytes(honest.settlement()[:32], "big") + R).to_bytes(32, "big")
    return cases | {
        "first word plus r": _computed(honest, beyond + honest.settlement()[32:]),
        "one byte too many": _computed(honest, honest.settlement() + b"\0"),
        "one byte too few": _computed(honest, honest.settlement()[:-1]),
    }


def _computed(played: ComputedRound, settlement: bytes) -> Fields:
    sizes = {"weights": played.lanes.weights, "bits": played.lanes.update_bits, "group_size": played.lanes.group_size}
    return _statement(played.statement) | sizes | {"settlement": _hex(settlement)}


def _settlement_of(f: Fields) -> Settlement:
    return Settlement.from_bytes(_raw(f["settlement"]), _statement_of(f))


# ---------------------------------------------------------------------------------------------------------- outputs, as the package has it


def mask_key(f: Fields) -> Fields:
    check_mask_key(_raw(f["public_key"]))
    return {"usable": True}


def mask(f: Fields) -> Fields:
    vector = GroupMask(
        MaskKey.from_private(_raw(f["private_key"])),
        [Peer(_raw(peer["address"]), _raw(peer["public_key"])) for peer in f["peers"]],
        chain_id=f["chain_id"],
        market=_raw(f["market"]),
        epoch_seed=_raw(f["epoch_seed"]),
        epoch=f["epoch"],
        round_number=f["round"],
        task_hash=_raw(f["task_hash"]),
    ).read(N * f["polynomials"])
    return _told(vector)


def quantised_vector(f: Fields) -> Fields:
    update = np.array([struct.unpack(">d", _raw(weight))[0] for weight in f["update"]])
    (clip,) = struct.unpack(">d", _raw(f["clip"]))
    units = quantise(update, weights=len(update), bits=f["bits"], clip=clip, key=_raw(f["key"]))
    return {"units": units[: len(update)].tolist()} | _told(pack(units))


def task_hash(f: Fields) -> Fields:
    arrays = [(row["name"], np.array(row["values"], dtype=row["dtype"]).reshape(row["shape"])) for row in f["arrays"]]
    names = {"name": f["config_name"], "arrays_name": f["arrays_name"]}
    train, evaluate = (named_config_hash(f[f"{which}_config"], **names) for which in ("train", "evaluate"))
    parts = TaskParts(arrays_hash(arrays), train, evaluate, config_hash(f["run_config"]))
    return {"arrays_hash": _hex(parts.arrays), "task_hash": _hex(parts.task_hash(f["round"]))}


def digest(f: Fields) -> Fields:
    points = _raw(f["points"])
    try:
        parse_points(points, len(points) // POINT_BYTES)
    except BadPoint:
        return {"good": False, "digest": _hex(points_digest(points)), "versioned_hashes": []}
    hashes = [_hex(blob_hash_of(point)) for point in split_points(points)]
    return {"good": True, "digest": _hex(points_digest(points)), "versioned_hashes": hashes}


def projection(f: Fields) -> Fields:
    seed = projection_seed(_raw(f["context"]), _raw(f["roster_hash"]))
    vector = FieldVector.from_ints(range(1, f["polynomials"] * N + 1))
    return {"seed": _hex(seed)} | _told(project(vector, seed))


def selection(f: Fields) -> Fields:
    numbers = {"sizes": f["sizes"], "norm_bound": f["norm_bound"], "outlier_percent": f["outlier_percent"]}
    selected = select(f["distances"], faulty_groups=f["faulty"], **numbers)
    return {"scores": list(selected.scores), "accepted": bitmap_of(selected.accepted)}


def transcript(f: Fields) -> Fields:
    statement, points, values = _statement_of(f), [_raw(p) for p in f["points"]], [int(v, 16) for v in f["values"]]
    rho = challenge_rho(statement, points=points, values=values)
    z = challenge_z(rho, quotient=_raw(f["quotient"]), remainder=_raw(f["remainder"]), tail=_raw(f["tail"]))
    gamma = challenge_gamma(z, evaluations=[int(y, 16) for y in f["evaluations"]])
    return {"rho": _hex(rho.digest), "z": _hex(z.digest), "gamma": _hex(gamma.digest)}


def settlement(f: Fields) -> Fields:
    verdict = verify(_statement_of(f), _raw(f["settlement"]))
    return {"digests": list(map(_hex, verdict.digests)), "distances": [_hex(word(distance)) for distance in verdict.distances]}


def lanes(f: Fields) -> Fields:
    layout = Lanes(len(f["units"]), f["bits"], f["group_size"])
    units = np.zeros(layout.places, dtype=np.int64)
    units[: len(f["units"])] = f["units"]
    return {"width": layout.width, "lanes": layout.count, "vector": _hex(layout.pack(units).to_bytes())}


def computed(f: Fields) -> Fields:
    verdict = verify_computed(_statement_of(f), _raw(f["settlement"]), Lanes(f["weights"], f["bits"], f["group_size"]))
    return {"digests": list(map(_hex, verdict.digests)), "distances": [_hex(word(distance)) for distance in verdict.distances]}


OUTPUTS: dict[str, Callable[[Fields], Fields]] = {
    one.__name__: one
    for one in (mask_key, mask, quantised_vector, task_hash, digest, projection, selection, transcript, settlement, lanes, computed)
}


def answer(kind: str, fields: Fields) -> Fields:
    """``output``; or null, the ``error`` that refuses the input, and what the contract reverts with if the error is its own."""
    try:
        return {"output": OUTPUTS[kind](fields)}
    except Refusal as refusal:
        return {"output": None, "error": type(refusal).__name__, "revert": _revert_data(refusal)}
    except OmnilyticsError as error:
        return {"output": None, "error": type(error).__name__}


def _revert_data(refusal: Refusal) -> str:
    entries = artifacts.described(artifacts.VERIFICATION)["abi"]
    (inputs,) = (entry["inputs"] for entry in entries if entry["type"] == "error" and entry["name"] == type(refusal).__name__)
    types = [one["type"] for one in inputs]
    signature = f"{type(refusal).__name__}({','.join(types)})"
    return _hex(keccak256(signature.encode())[:4] + abi_encode(types, refusal.args))


def _told(vector: FieldVector) -> Fields:
    """A vector that is too long to be written down."""
    raw = vector.to_bytes()
    return {"first_element": _hex(raw[:32]), "last_element": _hex(raw[-32:]), "keccak256": _hex(keccak256(raw))}


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()


def _raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def make() -> dict[str, str]:
    """Text of every file, by its name."""
    texts = {}
    for kind, by_name in inputs().items():
        cases = [{"name": name, "input": fields} | answer(kind, fields) for name, fields in by_name.items()]
        texts[f"{kind}.json"] = _text(cases)
    return texts


def _text(cases: list[Fields]) -> str:
    """One case a line."""
    return '{"cases": [\n' + ",\n".join(map(json.dumps, cases)) + "\n]}\n"


if __name__ == "__main__":
    for name, text in make().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
