"""Sync a Linq account into a DuckDB file: run it again and again, it reads only what is new.

python pipelines/linq_to_duckdb.py            # needs SOURCES__LINQ__INTEGRATION_TOKEN
python pipelines/linq_to_duckdb.py --demo     # a made-up organisation; needs nothing
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from linq_source import settings
from linq_source.cli import database_path, query_command, run_command, sync_parser


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = sync_parser("Sync a Linq account into a DuckDB file.")
    parser.add_argument(
        "--demo", action="store_true", help="sync a made-up organisation, change it, sync again; needs no token"
    )
    parser.add_argument("--database", metavar="PATH", help=f"the DuckDB file [{settings.DATABASE}]")
    options = parser.parse_args(arguments)
    return demo(options) if options.demo else sync(options)


def sync(options: argparse.Namespace, database: Path | None = None, **given: object) -> int:
    """Run one sync and say what it did."""
    # Imported late, so that --help and wrong options answer at once.
    from linq_source import sync_command
    from linq_source.database import count_rows
    from linq_source.warehouse import database_target

    database = database or database_path(settings.DATABASE if options.database is None else options.database)
    target = database_target(database, commit_every=options.commit_every, max_minutes=options.max_minutes)
    return sync_command.run(options, target, str(database), count_rows=lambda: count_rows(database), **given)


def demo(options: argparse.Namespace) -> int:
    """Sync the made-up organisation, change it, sync again, and write its report."""
    from linq_source.demo import CHANGES, DATABASE, TOKEN, change, demo_linq, prepare, report

    database = DATABASE if options.database is None else database_path(options.database)
    talks = not (options.quiet or options.json)
    with demo_linq() as linq:
        prepare(database, linq.world, is_default=options.database is None)
        if talks:
            print("First sync of a made-up organisation, served by a local Linq:")
        code = sync(options, database, integration_token=TOKEN, base_url=linq.base_url)
        if code:
            return code
        change(linq.world)
        if talks:
            print(f"\nMeanwhile {CHANGES}. Second sync:")
        code = sync(options, database, integration_token=TOKEN, base_url=linq.base_url)
    about_report = report(database)
    if talks:
        print(f"\nThe tables are in {database}, schema {settings.DATASET_NAME}. Try:")
        query = f"from {settings.DATASET_NAME}.messages limit 5"
        print(f"  {query_command(database, query)}")
        print(f"\n{about_report}")
    return code


if __name__ == "__main__":
    run_command(main)
