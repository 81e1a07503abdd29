"""What the parties of the walk-through in docs/start/deployment.md bring along."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs.deployment.prepare import prepare


def test_every_party_has_what_its_commands_name(tmp_path: Path) -> None:
    walk = tmp_path / "walk"

    prepare(walk)

    certificates = {f"certificates/{name}" for name in ("ca.crt", "server.pem", "server.key")}
    owners = {f"owner-{i}/{name}" for i in range(15) for name in ("digits.npz", "password", "supernode-key", "supernode-key.pub")}
    there = {path.relative_to(walk).as_posix() for path in walk.rglob("*") if path.is_file()}
    assert certificates | owners | {"flwr/config.toml", "model-owner/digits.npz", "model-owner/password"} <= there
    with pytest.raises(FileExistsError):
        prepare(walk)
