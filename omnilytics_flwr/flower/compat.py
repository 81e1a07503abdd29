"""Flower imports that have moved between its versions; no other module names them."""

from __future__ import annotations

from flwr.common import log
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

REFUSED_BY_MOD = int(ErrorCode.MOD_FAILED_PRECONDITION)
"""Error code with which a mod reports that it refused a message."""

__all__ = ["REFUSED_BY_MOD", "Grid", "Result", "Strategy", "log"]
