"""Which parameters are public and which private, by name (LG-FedAvg, Liang et al. 2020; FedRep, Collins et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from ..errors import TermsError


def select_private(names: Iterable[str], patterns: Iterable[str]) -> frozenset[str]:
    """Names that are private.

    Parameters
    ----------
    names : iterable of str
        Parameter names of the whole model; ``"0"``, ``"1"``, ... for plain Flower arrays.
    patterns : iterable of str
        Shell-style patterns, e.g. ``"conv1.*"``.

    Raises
    ------
    TermsError
        A pattern matches no name, or nothing is left to be public.
    """
    known = list(names)
    private: set[str] = set()
    for pattern in patterns:
        matched = {name for name in known if fnmatchcase(name, pattern)}
        if not matched:
            raise TermsError(f"private pattern {pattern!r} matches none of the model's parameters; they are {', '.join(known)}")
        private |= matched
    if len(private) == len(known):
        raise TermsError("every parameter is private; leave at least one public, or there is nothing to train")
    return frozenset(private)
