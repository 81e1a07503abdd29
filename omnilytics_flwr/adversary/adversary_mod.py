"""Attackers in a Flower client app: a mod that changes what the user's training gave, with or without a market."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MessageType, RecordDict
from flwr.clientapp.typing import ClientAppCallable
from numpy.typing import NDArray

from ..errors import TermsError
from .knowledge import Knowledge, Update, UpdateAttack
from .registry import Family, attack_named

STATE_RECEIVED = "omnilytics.adversary.received"
STATE_HONEST = "omnilytics.adversary.honest"
PARTITION = "partition-id"


class AdversaryMod:
    """A mod of the attackers' own: poisons the reply of the user's train function.

    Put it last, ``mods=[OmnilyticsMod(...), AdversaryMod("sign-flip", attackers=[7])]``, so that a market's mod takes the poisoned
    update for what was trained. Weights that are not floating point numbers stay as trained.

    Parameters
    ----------
    attack : str or UpdateAttack
        A name of the registry, of family ``update`` or ``collusion``, or the attack itself.
    attackers : collection of int, or callable
        Partition ids of those who attack, or ``(context) -> bool``.
    seed : int (default: 0)
        Of the attack's randomness, with partition and round.
    seen : callable, optional
        ``(context, round) -> sequence of float64 arrays``: updates of others that an attacker knows. A client sees nobody
        else's, so attacks that collude need it.
    owners : int (default: 1)
        n, data owners in all, for attacks that reckon with it.
    **strength
        Fields of an attack that is given by name, e.g. ``scale=2.0``.

    Raises
    ------
    TermsError
        No such attack, or one that colludes without `seen`.
    """

    def __init__(
        self,
        attack: str | UpdateAttack,
        *,
        attackers: Collection[int] | Callable[[Context], bool],
        seed: int = 0,
        seen: Callable[[Context, int], Sequence[Update]] | None = None,
        owners: int = 1,
        **strength: Any,
    ) -> None:
        self._attack: UpdateAttack = _made(attack, seen is not None, strength) if isinstance(attack, str) else attack
        self._attackers = attackers
        self._seed = seed
        self._seen = seen or (lambda context, number: ())
        self._owners = owners

    def __call__(self, msg: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Let the user's function answer; poison what an attacker trained."""
        if msg.metadata.message_type != MessageType.TRAIN or not self._is_attacker(context):
            return call_next(msg, context)
        received = _arrays_of(msg.content)
        number = _round_of(msg.content)
        reply = call_next(msg, context)
        if reply.has_error():
            return reply
        trained = _arrays_of(reply.content)
        key = next(iter(reply.content.array_records))
        known = self._knowledge(context, number, received, trained)
        context.state[STATE_RECEIVED] = received
        context.state[STATE_HONEST] = ArrayRecord([known.honest])
        reply.content[key] = _poisoned(received, trained, self._attack(known))
        return reply

    def _is_attacker(self, context: Context) -> bool:
        if callable(self._attackers):
            return self._attackers(context)
        return int(context.node_config.get(PARTITION, -1)) in self._attackers

    def _knowledge(self, context: Context, number: int, received: ArrayRecord, trained: ArrayRecord) -> Knowledge:
        before, after = _floats(received), _floats(trained)
        earlier = context.state.array_records.get(STATE_HONEST)
        last = context.state.array_records.get(STATE_RECEIVED)
        partition = int(context.node_config.get(PARTITION, 0))
        return Knowledge(
            after - before,
            rng=np.random.default_rng([self._seed, partition, number]),
            seen=tuple(self._seen(context, number)),
            earlier=None if earlier is None else _floats(earlier),
            last_move=None if last is None else before - _floats(last),
            owners=self._owners,
            attackers=1 if callable(self._attackers) else len(self._attackers),
        )


def _made(name: str, sees: bool, strength: dict[str, Any]) -> UpdateAttack:
    """The attack of that name, if a client that sees others' updates, or does not, can run it."""
    known = attack_named(name, Family.UPDATE, Family.COLLUSION)
    if known.family is Family.COLLUSION and not sees:
        raise TermsError(f"the attack {name!r} needs the updates of others, which a client does not see; pass them as `seen`")
    attack: UpdateAttack = known.make(**strength)
    return attack


def _arrays_of(content: RecordDict) -> ArrayRecord:
    """The one model in a message; `TermsError` if there are more or none."""
    records = list(content.array_records.values())
    if len(records) != 1:
        raise TermsError(f"a message holds {len(records)} ArrayRecords, expected one; attack an app that sends and returns one model")
    return records[0]


def _round_of(content: RecordDict) -> int:
    """Flower's round, 0 if the strategy does not tell."""
    rounds = [record["server-round"] for record in content.config_records.values() if "server-round" in record]
    return rounds[0] if rounds and isinstance(rounds[0], int) else 0


def _floats(arrays: ArrayRecord) -> Update:
    """All floating point numbers of a model in a row."""
    flat = [array.astype(np.float64).ravel() for array in map(Array.numpy, arrays.values()) if np.issubdtype(array.dtype, np.floating)]
    return np.concatenate(flat) if flat else np.zeros(0)


def _poisoned(received: ArrayRecord, trained: ArrayRecord, sent: Update) -> ArrayRecord:
    """The model as received, plus what is sent; where that ends too early, so does the model."""
    poisoned: dict[str, Array] = {}
    start = 0
    for name, array in trained.items():
        old: NDArray[np.generic] = received[name].numpy()
        if not np.issubdtype(old.dtype, np.floating):
            poisoned[name] = array
            continue
        part = sent[start : start + old.size]
        start += old.size
        whole = part.size == old.size
        moved = old.astype(np.float64).ravel()[: part.size] + part
        with np.errstate(over="ignore"):
            poisoned[name] = Array((moved.reshape(old.shape) if whole else moved).astype(old.dtype))
    return ArrayRecord(poisoned)
