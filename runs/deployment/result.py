"""From what the processes wrote to ``result.json``: every figure of the run, and the checks that it must pass."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import Any

from omnilytics_flwr import Address, EthereumLedger
from omnilytics_flwr.chain import artifacts

from ..audit.verdict import is_confirmed
from .parties import DataOwner, Parties
from .recipe import Recipe


@dataclass(slots=True)
class Incident:
    """The victim's SuperNode: when it was killed and started again, in Unix seconds; 0 for not."""

    killed: float = 0.0
    restarted: float = 0.0


def result_of(recipe: Recipe, parties: Parties, incident: Incident) -> dict[str, Any]:
    """The content of ``result.json``, but for the simulated distances."""
    folder = parties.model_owner.keystore.parent
    market = json.loads((folder / "market.json").read_text())
    plain = json.loads((folder / "plain.json").read_text()) if (folder / "plain.json").exists() else None
    places = {owner.ledger.account: owner.index for owner in parties.owners}
    rounds = [_round(one, places) for one in market["rounds"]]
    return {
        "owners": recipe.owners,
        "processes": 2 * recipe.owners + 2,
        "victim": recipe.victim,
        "victim_round": recipe.victim_round,
        "killed": incident.killed,
        "restarted": incident.restarted,
        "accuracy": {"per_round": market["accuracies"], "plain_fedavg_per_round": plain["accuracies"] if plain else None},
        "rounds": rounds,
        "reward_wei": recipe.market.reward_wei,
        "accuse_fee_wei": recipe.market.accuse_fee_wei,
        "earned_wei": [recipe.market.reward_wei * _times_paid(owner.index, rounds) for owner in parties.owners],
        "paid_wei": _claimed(parties),
        "answers": _answers(parties.model_owner.ledger, places),
        "surplus_wei": _surplus(parties.model_owner.ledger),
        "seconds": _seconds(market, plain),
        "clients": {name: _usage(parties.owners, name) for name in ("plain", "train", "deliver")},
    }


def broken_promises(result: dict[str, Any]) -> list[str]:
    """What this run should have shown and did not, in words; empty if all is well."""
    market, plain = result["accuracy"]["per_round"], result["accuracy"]["plain_fedavg_per_round"]
    rounds, victim = result["rounds"], result["victim"]
    claims = {
        "every round is settled": len(rounds) == len(market) - 1 and all(one["settled"] for one in rounds),
        "training helps": market[-1] >= market[0] + 0.3,
        "everybody has claimed one reward for each round that paid it, and nobody anything else": result["paid_wei"]
        == result["earned_wei"],
        "an audit from the chain alone confirms every round": is_confirmed(result["audit"]),
        "the market's balance is what its books say": result["surplus_wei"] == 0,
    }
    if plain:
        claims["within 3 points of plain FedAvg on the same SuperNodes"] = market[-1] >= plain[-1] - 0.03
    if victim >= 0:
        disputed = [one for one in rounds if one["accused"]]
        claims |= {
            "the killed data owner was accused, and nobody else": [one["accused"] for one in disputed] == [[victim]],
            "its own agent answered on the chain": [answer["by"] for answer in result["answers"]] == [victim],
            "its group was settled with the vector from the chain": all(
                one["answered"] == [victim] and not one["void"] for one in disputed
            ),
        }
    if "simulated_distances" in result:
        # A SuperNode that is not back in time makes its group sit a round out, and then projections are drawn anew.
        full = max((one["roster"] for one in rounds), key=len)
        claims["the simulation settled the same distances to the last digit where all groups were there"] = len(rounds) == len(
            result["simulated_distances"]
        ) and all(
            one["distances"] == simulated
            for one, simulated in zip(rounds, result["simulated_distances"], strict=False)
            if one["roster"] == full
        )
    return [claim for claim, holds in claims.items() if not holds]


