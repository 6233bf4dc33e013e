"""Write a report of a DuckDB file that a sync has filled: one HTML file that needs nothing else.

python pipelines/report.py --database linq.duckdb --output report.html
"""

from collections.abc import Sequence

from linq_source import settings
from linq_source.cli import Parser, database_path, run_command
from linq_source.paths import usable_path


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = Parser(description="Write a report of a synced DuckDB file as one HTML file.", allow_abbrev=False)
    parser.add_argument("--database", metavar="PATH", default=settings.DATABASE, help="the DuckDB file [%(default)s]")
    parser.add_argument("--output", metavar="PATH", default="report.html", help="the file to write [%(default)s]")
    parser.add_argument(
        "--show-identities",
        action="store_true",
        help="show phone numbers, names and last messages of waiting chats in full; masked unless given",
    )
    options = parser.parse_args(arguments)
    database = database_path(options.database)
    output = usable_path(options.output, "--output", "the path of a file, like report.html")

    from linq_source.analytics.report import write_report

    write_report(database, output, show_identities=options.show_identities)
    shown = "shows numbers and names in full" if options.show_identities else "numbers and names are masked"
    print(f"Wrote {output} ({output.stat().st_size / 1e6:.1f} MB; {shown}). Open it in a browser.")
    return 0


if __name__ == "__main__":
    run_command(main)
