"""Code of the tests as another user of this machine: it is imported first, since that user may not read the place it is in.

``python -m tests.support.other_user USER GROUPS MODULE FUNCTION ARGUMENTS...`` calls a function of a module with texts.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

from omnilytics_flwr.crypto.kzg import check_known_answer

ROOT = Path(__file__).resolve().parents[2]


def start(user: int, groups: tuple[int, ...], module: str, function: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of that user, a member of these groups; only root may start it. What it prints is piped, and so is what it reads."""
    command = [sys.executable, "-m", __name__, str(user), ",".join(map(str, groups)), module, function, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment, text=True)


def main(user: str, groups: str, module: str, function: str, *arguments: str) -> None:
    """Become that user for good, and call the function."""
    call = getattr(importlib.import_module(module), function)
    check_known_answer()  # reads the points of the ceremony
    os.setgroups([int(group) for group in groups.split(",") if group])
    os.setgid(int(user))
    os.setuid(int(user))
    call(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
