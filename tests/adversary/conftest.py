"""Flower without its servers: the identity that messages need."""

from __future__ import annotations

from tests.flower.conftest import task_identity as task_identity
from tests.support.repeatable import repeatable_owners as repeatable_owners
