"""The model owner's model: a public part that the market trains, and a private part that stays here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from flwr.app import ArrayRecord

from ..market.public_part import select_private

Refit = Callable[[int, ArrayRecord], ArrayRecord]
"""``(round, whole model) -> whole model``: fits the private part to the model owner's own data."""


@dataclass(frozen=True, slots=True)
class SplitModel:
    """A model in two parts; `names` are all its parameters, in their order."""

    public: ArrayRecord = field(default_factory=ArrayRecord)
    private: ArrayRecord = field(default_factory=ArrayRecord)
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: ArrayRecord, patterns: Iterable[str]) -> SplitModel:
        """Split `model`: parameters that match a pattern are private, see `select_private`."""
        return cls(*_divided(model, select_private(model, patterns)), tuple(model))

    def whole(self) -> ArrayRecord:
        """Both parts, parameters in their original order."""
        if not self.private:
            return self.public
        return ArrayRecord({name: (self.private if name in self.private else self.public)[name] for name in self.names})

    def with_whole(self, model: ArrayRecord) -> SplitModel:
        """Another model with the same parameters, split in the same way."""
        return SplitModel(*_divided(model, self.private), self.names)

    def with_public(self, public: ArrayRecord) -> SplitModel:
        """Another public part beside the same private part."""
        return replace(self, public=public)

    def refitted(self, refit: Refit | None, server_round: int) -> SplitModel:
        """The private part as `refit` makes it beside the same public part."""
        return self if refit is None else self.with_whole(refit(server_round, self.whole())).with_public(self.public)


def _divided(model: ArrayRecord, private: Collection[str]) -> tuple[ArrayRecord, ArrayRecord]:
    """Public and private part."""
    public = {name: array for name, array in model.items() if name not in private}
    return ArrayRecord(public), ArrayRecord({name: array for name, array in model.items() if name in private})
