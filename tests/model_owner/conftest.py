"""Fixtures: data owners whose commitments are computed once."""

from __future__ import annotations

from tests.support.repeatable import repeatable_owners as repeatable_owners
