"""Vectors on disk: they come back in pieces, and nothing of them is left once they are deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.errors import NotCanonical, WrongLength
from omnilytics_flwr.model_owner import vector_files
from omnilytics_flwr.model_owner.vector_files import VectorFiles, pieces_of

VECTOR = FieldVector.from_ints(range(10))


@pytest.fixture(params=["run directory", "no folder"])
def files(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VectorFiles:
    monkeypatch.setattr(vector_files, "PIECE_ELEMENTS", 4)
    return VectorFiles(tmp_path if request.param == "run directory" else None)


def test_vector_comes_back_in_pieces_until_it_is_deleted(files: VectorFiles, tmp_path: Path) -> None:
    files.write("a-1", bytes(320))
    files.write("a-1", VECTOR.to_bytes())
    files.write("b-1", bytes(320))
    assert list(map(len, files.pieces("a-1", 10))) == [4, 4, 2]
    for pieces in (files.pieces("a-1", 10), pieces_of(VECTOR.to_bytes(), 10)):
        assert FieldVector.joined(pieces) == VECTOR
    assert files.names("a-") == ["a-1"]

    files.delete("a-1", "b-1", "c-1")

    assert files.names("") == list(tmp_path.iterdir()) == []


def test_file_that_was_cut_or_holds_a_word_beyond_the_order_is_no_vector(files: VectorFiles) -> None:
    for raw, error in ((VECTOR.to_bytes()[:-1], WrongLength), (b"\xff" * 320, NotCanonical)):
        files.write("a", raw)
        with pytest.raises(error):
            list(files.pieces("a", 10))
