"""``omnilytics``, also as ``python -m omnilytics_flwr``: the command line."""

from __future__ import annotations

from .interruption import interruptible


def main() -> None:
    """Run the command line; what it needs takes a second to load, in which it may be interrupted too."""
    with interruptible():
        from .cli.main import main as command
    command()


if __name__ == "__main__":
    main()
