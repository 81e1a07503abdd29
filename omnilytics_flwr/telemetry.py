"""What a process tells whoever watches it: log lines as JSON, and its state on a port of loopback. Off unless the operator asks for it."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any, cast

from .errors import Refused

LOG_FORMAT_VARIABLE = "OMNILYTICS_LOG_FORMAT"
LOG_FORMATS = ("text", "json")
HEALTH_PORT_VARIABLE = "OMNILYTICS_HEALTH_PORT"

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")
_log = logging.getLogger(__name__)
REQUEST_SECONDS = 5.0

Report = Mapping[str, bool | int | float | str | None]
"""State of a process by the names of its entries, whose units they end in; ``ready`` says whether it can do its work."""


class JsonLines(logging.Formatter):
    """One JSON object a line: ``time`` (UTC, ISO 8601), ``level``, ``logger``, ``message``, and ``error`` with a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to_stderr(log_format: str | None = None) -> None:
    """Let this process log to standard error, from level INFO on.

    Parameters
    ----------
    log_format : {"text", "json"}, optional
        By default what ``OMNILYTICS_LOG_FORMAT`` says, else text.

    Raises
    ------
    Refused
        There is no such format.
    """
    chosen = log_format or os.environ.get(LOG_FORMAT_VARIABLE) or LOG_FORMATS[0]
    if chosen not in LOG_FORMATS:
        raise Refused(f"{chosen!r} is no format of log lines; expected {' or '.join(LOG_FORMATS)}; see {LOG_FORMAT_VARIABLE}")
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if chosen == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def health_port() -> int | None:
    """The port that ``OMNILYTICS_HEALTH_PORT`` names, 0 for any that is free; None if it names none, raises `Refused` if that is no port."""
    named = os.environ.get(HEALTH_PORT_VARIABLE, "")
    if not named:
        return None
    if not named.isdecimal() or int(named) >= 2**16:
        raise Refused(f"{HEALTH_PORT_VARIABLE} is {named!r}; expected the number of a port, 0 to 65535; correct it or leave it out")
    return int(named)


@contextmanager
def told_on(port: int | None, prefix: str, report: Callable[[], Report]) -> Iterator[int | None]:
    """Serve a report on loopback meanwhile: ``/health`` as JSON, with status 503 unless it is ready, and ``/metrics`` for Prometheus.

    Parameters
    ----------
    port : int or None
        0 takes one that is free; None serves nothing.
    prefix : str
        Of the names of the metrics.
    report : callable
        Asked at each request, from another thread.

    Yields
    ------
    int or None
        The port; None if it is taken, which the log says.
    """
    server = None if port is None else _listening(port)
    if server is None:
        yield None
        return
    server.report, server.prefix = report, prefix
    thread = threading.Thread(target=server.serve_forever, name="health", kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _listening(port: int) -> _Server | None:
    try:
        return _Server((HOST, port), _Handler)
    except OSError as error:  # whoever takes the port must not keep an open round from its end
        _log.error("port %d of %s cannot be listened on (%s), so nobody is told; name a free one", port, HOST, error.strerror)
        return None


def as_metrics(prefix: str, report: Report) -> bytes:
    """The numbers of a report in Prometheus' text format; names that end in ``_total`` are counters. Needs `prometheus_client`."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    class Numbers:
        def collect(self) -> Iterator[Any]:
            for name, value in report.items():
                if isinstance(value, (bool, int, float)):
                    family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
                    yield family(f"{prefix}_{name}", name.replace("_", " "), value=float(value))

    registry = CollectorRegistry()
    registry.register(cast(Any, Numbers()))
    return bytes(generate_latest(registry))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    report: Callable[[], Report]
    prefix: str


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_SECONDS
    server_version = "omnilytics"
    sys_version = ""

    def do_GET(self) -> None:
        # A page from elsewhere, whose name somebody lets point here, must not read it.
        if self.headers.get("Host", "").partition(":")[0] not in _NAMES:
            self._answer(403, "text/plain", b"expected the name of loopback\n")
        elif self.path == "/health":
            report = self.server.report()
            self._answer(200 if report.get("ready") else 503, "application/json", json.dumps(dict(report), indent=2).encode() + b"\n")
        elif self.path == "/metrics" and find_spec("prometheus_client") is not None:
            self._answer(200, "text/plain; version=0.0.4; charset=utf-8", as_metrics(self.server.prefix, self.server.report()))
        elif self.path == "/metrics":
            self._answer(404, "text/plain", b"prometheus_client is not installed; expected it; install omnilytics_flwr[metrics]\n")
        else:
            self._answer(404, "text/plain", b"expected /health or /metrics\n")

    def log_message(self, format: str, *arguments: object) -> None:
        """Whoever asks every few seconds is not worth a line."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
