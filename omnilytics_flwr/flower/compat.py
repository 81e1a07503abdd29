"""Flower imports that have moved between its versions; no other module names them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from flwr.common import log
from flwr.common.constant import FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION as NO_INSTALLATION_VARIABLE
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

REFUSED_BY_MOD = int(ErrorCode.MOD_FAILED_PRECONDITION)
"""Error code with which a mod reports that it refused a message."""

__all__ = ["NO_INSTALLATION_VARIABLE", "REFUSED_BY_MOD", "Grid", "Result", "Strategy", "log", "unsaid"]


@contextmanager
def unsaid(*beginnings: str) -> Iterator[None]:
    """Meanwhile leave out what Flower logs with these beginnings: what it says of one synthetic reply is not true of a market."""

    def keeps(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(beginnings)

    logger = logging.getLogger("flwr")
    logger.addFilter(keeps)
    try:
        yield
    finally:
        logger.removeFilter(keeps)
