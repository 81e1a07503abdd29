"""What ships in the package is what the sources compile to, and says the same as the Python side."""

from __future__ import annotations

import re
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from eth_account.messages import encode_typed_data

from contracts import compile as compile_
from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.statement import Statement, Verdict
from omnilytics_flwr.market.market_view import MarketState, OwnerRecord
from omnilytics_flwr.market.messages import Commitment, Delivery, Voucher, domain_separator
from omnilytics_flwr.market.refusals import REFUSALS
from omnilytics_flwr.market.stage import Event, Stage
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import ABI_TYPE, Address, Terms
from tests.support.builders import make_task, make_terms

from .real_market import RealMarket, near

SHIPPED = (artifacts.MARKET, artifacts.FACTORY, *artifacts.VERIFICATIONS, artifacts.ADMISSION)


@pytest.mark.parametrize("name", SHIPPED)
def test_artifact_was_compiled_from_the_sources_that_are_here(name: str) -> None:
    source = f"src/{name}.sol"

    assert artifacts.described(name)["sourceHash"] == compile_.source_hash(compile_.gather([source])), "run `make artifacts`"


@pytest.mark.slow
def test_artifacts_are_what_the_sources_compile_to() -> None:
    compiled = compile_.compile_contracts([compile_.HERE / "src" / f"{name}.sol" for name in SHIPPED])

    assert {name: artifacts.described(name) for name in SHIPPED} == {name: compiled[name] for name in SHIPPED}


@pytest.mark.parametrize("name", SHIPPED)
def test_artifact_tells_compiler_and_settings(name: str) -> None:
    shipped = artifacts.described(name)

    assert (shipped["compiler"], shipped["settings"]) == (compile_.COMPILER_VERSION, compile_.SETTINGS)
    assert shipped["settings"]["viaIR"] is True


def test_compile_check_finds_a_file_that_is_not_what_the_sources_give(tmp_path: Path) -> None:
    compiled = {name: artifacts.described(name) for name in SHIPPED}
    compile_.write(compiled, tmp_path)
    assert compile_.check(compiled, tmp_path) == 0
    path = tmp_path / "Market.json"
    path.write_text(path.read_text().replace('"runs": 200', '"runs": 201'))

    assert compile_.check(compiled, tmp_path) == 1


# ---------------------------------------------------------------------------------------------------------- the same vocabulary


def entries(kind: str) -> list[dict[str, Any]]:
    """Entries of all ABIs."""
    return [entry for name in SHIPPED for entry in artifacts.described(name)["abi"] if entry["type"] == kind]


def struct(name: str) -> list[dict[str, str]]:
    """Components of a struct of the ABIs."""

    def search(entry: dict[str, Any]) -> list[dict[str, str]] | None:
        if entry.get("internalType") == f"struct {name}":
            components: list[dict[str, str]] = entry["components"]
            return components
        nested = [*entry.get("inputs", ()), *entry.get("outputs", ()), *entry.get("components", ())]
        return next((found for found in map(search, nested) if found is not None), None)

    return next(found for found in map(search, entries("function")) if found is not None)


def snake_case(name: str) -> str:
    snake = re.sub("[A-Z]", lambda letter: "_" + letter.group().lower(), name)
    return snake + "_" if snake == "from" else snake


def test_errors_of_the_contracts_are_the_refusals_with_their_facts() -> None:
    ours = [error for error in entries("error") if error["name"].startswith(("Market", "Verification"))]
    facts = {(error["name"], tuple(snake_case(argument["name"]) for argument in error["inputs"])) for error in ours}

    assert facts == {(name, refusal.FACTS) for name, refusal in REFUSALS.items()}


def test_stages_of_the_interface_are_those_of_python() -> None:
    source = (compile_.HERE / "src" / "interfaces" / "MarketTypes.sol").read_text(encoding="utf-8")
    (body,) = re.findall(r"enum Stage \{([^}]*)\}", source)
    names = [name.strip() for name in body.split(",")]

    assert {name.upper(): number for number, name in enumerate(names)} == {stage.name: stage.value for stage in Stage}


def test_every_event_is_a_function_of_the_market() -> None:
    functions = artifacts.load(artifacts.MARKET).abi.functions

    assert {event.value for event in Event} <= set(functions)


