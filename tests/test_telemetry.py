"""What a process tells: log lines as JSON, its state on loopback to loopback's own names, numbers for Prometheus."""

from __future__ import annotations

import json
import logging
import socket
import sys
import urllib.error
import urllib.request

import pytest

from omnilytics_flwr import telemetry
from omnilytics_flwr.errors import Refused
from omnilytics_flwr.telemetry import HOST, JsonLines, Report, as_metrics, health_port, log_to_stderr, told_on

REPORT: Report = {"ready": True, "round": 7, "gas_used_total": 123, "seen_seconds": 1.5, "market": "0xab", "seat": None}


def get(port: int | None, path: str, host: str = HOST) -> tuple[int, bytes]:
    """Status and body."""
    request = urllib.request.Request(f"http://{HOST}:{port}{path}", headers={"Host": host})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def test_log_line_is_one_json_object_with_its_failure() -> None:
    try:
        raise ValueError("spilt\nmilk")
    except ValueError:
        record = logging.LogRecord("a.b", logging.ERROR, __file__, 1, "failed to %s", ("pour",), sys.exc_info())
    line = JsonLines().format(record)
    told = json.loads(line)
    assert "\n" not in line
    assert (told["level"], told["logger"], told["message"]) == ("error", "a.b", "failed to pour")
    assert told["time"].endswith("+00:00")
    assert "ValueError: spilt" in told["error"]


def test_state_is_told_as_json_and_by_status_whether_it_is_ready() -> None:
    state = dict(REPORT)
    with told_on(0, "omnilytics_x", lambda: state) as port:
        status, body = get(port, "/health")
        assert (status, json.loads(body)) == (200, REPORT)
        state["ready"] = False
        assert get(port, "/health")[0] == 503
        assert get(port, "/other") == (404, b"expected /health or /metrics\n")
        assert get(port, "/health", "localhost:80")[0] == 503
        assert get(port, "/health", "rebound.example")[0] == 403
    with pytest.raises(urllib.error.URLError):
        get(port, "/health")


def test_nothing_is_served_unless_asked_for_and_a_port_that_is_taken_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("OMNILYTICS_HEALTH_PORT", raising=False)
    with told_on(health_port(), "omnilytics_x", lambda: REPORT) as port:
        assert port is None
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        number = taken.getsockname()[1]
        with told_on(number, "x", lambda: REPORT) as port:  # no reason to leave an open round alone
            assert port is None
    assert f"port {number} of 127.0.0.1" in caplog.text


def test_numbers_are_metrics_and_totals_are_counters() -> None:
    pytest.importorskip("prometheus_client")
    lines = as_metrics("omnilytics_x", REPORT).decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "omnilytics_x_ready 1.0",
        "omnilytics_x_round 7.0",
        "omnilytics_x_gas_used_total 123.0",
        "omnilytics_x_seen_seconds 1.5",
    ]
    assert "# TYPE omnilytics_x_gas_used_total counter" in lines
    with told_on(0, "omnilytics_x", lambda: REPORT) as port:
        assert get(port, "/metrics")[1].decode().splitlines() == lines


def test_without_the_library_metrics_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "find_spec", lambda name: None)
    with told_on(0, "omnilytics_x", lambda: REPORT) as port:
        status, body = get(port, "/metrics")
    assert (status, b"install omnilytics_flwr[metrics]" in body) == (404, True)


@pytest.mark.parametrize("named", ["-1", "65536", "http"])
def test_wrong_port_and_format_in_the_environment_are_refused_by_name(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNILYTICS_HEALTH_PORT", named)
    monkeypatch.setenv("OMNILYTICS_LOG_FORMAT", named)
    with pytest.raises(Refused, match="OMNILYTICS_HEALTH_PORT is"):
        health_port()
    with pytest.raises(Refused, match="expected text or json"):
        log_to_stderr()
