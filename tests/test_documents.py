"""The documents are true of this tree: links lead somewhere, tests that they cite exist, tables name what the code has."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from omnilytics_flwr.chain.known_deployments import parse_deployments
from omnilytics_flwr.cli.terms_file import template
from omnilytics_flwr.data_owner.policy import Policy

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DOCUMENTS = (ROOT / "README.md", ROOT / "contracts" / "README.md", *sorted(DOCS.rglob("*.md")))
GLOSSARY, SECURITY = DOCS / "specification" / "glossary.md", DOCS / "explain" / "security.md"
CLI, POLICY, TERMS = (DOCS / "reference" / name for name in ("cli.md", "policy.md", "terms.md"))

FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)\s#]*)(?:#([^)\s]+))?\)")
CODE = re.compile(r"`([^`]+)`")
TEST_FILE = re.compile(r"(?:(\w+)/)?(test_[\w*]+)")
FORGE_TEST = re.compile(r"function (test_\w+)")
TABLE_ROW = re.compile(r"^\| `([\w-]+)` \| [^|]+ \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)


def broken_links(document: Path, text: str) -> list[str]:
    """Relative links that lead to no file, or to no heading of it."""
    broken = []
    for target, heading in LINK.findall(FENCED.sub("", text)):
        file = document.parent / target if target else document
        if not file.exists() or (heading and heading not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(f"{target}#{heading}" if heading else target)
    return broken


def anchors(text: str) -> set[str]:
    """What the headings of a document are called in links."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def untrue_citations(text: str) -> list[str]:
    """Citations of security.md that no test of this tree answers to: its file is missing, or none of its names has the words."""
    untrue = []
    for line in text.splitlines():
        cell = line.rstrip(" |").rpartition("|")[2]
        files: list[Path] = []
        for citation in CODE.findall(cell):
            files, words = cited(citation, files)
            if not files or (words and not any(words in name for file in files for name in names_of_tests(file))):
                untrue.append(citation)
    return untrue


def cited(citation: str, before: list[Path]) -> tuple[list[Path], str]:
    """Files that a citation names, or those `before` it, and the words of a test's name as they stand in it."""
    if citation.startswith("forge:"):
        name, _, words = citation.removeprefix("forge:").partition(":")
        return [*(ROOT / "contracts" / "test").glob(f"{name}*")], as_name(words)
    head, colon, words = citation.partition(":")
    named = TEST_FILE.fullmatch(head)
    if named is not None:
        folder = named[1] or (before[0].parent.name if before else "")
        return [*(ROOT / "tests" / folder).glob(f"{named[2]}.py")], as_name(words)
    if colon:
        return [*(ROOT / "tests" / head).glob("test_*.py")], as_name(words)
    if "/" in head:
        return [ROOT / head] if (ROOT / head).exists() else [], ""
    return before, as_name(citation)


def as_name(words: str) -> str:
    return re.sub(r"\W+", "_", words.strip().replace("'", ""))


def names_of_tests(file: Path) -> Iterator[str]:
    """In snake case, whatever the language."""
    if file.suffix == ".sol":
        yield from (
            re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name) for name in FORGE_TEST.findall(file.read_text(encoding="utf-8"))
        )
        return
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name


def rows_of_tests(text: str) -> str:
    """Rows of the tables whose last column is of tests, and lines that cite one in passing."""
    rows, in_table = [], False
    for line in text.splitlines():
        in_table = line.startswith("|") and (in_table or line.endswith("| test |"))
        rows += [line] if in_table else [f"`{citation}`" for citation in CODE.findall(line) if TEST_FILE.match(citation)]
    return "\n".join(rows)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(document: Path) -> None:
    assert broken_links(document, document.read_text(encoding="utf-8")) == []


def test_link_to_nowhere_is_told() -> None:
    text = (
        "[a](cli.md) [b](none.md) [c](cli.md#wallets) [d](cli.md#none) [e](#wallets) [f](https://none) [g](../none/)\n```\n[h](none)\n```"
    )

    assert broken_links(CLI, text) == ["none.md", "cli.md#none", "../none/"]


def test_every_test_that_security_cites_exists() -> None:
    rows = rows_of_tests(SECURITY.read_text(encoding="utf-8"))

    assert len(CODE.findall(rows)) > 60
    assert untrue_citations(rows) == []


@pytest.mark.parametrize(
    "citation",
    [
        "`flower/test_none`",
        "`flower/test_mod: no such words`",
        "`flower/test_mod: changed arrays`, `no such words`",
        "`chain/test_none*`",
        "`adversary: no such words`",
        "`none: low order`",
        "`forge:market/None`",
        "`runs/none`",
        "`flower/test_mod`, `test_none`",
    ],
)
def test_citation_of_no_test_is_told(citation: str) -> None:
    assert untrue_citations(f"| who | tries | {citation} |") == [CODE.findall(citation)[-1]]


def test_glossary_lists_every_module_once() -> None:
    table = GLOSSARY.read_text(encoding="utf-8").partition("| module |")[2]
    named = [module for row in table.splitlines() for module in CODE.findall(row.partition(" | ")[0])]
    package = ROOT / "omnilytics_flwr"
    there = [path.relative_to(package).with_suffix("").as_posix() for path in package.rglob("*.py") if path.stem != "__init__"]

    assert [module for module in there if module not in named] == [], "each module has a row in the glossary"
    assert [module for module in named if module not in there] == []
    assert len(named) == len(set(named))


def test_policy_table_has_every_entry_with_its_default() -> None:
    rows = dict(TABLE_ROW.findall(POLICY.read_text(encoding="utf-8")))

    assert set(rows) == {field.encode_name for field in structs.fields(Policy)}
    for name, default in rows.items():
        value = getattr(Policy(), name.replace("-", "_"))
        stated = tomllib.loads(f"value = {default.strip('`')}")["value"] if default.startswith("`") else None
        assert stated == (list(value) if isinstance(value, tuple) else value), name


def test_terms_table_has_every_entry_with_the_templates_value() -> None:
    written = tomllib.loads(re.sub(r"^# ([a-z-]+ = )", r"\1", template(owners=20, weights=20_000, group_size=None), flags=re.MULTILINE))
    rows = dict(TABLE_ROW.findall(TERMS.read_text(encoding="utf-8")))

    assert set(rows) == {*written, "verification"}
    for name, stated in rows.items():
        assert not stated.startswith("`") or tomllib.loads(f"value = {stated.strip('`')}")["value"] == written[name], name


def test_example_of_deployments_is_one_that_commands_read() -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```", CLI.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)

    assert list(parse_deployments(example.replace("0x...", "0x" + "11" * 20))) == [1]


def test_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 90] == []
