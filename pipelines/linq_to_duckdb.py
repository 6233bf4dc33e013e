"""Sync a Linq account into a DuckDB file: run it again and again, it reads only what is new.

python pipelines/linq_to_duckdb.py            # needs SOURCES__LINQ__INTEGRATION_TOKEN
python pipelines/linq_to_duckdb.py --demo     # a made-up organisation; needs nothing
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from linq_source import settings
from linq_source.cli import database_path, run_command, settings_given, sync_parser


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = sync_parser("Sync a Linq account into a DuckDB file.")
    parser.add_argument("--demo", action="store_true", help="sync a made-up organisation; needs no token")
    parser.add_argument(
        "--events",
        metavar="DIR",
        help="first load the webhook events in this folder or URL, then read what they tell of",
    )
    parser.add_argument("--database", metavar="PATH", help=f"the DuckDB file [{settings.DATABASE}]")
    options = parser.parse_args(arguments)
    return demo(options) if options.demo else sync(options)


def sync(options: argparse.Namespace, database: Path | None = None, **given: object) -> int:
    """Run one sync and say what it did."""
    # Imported late, so that --help and wrong options answer at once.
    import dlt

    from linq_source.database import check_database, count_rows, lock_path
    from linq_source.runner import Target, run_sync
    from linq_source.source import configured_sync
    from linq_source.sync_output import as_json, print_problems, print_result, progress
    from linq_source.webhook.event_loader import EventLoader

    database = database or database_path(options.database or settings.DATABASE)
    linq_sync = configured_sync(**settings_given(options), **given)
    target = Target(
        destination=dlt.destinations.duckdb(str(database)),
        lock_path=lock_path(database),
        check=lambda: check_database(database),
        commit_every=options.commit_every,
        max_minutes=options.max_minutes,
    )
    events = EventLoader(options.events) if options.events is not None else None
    with progress(linq_sync, shown=not (options.quiet or options.json)):
        result = run_sync(linq_sync, target, events)
    if not (options.quiet or options.json) and not result.summary.failure:
        print_result(result, str(database), count_rows(database))
    print_problems(result)
    if options.json:
        print(as_json(result))
    return result.exit_code


def demo(options: argparse.Namespace) -> int:
    """Sync the made-up organisation, change it, and sync again."""
    from linq_source.demo import CHANGES, DATABASE, TOKEN, change, demo_linq, prepare

    database = database_path(options.database) if options.database else DATABASE
    talks = not (options.quiet or options.json)
    with demo_linq() as linq:
        prepare(database, linq.world, is_default=not options.database)
        if talks:
            print("First sync of a made-up organisation, served by a local Linq:")
        code = sync(options, database, integration_token=TOKEN, base_url=linq.base_url)
        if code:
            return code
        change(linq.world)
        if talks:
            print(f"\nMeanwhile {CHANGES}. Second sync:")
        code = sync(options, database, integration_token=TOKEN, base_url=linq.base_url)
    if talks:
        print(f"\nThe tables are in {database}, schema {settings.DATASET_NAME}. Try:")
        query = f"from {settings.DATASET_NAME}.messages limit 5"
        print(f"""  .venv/bin/python -c "import duckdb; print(duckdb.connect('{database}').sql('{query}'))\"""")
    return code


if __name__ == "__main__":
    run_command(main)
