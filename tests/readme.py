"""The part of README that is written from the code: `make readme` writes it anew, a test compares it."""

from pathlib import Path

from linq_source.event_tables import EVENT_TABLES
from linq_source.resources import column_hints
from linq_source.tables import TABLES, Departure

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- tables: written by make readme -->\n", "<!-- end of tables -->"


def tables_section() -> str:
    """Every table, then the columns of each, as Markdown."""
    tables = (*TABLES.values(), *EVENT_TABLES.values())
    lines = ["\n| table | key | a row is | when Linq no longer lists it |", "|---|---|---|---|"]
    for table in tables:
        key = ", ".join(f"`{name}`" for name in table.key)
        leaves = "" if table.departure is Departure.NONE else table.departure.value
        lines.append(f"| `{table.name}` | {key} | {table.description} | {leaves} |")
    lines += ["\n<details><summary>The columns of every table</summary>"]
    for table in tables:
        hints = column_hints(table)
        lines += [f"\n**`{table.name}`**\n", "| column | type | |", "|---|---|---|"]
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
