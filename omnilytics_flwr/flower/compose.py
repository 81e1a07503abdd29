"""Which strategies a market composes with: those that need nothing but the mean of the updates."""

from __future__ import annotations

from flwr.serverapp import strategy as flwr_strategy
from flwr.serverapp.strategy import FedAdagrad, FedAdam, FedAvg, FedAvgM, FedProx, FedYogi

from ..errors import CannotCompose
from .compat import Strategy

COMPOSES = (FedAvg, FedAvgM, FedAdam, FedYogi, FedAdagrad, FedProx)
"""Given one reply that holds the mean, these give the result that all replies would give."""

_INDIVIDUAL = "it needs every data owner's own update, and a market reveals only the accepted mean"
_ROBUST = f"{_INDIVIDUAL}; multi-Krum already runs inside the market"
_TREES = "it aggregates trees, which have no mean; a market pays for updates of numeric arrays"
_PRIVACY = (
    f"{_INDIVIDUAL}; clip and add noise on the data owner's side instead, by @app.train(mods=[LocalDpMod(...)]) of flwr.clientapp.mod"
)
_OBSERVE = "To look at model and metrics after each round, for checkpoints or trackers, give Omnilytics on_model=(round, model, metrics)"

REFUSED: dict[str, str] = {
    "Bulyan": _ROBUST,
    "FedMedian": _ROBUST,
    "FedTrimmedAvg": _ROBUST,
    "Krum": _ROBUST,
    "MultiKrum": _ROBUST,
    "QFedAvg": _INDIVIDUAL,
    "FedXgbBagging": _TREES,
    "FedXgbCyclic": _TREES,
    "DifferentialPrivacyClientSideAdaptiveClipping": _PRIVACY,
    "DifferentialPrivacyClientSideFixedClipping": _PRIVACY,
    "DifferentialPrivacyServerSideAdaptiveClipping": _PRIVACY,
    "DifferentialPrivacyServerSideFixedClipping": _PRIVACY,
}
"""Flower's other strategies, each with the reason."""

NOT_STRATEGIES = frozenset({"Result", "Strategy"})
"""What `flwr.serverapp.strategy` exports besides."""


def check_composes(inner: Strategy) -> None:
    """Raise unless `inner` needs nothing but the mean of the updates.

    The *function* is compared, so a subclass that overrides only sampling or configuration still passes. Its `start` is never called: one of
    its own would be left out without a word.

    Raises
    ------
    CannotCompose
        With the reason and the remedy.
    """
    name = type(inner).__name__
    if not isinstance(inner, Strategy):
        raise CannotCompose(
            f"{name} is no strategy of flwr.serverapp.strategy; expected one of these, not one of flwr.server.strategy; "
            "port the app to the Message API first"
        )
    overridden = "aggregate_train" in vars(inner)
    if type(inner).aggregate_train in {strategy.aggregate_train for strategy in COMPOSES} and not overridden:
        if type(inner).start is not Strategy.start or "start" in vars(inner):
            raise CannotCompose(f"{name} cannot run in a market: its start is its own, which a market does not call. {_OBSERVE}")
        return
    reason = next(
        (REFUSED[base.__name__] for base in type(inner).__mro__ if base.__name__ in REFUSED and _is_flowers(base)),
        f"its aggregate_train is its own, so nothing shows that the mean is all it needs. {_OBSERVE}",
    )
    names = ", ".join(strategy.__name__ for strategy in COMPOSES)
    raise CannotCompose(f"{name} cannot run in a market: {reason}. Wrap {names}, or a subclass that keeps its aggregate_train")


def _is_flowers(base: type) -> bool:
    return getattr(flwr_strategy, base.__name__, None) is base