def _round(report: dict[str, Any], places: dict[Address, int]) -> dict[str, Any]:
    """A round with data owners by their index."""
    return {
        "round": report["round"],
        "settled": report["settled"],
        "roster": [[places[owner] for owner in group] for group in report["roster"]],
        **{key: list(report[key]) for key in ("accepted", "learnt", "ineligible", "dropped", "waived", "void")},
        **{key: sorted(places[owner] for owner in report[key]) for key in ("paid", "accused", "answered")},
        "distances": report["distances"],
        "gas": {receipt["event"]: receipt["gas_used"] for receipt in report["receipts"]},
        "seconds": report["seconds"],
    }


def _times_paid(owner: int, rounds: list[dict[str, Any]]) -> int:
    return sum(owner in one["paid"] for one in rounds)


def _claimed(parties: Parties) -> list[int]:
    """What each data owner was paid, by the market's own events."""
    totals = dict.fromkeys((owner.ledger.account for owner in parties.owners), 0)
    for fields, _ in _events(parties.model_owner.ledger, "Claimed"):
        totals[Address(str(fields["owner"]))] += int(str(fields["amountWei"]))
    return list(totals.values())


def _answers(ledger: EthereumLedger, places: dict[Address, int]) -> list[dict[str, Any]]:
    """Who answered for which round, by the market's own events: a transaction is signed by its sender."""
    answers = []
    for fields, transaction_hash in _events(ledger, "Answered"):
        sender = str(ledger.connection.request("eth_getTransactionByHash", transaction_hash)["from"]).lower()
        by = next((place for account, place in places.items() if account.lower() == sender), -1)
        answers.append({"round": fields["round"], "by": by, "transaction": transaction_hash})
    return answers


def _events(ledger: EthereumLedger, name: str) -> list[tuple[dict[str, object], str]]:
    """Fields and transaction of each event of this name that the market ever emitted."""
    abi = artifacts.load(artifacts.MARKET).abi
    found = []
    for log in ledger.connection.request("eth_getLogs", {"address": ledger.address, "fromBlock": "0x0", "toBlock": "latest"}):
        decoded = abi.log(tuple(bytes.fromhex(topic[2:]) for topic in log["topics"]), bytes.fromhex(log["data"][2:]))
        if decoded is not None and decoded[0] == name:
            found.append((decoded[1], str(log["transactionHash"])))
    return found


def _surplus(ledger: EthereumLedger) -> int:
    """Balance less everything that the books promise, in wei."""
    state = ledger.state()
    promised = state.escrow_wei + state.bond_wei + state.stakes_wei + state.owed_wei + state.credits_wei + state.disputes_wei
    return ledger.connection.balance_wei(ledger.address) - promised


def _seconds(market: dict[str, Any], plain: dict[str, Any] | None) -> dict[str, Any]:
    """Wall seconds of the server, in rounds without an incident, and those of plain FedAvg."""
    stages: dict[str, list[float]] = {}
    disputed = {one["round"] for one in market["rounds"] if one["accused"]}
    for (begun, number, stage), (ended, _, _) in pairwise(market["stages"]):
        if number not in disputed and stage != "done":
            stages.setdefault(stage, []).append(ended - begun)
    return {
        "market": market["ended"] - market["begun"],
        "plain": plain["ended"] - plain["begun"] if plain else None,
        "market_round_median": median(b - a for a, b in pairwise(market["times"])),
        "plain_round_median": median(b - a for a, b in pairwise(plain["times"])) if plain else None,
        "by_stage_median": {stage: median(values) for stage, values in stages.items()},
        "how": (
            "wall time of the ServerApp; by_stage from rounds without an accusation: train and deliver are Flower's two exchanges, of which "
            "plain FedAvg has one (plain_round_median), anchor, open and settle are transactions, prove is the model owner's proof"
        ),
    }


def _usage(owners: Iterable[DataOwner], kind: str) -> dict[str, float]:
    """What one client process used, which lives for one message: mean and most over all data owners and rounds."""
    used = []
    for owner in owners:
        path = owner.folder / "usage.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        used += [line for line in lines if line["kind"] == kind and not line["error"]]
    if not used:
        return {}
    return {
        "messages": len(used),
        "peak_memory_mib": max(line["peak_memory_kib"] for line in used) / 1024,
        "cpu_seconds": fmean(line["cpu_seconds"] for line in used),
    }
