"""The operating systems that this package runs on."""

from __future__ import annotations

from importlib import import_module

NO_POSIX = "Windows alone is not supported; expected Linux or macOS; use the Windows Subsystem for Linux (WSL)"
POSIX_MODULE = "fcntl"


def has_posix() -> bool:
    """Whether this system locks files as Linux and macOS do."""
    try:
        import_module(POSIX_MODULE)
    except ModuleNotFoundError:
        return False
    return True
