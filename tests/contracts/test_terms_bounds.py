"""The factory and Python draw the same bounds around terms, and refuse the same field first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from random import Random
from typing import Any

import pytest

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.deploy import Deployment, deploy
from omnilytics_flwr.chain.market_reader import market_reverts
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.refusals import MarketBadTerms
from omnilytics_flwr.market.terms import ABOUT, Terms, bounds, solidity_name
from omnilytics_flwr.market.terms_bounds import ETHEREUM, ChainLimits
from tests.support.builders import make_terms

from .twin import ask_all

FIELDS = {solidity_name(name): name for name, about in ABOUT.items() if about.abi_type.startswith("uint")}
Refused = tuple[str, int, int, int] | None
LONG_WINDOWS = dict.fromkeys(("accuse_seconds", "answer_seconds", "prove_seconds"), 30 * 24 * 3600)


def unchecked(deployment: Deployment, **changes: object) -> Terms:
    """Terms with any values, past their own checks."""
    good, terms = make_terms(verification=deployment.verification, outlier_percent=125), object.__new__(Terms)
    for field in fields(Terms):
        object.__setattr__(terms, field.name, changes.get(field.name, getattr(good, field.name)))
    return terms


def refused_in_python(terms: Terms, limits: ChainLimits) -> Refused:
    """The first field out of its bounds."""
    for name, (actual, least, most) in bounds(terms, limits).items():
        if not least <= actual <= most:
            return name, actual, least, most
    return None


Judge = Callable[..., list[Refused]]


@pytest.fixture
def judge(connection: Connection, deployment: Deployment) -> Judge:
    """What both say to terms with each of these changes; asserted to be the same. The factory is asked in one request."""
    factory = artifacts.load(artifacts.FACTORY).abi

    def judge(*changes: Mapping[str, object], limits: ChainLimits = ETHEREUM) -> list[Refused]:
        asked = deployment if limits == ETHEREUM else deploy(sender_for(connection, dev_wallet(0, connection)), limits)
        all_terms = [unchecked(deployment, **one) for one in changes]
        calls = [{"to": asked.factory, "data": "0x" + factory.call_data("create", t.abi_tuple()).hex()} for t in all_terms]
        on_chain = [_refused(answer) for answer in ask_all(connection.endpoint, [("eth_call", [call, "latest"]) for call in calls])]
        assert on_chain == [refused_in_python(terms, limits) for terms in all_terms]
        return on_chain

    return judge


def _refused(answer: Mapping[str, Any]) -> Refused:
    if "result" in answer:
        return None
    error = market_reverts().exception(bytes.fromhex(answer["error"]["data"][2:]))
    assert isinstance(error, MarketBadTerms)
    name, actual, least, most = error.args
    return name, actual, least, most


def largest(name: str) -> int:
    """Largest number of a field's type."""
    return (1 << int(ABOUT[FIELDS[name]].abi_type.removeprefix("uint"))) - 1


@pytest.mark.parametrize("name", FIELDS)
def test_field_at_and_beyond_its_bounds_is_judged_alike(judge: Judge, name: str) -> None:
    _, least, most = bounds(make_terms(outlier_percent=125))[name]
    values = {0, least - 1, least, most, most + 1, largest(name)}

    refused = judge(*({FIELDS[name]: value} for value in sorted(values) if 0 <= value <= largest(name)))

    assert any(one is not None and one[0] == name for one in refused) or most == largest(name)


@pytest.mark.parametrize("length", [0, 256, 257])
def test_metrics_are_judged_alike(judge: Judge, length: int) -> None:
    assert judge({"metrics": ("m" * length,) if length else ()}) == [("metrics", 257, 0, 256) if length > 256 else None]


@pytest.mark.parametrize("projected", [False, True])
@pytest.mark.parametrize("weights", [1, 8192, 8193, 49_153, 409_600, 512 * 8192 + 1])
def test_owners_and_weights_that_fill_a_transaction_are_judged_alike(judge: Judge, weights: int, projected: bool) -> None:
    judge(
        *(LONG_WINDOWS | {"weights": weights, "most_owners": owners, "update_bits": 3, "projected": projected} for owners in range(15, 255))
    )


@pytest.mark.parametrize("faulty_groups", [1, 2, 3, 20])
def test_groups_that_fill_a_transactions_gas_are_judged_alike(judge: Judge, faulty_groups: int) -> None:
    refused = judge(*(LONG_WINDOWS | {"faulty_groups": faulty_groups, "most_owners": owners} for owners in range(15, 255)))

    assert any(one is not None and one[0] == "scoringSteps" for one in refused) == (faulty_groups > 1)


def random_changes(random: Random) -> dict[str, object]:
    """A few fields drawn anew, often at a bound."""
    changes: dict[str, object] = {"projected": random.random() < 0.5}
    for name in random.choices(list(FIELDS), k=random.randint(1, 4)):
        _, least, most = bounds(make_terms(outlier_percent=125))[name]
        value = random.choice([least - 1, least, random.randint(least, max(least, most)), most, most + 1, random.randint(0, largest(name))])
        changes[FIELDS[name]] = min(max(value, 0), largest(name))
    return changes


@pytest.mark.parametrize("limits", [ETHEREUM, ChainLimits(60_000, 2), ChainLimits(95_000, 0)], ids=["Ethereum", "two blobs", "no blobs"])
def test_random_terms_are_judged_alike(judge: Judge, limits: ChainLimits) -> None:
    random = Random(11)
    silent = {} if limits.blobs else {"answer_seconds": 0}

    refused = judge(*(silent | random_changes(random) for _ in range(500)), limits=limits)

    assert 50 < refused.count(None) < 450
    assert len({one[0] for one in refused if one}) > 12
