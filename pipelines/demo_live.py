"""A minute of webhooks at work: a made-up organisation lives, and the tables keep up with it. Needs no token.

python pipelines/demo_live.py --seconds 60
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from linq_source.cli import Parser, database_path, positive, run_command


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        description="Show webhooks at work: a made-up organisation lives on this machine, its events are received "
        "and loaded, and syncs are run in between. Needs no token.",
        allow_abbrev=False,
    )
    parser.add_argument("--seconds", type=positive, default=60.0, metavar="N", help="run for N seconds [%(default)g]")
    parser.add_argument(
        "--database", default="linq_live.duckdb", metavar="PATH", help="the DuckDB file, made anew [%(default)s]"
    )
    options = parser.parse_args(arguments)
    database = database_path(options.database)

    # Imported late, so that --help and wrong options answer at once.
    from linq_source.demo_live import play

    receiver = Path(__file__).with_name("webhook_to_parquet.py")
    return play(database, seconds=options.seconds, receiver=receiver, say=partial(print, flush=True))


if __name__ == "__main__":
    run_command(main)
