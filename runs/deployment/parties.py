"""The chain, the market and its parties, before Flower comes in."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnilytics_flwr import (
    Address,
    Connection,
    Deployment,
    EthereumLedger,
    OwnerHome,
    Secret,
    Terms,
    Wallet,
    create_market,
    deploy,
    dev_wallet,
    sender_for,
)
from omnilytics_flwr.data_owner.owner_keys import OwnerKeys
from omnilytics_flwr.market.task import TaskId

from ..digits import read_npm_digits
from .app.digits.task import initial_model
from .recipe import Recipe

OWNER_WEI = 10**18
SET_BALANCE = "anvil_setBalance"
METRICS = ("num-examples", "train-loss", "train-seconds")


@dataclass(frozen=True, slots=True)
class DataOwner:
    """A data owner: its folder, home, digits and ledger."""

    index: int
    folder: Path
    home: OwnerHome
    digits: Path
    ledger: EthereumLedger


@dataclass(frozen=True, slots=True)
class ModelOwner:
    """The model owner: keystore, password file, digits to measure with, and ledger."""

    keystore: Path
    password_file: Path
    digits: Path
    ledger: EthereumLedger


@dataclass(frozen=True, slots=True)
class Parties:
    """Everybody, in a market whose groups are drawn."""

    deployment: Deployment
    model_owner: ModelOwner
    owners: tuple[DataOwner, ...]

    @property
    def market(self) -> Address:
        """The market's address."""
        return self.model_owner.ledger.address


def set_up(recipe: Recipe, connection: Connection, url: str, folder: Path, *, on_step: Callable[[str], None]) -> Parties:
    """Deploy, create the market, let everybody join, draw the groups."""
    shares, test = split(recipe)
    on_step("deploy contracts")
    deployment = deploy(sender_for(connection, dev_wallet(0, connection)))
    wallet = _new_wallet(folder / "model-owner")
    connection.request(SET_BALANCE, wallet.address, hex(100 * OWNER_WEI))
    on_step("create market")
    market = create_market(sender_for(connection, wallet), deployment, terms_of(recipe, _verification(recipe, deployment)))
    ledger = EthereumLedger(sender_for(connection, wallet), market)
    ledger.fund(ledger.terms().escrow_wei(2 * recipe.rounds))
    model_owner = ModelOwner(*_keystore_paths(folder / "model-owner"), write_digits(folder / "model-owner", test), ledger)
    owners = []
    for index, share in enumerate(shares):
        on_step(f"data owner {index + 1} of {recipe.owners} makes a wallet and joins")
        place = folder / f"owner-{index}"
        wallet = _new_wallet(place)
        connection.request(SET_BALANCE, wallet.address, hex(OWNER_WEI))
        home = _make_home(place / "home", url, connection, market, deployment)
        owner_ledger = EthereumLedger(sender_for(connection, wallet), market)
        home.agent_for(owner_ledger).join()
        owners.append(DataOwner(index, place, home, write_digits(place, share), owner_ledger))
    on_step("draw groups")
    ledger.freeze()
    ledger.draw()
    return Parties(deployment, model_owner, tuple(owners))


def _verification(recipe: Recipe, deployment: Deployment) -> Address:
    return deployment.computed if recipe.market.is_computed else deployment.verification


def terms_of(recipe: Recipe, verification: Address) -> Terms:
    """Terms of the recipe's market, of twice as many rounds as one run has."""
    terms = recipe.market.terms(
        initial_model(recipe.seed),
        owners=recipe.owners,
        rounds=2 * recipe.rounds,
        accuse_fee_wei=recipe.market.accuse_fee_wei,
        accuse_seconds=recipe.market.accuse_seconds,
        metrics=METRICS,
    )
    return terms(verification)


def _make_home(path: Path, url: str, connection: Connection, market: Address, deployment: Deployment) -> OwnerHome:
    home = OwnerHome.create(
        path,
        rpc_url=url,
        chain_id=connection.chain_id,
        market=market,
        factory=deployment.factory,
        account={"keystore": "../wallet.json", "password-file": "../password"},
        agent="process",
    )
    # What weights are rounded by is otherwise made when first needed; the twin market needs the same.
    OwnerKeys(path / "keys").rounding_key(TaskId(connection.chain_id, market, 0, 0, bytes(32)))
    return home


def _new_wallet(folder: Path) -> Wallet:
    """A new key in an encrypted keystore, whose password is in a file beside it that only its owner may read."""
    folder.mkdir(mode=0o700, parents=True)
    keystore, password_file = _keystore_paths(folder)
    password = secrets.token_urlsafe(18).encode()
    write_secret(password_file, password + b"\n")
    wallet = Wallet.create()
    wallet.save_keystore(keystore, Secret(password))
    return wallet


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; there must be none."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _keystore_paths(folder: Path) -> tuple[Path, Path]:
    return folder / "wallet.json", folder / "password"


Share = dict[str, NDArray[Any]]
"""A party's digits: ``images``, uint8, shape (n, 784), and ``labels``, int64, shape (n,)."""


def split(recipe: Recipe) -> tuple[list[Share], Share]:
    """Digits of each data owner, and those that the model owner measures with."""
    pixels, labels = read_npm_digits()
    order = np.random.default_rng(recipe.seed).permutation(len(labels))
    cuts = np.cumsum([recipe.digits] * recipe.owners + [recipe.test_digits])
    pieces: list[Share] = [{"images": pixels[part].reshape(len(part), -1), "labels": labels[part]} for part in np.split(order, cuts)[:-1]]
    return pieces[:-1], pieces[-1]


def write_digits(folder: Path, share: Share) -> Path:
    """Write a party's digits as ``digits.npz`` into its folder; return the path."""
    path = folder / "digits.npz"
    np.savez_compressed(path, images=share["images"], labels=share["labels"])
    return path
