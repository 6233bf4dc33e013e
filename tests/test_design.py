"""The modules import each other as docs/design.md says, and no other way."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.readme import ROOT

PACKAGE = ROOT / "linq_source"
PURE = (
    "answers", "changes", "event_tables", "extras", "forgotten", "plan", "rows", "settle", "sql_text", "strict_json",
    "tables", "times", "values", "webhook.event", "webhook.event_rows", "webhook.signature",
)  # fmt: skip
"""Modules whose functions read nothing, wait for nothing and write nothing."""

NOT_PURE = {"aiolimiter", "asyncio", "dlt", "fsspec", "os", "shutil", "socket", "sqlite3", "subprocess", "threading"}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


def imported(path: Path) -> Iterator[str]:
    """Full names of what a file imports, within functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (*path.relative_to(ROOT).parts[: -node.level],) if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            yield from (f"{module}.{each.name}" for each in node.names)


def ours(path: Path) -> set[str]:
    """The modules of the package that a file imports; the package itself, which holds names only, left out."""
    found = set()
    for name in imported(path):
        if name.startswith("linq_source."):
            parts = name.split(".")[1:]
            found.add(next((part for part in (".".join(parts), ".".join(parts[:-1])) if part in FILES), ""))
    return found - {""}


def rooms() -> dict[str, tuple[set[str], set[str]]]:
    """Modules of each room, and the rooms it may import from, as docs/design.md has them."""
    text = (ROOT / "docs" / "design.md").read_text()
    [table] = re.findall(r"^\| room \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {room: (set(re.findall(r"`([\w.]+)`", names)), set(re.findall(r"\w+", may))) for room, names, may in cells}


def room_of(module: str) -> str:
    name = "simulator" if module.startswith("simulator.") else module
    [room] = [room for room, (modules, _) in rooms().items() if name in modules]
    return room


PACKAGES = {"", "analytics", "sources", "webhook"}
"""What holds names and no code."""


def test_every_module_is_in_one_room_and_no_room_has_another() -> None:
    named = [name for modules, _ in rooms().values() for name in modules]
    assert len(named) == len(set(named))
    assert set(named) == {name for name in FILES if not name.startswith("simulator.")} - PACKAGES


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_only_from_where_it_may(room: str) -> None:
    may = rooms()[room][1] | {room}
    assert may <= set(rooms())
    modules = [name for name in FILES if name not in PACKAGES and room_of(name) == room]
    crossed = {(name, other) for name in modules for other in ours(FILES[name]) if room_of(other) not in may}
    assert crossed == set()


def test_no_room_is_allowed_what_it_does_not_need() -> None:
    for room, (_, may) in rooms().items():
        modules = [name for name in FILES if name not in PACKAGES and room_of(name) == room]
        assert may <= {room_of(other) for name in modules for other in ours(FILES[name])}, room


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: ours(path) - {name} for name, path in FILES.items() if name not in PACKAGES}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError with the circle


def test_only_what_speaks_with_linq_imports_httpx() -> None:
    speaking = {name for name, path in FILES.items() if "httpx" in {each.split(".")[0] for each in imported(path)}}
    assert {room_of(name) for name in speaking} == {"linq", "subscriptions"}


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_imports_nothing_that_reads_waits_or_writes(module: str) -> None:
    assert {each.split(".")[0] for each in imported(FILES[module])} & NOT_PURE == set()


def test_nothing_in_the_package_imports_commands_or_tests() -> None:
    for name, path in FILES.items():
        assert {each.split(".")[0] for each in imported(path)} & {"pipelines", "tests"} == set(), name
