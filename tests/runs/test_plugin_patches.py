"""Patches of a few lines go where their old lines stand, and nowhere else; each can be looked at first, and taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs.plugin.__main__ import main
from runs.plugin.examples import EXAMPLES, REPEAT_PATCH
from runs.plugin.patches import Hunk, PatchError, carry_out, plan, read_patch
from tests.runs.plugin_app import copy_app

NAMES = ("pytorch", "sklearn")

TEXT = "one\ntwo\nthree\nfour\nfive\n"
PATCH = """--- a/file.txt
+++ b/file.txt
@@ -2 +2,2 @@
 two
+two and a half
@@ -4 +5 @@
-four
+FOUR
"""
PATCHED = "one\ntwo\ntwo and a half\nthree\nFOUR\nfive\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file.txt").write_text(TEXT)
    return tmp_path


def apply(folder: Path, patch: str = PATCH, *, undo: bool = False) -> str:
    carry_out(plan(folder, read_patch(patch), undo=undo))
    return (folder / "file.txt").read_bytes().decode()


def test_patch_is_applied_and_taken_back(folder: Path) -> None:
    assert apply(folder) == PATCHED
    assert apply(folder, undo=True) == TEXT


def test_planning_changes_nothing_and_names_the_places(folder: Path) -> None:
    (edit,) = plan(folder, read_patch(PATCH))
    assert (folder / "file.txt").read_text() == TEXT
    assert [(line, hunk.changes) for line, hunk in edit.places] == [(3, ((), ("two and a half",))), (5, (("four",), ("FOUR",)))]
    assert edit.content == PATCHED


def test_lines_that_moved_are_found_and_line_endings_kept(folder: Path) -> None:
    moved = "zero\r\nnought\r\n" + TEXT.replace("\n", "\r\n")
    (folder / "file.txt").write_bytes(moved.encode())
    assert apply(folder) == "zero\r\nnought\r\n" + PATCHED.replace("\n", "\r\n")
    assert apply(folder, undo=True) == moved


REFUSED: dict[str, tuple[str, bool, str]] = {
    "old line changed": (TEXT.replace("four", "4"), False, r"nowhere, expected once, near line 4.*by hand:\n    four\n  becomes\n    FOUR"),
    "old line twice": (TEXT + "four\n", False, "lines 5, 7, expected once"),
    "anchor gone": (TEXT.replace("two\n", ""), False, "nowhere, expected once, near line 2"),
    "applied already": (PATCHED, False, "is applied already in .*; nothing is to be done"),
    "not applied": (TEXT, True, "is not applied in .*; nothing is to be done"),
    "in part": (PATCHED.replace("FOUR", "four"), False, "applied in part in .*: 1 of 2 places"),
    "taken back in part": (PATCHED.replace("FOUR", "four"), True, "applied in part in .*: 1 of 2 places"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_file_that_is_not_as_expected_is_left_alone(folder: Path, case: str) -> None:
    text, undo, reason = REFUSED[case]
    (folder / "file.txt").write_text(text)
    with pytest.raises(PatchError, match=f"(?s){reason}"):
        apply(folder, undo=undo)
    assert (folder / "file.txt").read_text() == text


def test_missing_file_and_bytes_are_refused(folder: Path) -> None:
    (folder / "file.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(PatchError, match=r"file\.txt is no text in UTF-8"):
        apply(folder)
    (folder / "file.txt").unlink()
    with pytest.raises(PatchError, match=r"file\.txt cannot be read .*pyproject\.toml"):
        apply(folder)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", "line 1 of the patch is 'hello'; expected the head of a file"),
        ("@@ -1 +1 @@\n-a\n+b", "expected the head of a file"),
        (PATCH.rstrip("\n") + "\n*", r"expected the head of a file or of a hunk"),
        (PATCH.replace("+FOUR\n", ""), "expected the rest of the hunk of line 6"),
    ],
)
def test_text_that_is_no_patch_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PatchError, match=reason):
        read_patch(text)


def test_changed_line_counts_once_and_context_not_at_all() -> None:
    hunks = [Hunk(1, ("a", "b"), ("a", "B", "c")), Hunk(1, ("a",), ("a", "b")), Hunk(1, ("a", "b"), ("b",)), Hunk(1, ("a",), ("b",))]
    assert [hunk.touched for hunk in hunks] == [2, 1, 1, 1]


@pytest.mark.parametrize("name", EXAMPLES)
def test_market_takes_two_lines_of_the_server_and_two_of_the_client(name: str) -> None:
    assert {Path(one.path).name: one.touched for one in EXAMPLES[name].patch()} == {"server_app.py": 2, "client_app.py": 2}
    kept = [line for one in EXAMPLES[name].patch() for hunk in one.hunks for line in hunk.old]
    assert len(kept) == 4, "no more of somebody else's lines than anchor and change need"
    assert EXAMPLES[name].patch(REPEAT_PATCH)


@pytest.mark.parametrize("name", NAMES)
def test_command_shows_applies_and_takes_back(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = copy_app(name, tmp_path / "app", patched=False)
    before = {path: path.read_bytes() for path in app.rglob("*.*")}
    assert main(["apply", name, str(app), "--check"]) == 0
    shown = capsys.readouterr().out
    assert "+     strategy = Omnilytics(strategy, ledger=open_market(), run_config=context.run_config)" in shown
    assert shown.endswith("nothing was changed\n")
    assert {path: path.read_bytes() for path in before} == before
    assert main(["apply", name, str(app)]) == 0
    assert "4 lines in 2 files" in capsys.readouterr().out
    assert main(["apply", name, str(app)]) == 1
    assert "applied already" in capsys.readouterr().err
    assert main(["apply", name, str(app), "--undo"]) == 0
    assert {path: path.read_bytes() for path in before} == before
    other = NAMES[NAMES.index(name) - 1]
    assert main(["apply", other, str(app)]) == 1
    assert f"{other}example/server_app.py cannot be read" in capsys.readouterr().err
    assert main(["terms", str(tmp_path)]) == 1
    assert "is no Flower app" in capsys.readouterr().err
