"""Load the webhook events that webhook_to_parquet.py wrote into the DuckDB file of the sync; asks Linq for nothing.

python pipelines/events_to_duckdb.py --directory webhook_events
"""

from collections.abc import Sequence

from linq_source import settings
from linq_source.cli import Parser, database_path, run_command


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = Parser(description="Load webhook events into a DuckDB file.", allow_abbrev=False)
    parser.add_argument(
        "--directory",
        default="webhook_events",
        metavar="DIR",
        help="where webhook_to_parquet.py wrote: a folder, or a URL like s3://bucket/prefix [%(default)s]",
    )
    parser.add_argument("--database", default=settings.DATABASE, metavar="PATH", help="the DuckDB file [%(default)s]")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    options = parser.parse_args(arguments)

    # Imported late, so that --help and wrong options answer at once.
    from linq_source.forgotten import Gate
    from linq_source.runner import run_events
    from linq_source.sync_output import events_as_json, events_sentence, print_events_problems
    from linq_source.warehouse import database_target
    from linq_source.webhook.event_loader import EventLoader

    database = database_path(options.database)
    result = run_events(EventLoader(options.directory, Gate.configured()), database_target(database))
    print(events_as_json(result) if options.json else events_sentence(result.summary))
    print_events_problems(result.summary)
    return result.exit_code


if __name__ == "__main__":
    run_command(main)
