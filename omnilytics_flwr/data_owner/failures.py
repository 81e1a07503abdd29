"""Errors of our tree as they travel between processes: name of the class, facts, and text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import OmnilyticsError

MOST_TEXT = 2000
"""Characters of an error's text that travel."""


def error_fields(error: OmnilyticsError) -> dict[str, object]:
    """What `error_of` needs, as JSON can hold it."""
    facts = [_packed(fact) for fact in error.args]
    if len(str(facts)) > MOST_TEXT:
        facts = []
    return {"class": type(error).__name__, "facts": facts, "text": str(error)[:MOST_TEXT]}


def error_of(name: str, facts: Sequence[object], text: str) -> OmnilyticsError:
    """The error again: of its own class if that class is known here and says the same, else of the nearest that says just `text`."""
    known = _class_named(name)
    if known is None:
        return OmnilyticsError(f"{name}: {text}")
    try:
        error = known(*(_unpacked(fact) for fact in facts))
        if str(error) == text:
            return error
    except Exception:  # noqa: S110 - whatever a constructor makes of facts that are not its own
        pass
    plain = next(kin for kin in known.__mro__ if issubclass(kin, OmnilyticsError) and _says_its_text(kin))
    return plain(text if plain is known else f"{name}: {text}")


def _says_its_text(kind: type[OmnilyticsError]) -> bool:
    ours = [base for base in kind.__mro__ if issubclass(base, OmnilyticsError)]
    return not any(name in vars(base) for base in ours for name in ("__init__", "__str__"))


def _class_named(name: str) -> type[OmnilyticsError] | None:
    found = {known.__name__: known for known in _tree(OmnilyticsError)}
    if name not in found:
        from ..market import refusals  # loads the ABI's library, so only for an error that needs it

        found = {known.__name__: known for known in _tree(refusals.Refusal)}
    return found.get(name)


def _tree(root: type[OmnilyticsError]) -> Iterator[type[OmnilyticsError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


def _packed(fact: object) -> object:
    if isinstance(fact, bytes):
        return {"bytes": fact.hex()}
    if isinstance(fact, (tuple, list)):
        return [_packed(item) for item in fact]
    return fact if isinstance(fact, (str, int, float)) else str(fact)


def _unpacked(fact: object) -> object:
    if isinstance(fact, dict):
        return bytes.fromhex(str(fact.get("bytes")))
    return tuple(_unpacked(item) for item in fact) if isinstance(fact, list) else fact
