"""The run from top to bottom, as a person watches it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from omnilytics_flwr import Address, LocalMarket, Terms
from omnilytics_flwr.market.examples import usual_of
from runs.processing_time import chain_processing

from ..audit.verdict import audited
from ..record import circumstances, new_folder, point_latest, write_json, write_market_page, write_recipe
from ..screen import new_console
from .app import METRICS
from .data import load, resolve_source
from .figure import draw
from .model import PRIVATE, initial_model
from .recipe import Recipe
from .result import Outcome, broken_promises, collect_work, result_of
from .show import Progress, quiet_flower, show_result
from .trainings import Training, pretrained, public_part_alone, train_in_market, train_plain

HERE = Path(__file__).parent
ROUND_EVENTS = ("anchor", "open", "settle")


def run(recipe: Recipe) -> int:
    """Run everything and write the record; return 0 if every promise held."""
    console = new_console()
    folder = new_folder(HERE)
    log = quiet_flower(folder / "flower.log")
    facts = circumstances()
    recipe = resolve_source(recipe)
    write_recipe(folder / "recipe.json", recipe)
    poisoning = ", ".join(map(str, recipe.attack.attackers)) or "none"
    console.print(
        f"[bold]{recipe.data.owners} data owners[/bold] train on MNIST digits ({recipe.data.source}); poisoning: number {poisoning}"
    )
    with Progress(console, recipe) as progress:
        outcome = _trainings(recipe, folder, progress)
    result = {"run": "mnist", "seed": recipe.seed, **facts, **result_of(outcome)}
    write_json(folder / "result.json", result)
    draw(folder / "result.json", folder / "figure.png")
    latest = point_latest(folder)
    result = json.loads((folder / "result.json").read_text())
    broken = broken_promises(result)
    show_result(console, result, broken, folder=folder, latest=latest, log=log)
    return 1 if broken else 0


def _trainings(recipe: Recipe, folder: Path, progress: Progress) -> Outcome:
    progress.step("model owner trains on its own digits")
    start = pretrained(recipe)
    shares = load(recipe).owners
    with LocalMarket(
        terms_of(recipe),
        num_owners=len(shares),
        examples=[len(share) for share in shares],
        computed=recipe.market.is_computed,
        on_stage=progress.step,
    ) as market:
        progress.begin("market, one poisons")
        trained = train_in_market(
            recipe, market, start, on_stage=progress.stage, on_round=progress.round_done, on_accuracy=progress.accuracy
        )
        progress.step("data owners claim")
        paid = _claim_all(market, trained)
        progress.step("measure the chain")
        of_rounds = [t.transaction_hash for t in market.transactions if t.event in ROUND_EVENTS]
        processing = chain_processing(market.ledger.connection, of_rounds)
        transactions, terms, work = market.transactions, market.ledger.terms(), collect_work(market)
        owners = tuple(market.owners)
        progress.step("audit the market from its chain alone")
        audit = audited(market.ledger)
        write_market_page(folder, market.ledger, trained.accuracies)
    progress.begin("plain FedAvg, nobody poisons")
    plain = train_plain(recipe, start, attacked=False, on_accuracy=progress.accuracy)
    progress.begin("plain FedAvg, one poisons")
    attacked = train_plain(recipe, start, attacked=True, on_accuracy=progress.accuracy)
    alone = public_part_alone(recipe, trained.model) if trained.model is not None else 0.0
    return Outcome(
        recipe=recipe,
        terms=terms,
        owners=owners,
        market=trained,
        plain=plain,
        attacked=attacked,
        public_part_alone=alone,
        paid_wei=paid,
        transactions=transactions,
        work_seconds=work,
        processing=processing,
        audit=audit,
    )


def terms_of(recipe: Recipe) -> Callable[[Address], Terms]:
    """Terms of the recipe's market, given the address of the verification contract."""
    return recipe.market.terms(
        initial_model(recipe.seed).state_dict(),
        owners=recipe.data.owners,
        rounds=recipe.training.rounds,
        private=PRIVATE,
        metrics=METRICS,
        usual_examples=usual_of(len(share) for share in load(recipe).owners),
    )


def _claim_all(market: LocalMarket, trained: Training) -> tuple[int, ...]:
    """Let every data owner claim what it is owed; what each was paid, by the market's own events."""
    last = max((report.round for report in trained.reports), default=0)
    paid = []
    for ledger in market.owner_ledgers():
        amount = 0
        if ledger.claimable_wei(ledger.account):
            amount = int(str(ledger.claim(ledger.account, last).logs["Claimed"]["amountWei"]))
        paid.append(amount)
    return tuple(paid)