@pytest.mark.parametrize(
    ("name", "python"),
    [("Terms", Terms), ("MarketState", MarketState), ("OwnerRecord", OwnerRecord), ("Statement", Statement), ("Verdict", Verdict)],
)
def test_struct_has_the_fields_of_python_in_order(name: str, python: type) -> None:
    assert [snake_case(component["name"]) for component in struct(name)] == [field.name for field in fields(python)]


def test_terms_are_encoded_with_the_types_of_the_struct() -> None:
    assert "(" + ",".join(component["type"] for component in struct("Terms")) + ")" == ABI_TYPE


# --------------------------------------------------------------------------------------------------------------- the same hashes


def test_terms_hash_is_the_same_on_chain_and_in_python(drawn: RealMarket) -> None:
    terms = drawn.owner.terms()

    assert terms == make_terms(
        verification=terms.verification, **{f"{window}_seconds": 24 * 3600 for window in ("commit", "accuse", "answer", "prove")}
    )
    assert drawn.owner.terms_hash() == terms.digest() == keccak256(abi_encode([ABI_TYPE], [terms.abi_tuple()]))


GATE = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
MESSAGES: dict[str, dict[str, str]] = {
    "Commitment": {"epoch": "uint32", "round": "uint32", "taskHash": "bytes32", "openBy": "uint64", "digest": "bytes32"},
    "Delivery": {"epoch": "uint32", "round": "uint32", "taskHash": "bytes32", "rosterHash": "bytes32", "projectedDigest": "bytes32"},
    "Voucher": {"market": "address", "owner": "address", "throughEpoch": "uint32"},
}


@pytest.mark.parametrize("digest", [bytes(32), b"\xff" * 32, keccak256(b"digest")], ids=["zeros", "ones", "any"])
def test_signed_messages_are_the_same_on_chain_in_python_and_in_a_wallet(drawn: RealMarket, digest: bytes) -> None:
    round_ = drawn.open(lambda group, place: near())
    state, owner = drawn.owner.state(), drawn.owner
    messages = [
        Commitment(1, 1, state.task_hash, state.open_by, digest),
        Delivery(1, 1, state.task_hash, round_.statement.roster_hash, digest),
        Voucher(owner.address, owner.account, 7),
    ]
    hashes = []
    for message in messages:
        kinds = MESSAGES[type(message).__name__]
        contract = GATE if isinstance(message, Voucher) else owner.address
        domain = {"name": "OmniLytics", "version": "2", "chainId": owner.chain_id, "verifyingContract": contract}
        data = dict(zip(kinds, astuple(message), strict=True))
        typed = encode_typed_data(domain, {type(message).__name__: [{"name": n, "type": t} for n, t in kinds.items()]}, data)
        assert typed.header == domain_separator(owner.chain_id, contract)
        hashes.append(keccak256(b"\x19" + typed.version + typed.header + typed.body))

    commitment, delivery, voucher = messages
    assert isinstance(commitment, Commitment)
    assert isinstance(delivery, Delivery)
    assert isinstance(voucher, Voucher)
    where = {"chain_id": owner.chain_id, "market": owner.address}
    in_python = [commitment.signing_hash(**where), delivery.signing_hash(**where), voucher.signing_hash(chain_id=owner.chain_id, gate=GATE)]
    assert in_python == hashes
    assert [owner.commitment_hash(digest), owner.delivery_hash(digest)] == hashes[:2]


def test_settlement_context_is_what_the_protocol_says_and_the_chain_takes(drawn: RealMarket) -> None:
    round_ = drawn.open(lambda group, place: near(), task=make_task(1))
    state, owner = drawn.owner.state(), drawn.owner

    tag = keccak256(b"OmniLytics/v2/settlement")
    market = bytes(12) + bytes.fromhex(owner.address[2:])
    plain = keccak256(tag + word(owner.chain_id) + market + state.epoch_seed + word(1) + word(1) + make_task(1))
    assert plain == TaskId(owner.chain_id, owner.address, 1, 1, make_task(1)).settlement_context(state.epoch_seed)
    assert plain == round_.statement.context
    drawn.settle(round_)
