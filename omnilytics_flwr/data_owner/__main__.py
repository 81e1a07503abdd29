"""``python -m omnilytics_flwr.data_owner HOME`` runs the owner agent of a home; it prints ``ready`` once clients are served."""

from __future__ import annotations

import sys
from pathlib import Path

from ..errors import OmnilyticsError
from ..telemetry import health_port, log_to_stderr
from .agent_process import run_agent


def main(arguments: list[str]) -> int:
    """Run the agent of the home that is the only argument; 0 after a clean end, 1 for a named error, 2 for wrong arguments."""
    if len(arguments) != 1:
        print("usage: python -m omnilytics_flwr.data_owner HOME", file=sys.stderr)
        return 2
    try:
        log_to_stderr()
        run_agent(Path(arguments[0]), on_ready=lambda: print("ready", flush=True), health=health_port())
    except OmnilyticsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
