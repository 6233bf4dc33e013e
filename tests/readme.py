"""README and docs as texts, and the part of README that is written from the code: `make readme` writes it anew."""

import re
from pathlib import Path

from linq_source.event_tables import EVENT_TABLES
from linq_source.resources import column_hints
from linq_source.tables import TABLES, Departure

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCUMENTS = (README, *sorted((ROOT / "docs").glob("*.md")))
"""What a reader of the project reads; docs holds what only few of them need."""

BEGIN, END = "<!-- tables: written by make readme -->\n", "<!-- end of tables -->"


def manual() -> str:
    """README and all of docs, one after another."""
    return "\n".join(path.read_text() for path in DOCUMENTS)


def sections() -> list[str]:
    """Every document cut at its headings."""
    return [each for path in DOCUMENTS for each in re.split(r"^#{2,3} ", path.read_text(), flags=re.MULTILINE)]


def prose(text: str) -> str:
    """A document without its blocks of code."""
    return re.sub(r"(?ms)^ *```.*?^ *```$|^    .*?$", "", text)


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"(?ms)^```.*?^```$", "", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(path: Path) -> list[str]:
    """Where the links and pictures of a document lead, but for those out of the project."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text()))
    return [link for link in found if not link.startswith("https://")]


def tables_section() -> str:
    """Every table, then the columns of each, as Markdown."""
    tables = (*TABLES.values(), *EVENT_TABLES.values())
    lines = ["\n| table | key | a row is | when Linq no longer lists it |", "|---|---|---|---|"]
    for table in tables:
        key = ", ".join(f"`{name}`" for name in table.key)
        leaves = "" if table.departure is Departure.NONE else table.departure.value
        lines.append(f"| `{table.name}` | {key} | {table.description} | {leaves} |")
    lines += ["\n<details><summary>The columns of every table</summary>\n", "| column | type | |", "|---|---|---|"]
    for table in tables:
        hints = column_hints(table)
        lines.append(f"| **`{table.name}`** | | |")
        lines += [
            f"| `{column.name}` | {hints[column.name]['data_type']} | {column.description} |"
            for column in table.columns
        ]
    return "\n".join([*lines, "\n</details>\n"])


def written() -> str:
    """README with its section of tables as the code has it."""
    before, rest = README.read_text().split(BEGIN)
    return before + BEGIN + tables_section() + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(written())
