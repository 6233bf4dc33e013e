"""What the commands in pipelines/ share: options, error sentences, exit codes, and how a result is said."""

import argparse
import gc
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from linq_source import settings
from linq_source.errors import LinqError
from linq_source.paths import usable_path
from linq_source.printable import printable

_LONGEST_MINUTES = 366 * 24 * 60


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one sentence and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where to look."""
        sentence = printable(f"{message[:1].upper()}{message[1:]}")
        print(f"{sentence}. Run {self.prog} --help for the options.", file=sys.stderr)
        raise SystemExit(2)


def sync_parser(description: str) -> Parser:
    """Return a parser with the options that every sync takes."""
    parser = Parser(description=description, allow_abbrev=False)
    parser.add_argument(
        "--start-date", metavar="DATE", help="read only messages sent on or after this date (UTC), like 2025-01-31"
    )
    parser.add_argument("--end-date", metavar="DATE", help="read only messages sent before this date (UTC)")
    parser.add_argument(
        "--lookback-days",
        type=not_negative,
        metavar="N",
        help=f"read chats with messages younger than N days at every sync [{settings.LOOKBACK_DAYS:g}]",
    )
    parser.add_argument(
        "--recheck-hours",
        type=not_negative,
        metavar="N",
        help=f"read every chat whole at least every N hours; 0 = at every sync [{settings.RECHECK_HOURS:g}]",
    )
    parser.add_argument(
        "--phone-number",
        action="append",
        dest="phone_numbers",
        metavar="NUMBER",
        help="read only the chats of this one of your numbers (repeatable)",
    )
    parser.add_argument("--full-refresh", action="store_true", help="read every chat whole, whatever is stored")
    _add_pace_options(parser)
    parser.add_argument(
        "--allow-mass-delete",
        action="store_true",
        help="mark rows as deleted even where more than a fifth of a table of over 50 rows is gone at Linq, or where "
        "all numbers are other ones",
    )
    parser.add_argument(
        "--events",
        metavar="DIR",
        help="first load the webhook events in this folder or URL, then read the messages that they tell of",
    )
    _add_output_options(parser)
    return parser


def _add_pace_options(parser: Parser) -> None:
    parser.add_argument(
        "--commit-every",
        type=positive_integer,
        default=settings.COMMIT_EVERY,
        metavar="N",
        help=f"commit so often that a killed run repeats at most N messages [{settings.COMMIT_EVERY}]",
    )
    parser.add_argument(
        "--max-minutes",
        type=minutes,
        metavar="N",
        help="stop after N minutes, with what is complete; the next run goes on",
    )
    parser.add_argument(
        "--max-wait-seconds",
        type=not_negative,
        metavar="N",
        help=f"wait at most N seconds in all for Linq's rate limit and outages [{settings.MAX_WAIT_SECONDS:g}]",
    )


def _add_output_options(parser: Parser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print the result as one JSON object, the last line of standard output"
    )
    parser.add_argument("--quiet", action="store_true", help="print only errors and what was left out")


def settings_given(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a sync that options name; the rest comes from dlt's configuration."""
    names = ("start_date", "end_date", "lookback_days", "recheck_hours", "phone_numbers", "max_wait_seconds")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    given |= {name: True for name in ("full_refresh", "allow_mass_delete") if getattr(options, name)}
    return given


def run_command(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run a command and exit with its code; an error becomes one sentence on standard error."""
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    # DuckDB's file, its log and what it spills hold all texts. A file that exists keeps the permissions it was given.
    os.umask(0o077)
    # Python looks for circles among objects after every 700 new ones. Rows have none, and it takes a fifth of a sync.
    gc.set_threshold(100_000, 50, 1_000)
    signal.signal(signal.SIGTERM, _terminate)  # until the sync has handlers of its own
    try:
        code = main(sys.argv[1:])
    except LinqError as error:
        code = report_error(error, as_json="--json" in sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # The reader of our output went away; what was synced is stored all the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    # Else Python looks through all that is left for circles as it ends, which takes a tenth of an idle sync.
    gc.freeze()
    raise SystemExit(code)


def _terminate(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def report_error(error: LinqError, *, as_json: bool) -> int:
    """Print an error's sentence and return its exit code."""
    print(printable(str(error)), file=sys.stderr)
    if as_json:
        print(json.dumps({"error": str(error), "exit_code": error.exit_code}))
    return error.exit_code


def database_path(text: str) -> Path:
    """Return the path of a DuckDB file that an option names.

    Raises ConfigurationError where it names none.
    """
    return usable_path(text, "--database", "the path of a file, like linq.duckdb")


def journal_path(text: str) -> Path:
    """Return the folder that --journal names; raises ConfigurationError where it names none."""
    return usable_path(text, "--journal", "the folder of a receiver's journal", is_folder=True)


def query_command(database: Path, query: str) -> str:
    """Return a line to paste that shows what a query finds, run by the interpreter that runs now."""
    python, here = Path(sys.executable), Path.cwd()
    shown = python.relative_to(here) if python.is_relative_to(here) else python
    code = f"import duckdb; db = duckdb.connect({str(database)!r}); print(db.sql({query!r}))"
    # Within double quotes a shell still reads these; what has none of them is easier to read so.
    quoted = shlex.quote(code) if re.search(r'["$`\\!]', code) else f'"{code}"'
    return f"{shlex.quote(str(shown))} -c {quoted}"


def _number(text: str, kind: type[int] | type[float]) -> Any:
    try:
        value = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def not_negative(text: str) -> float:
    """Return the number from 0 on that an option names."""
    value = float(_number(text, float))
    if value < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


def positive(text: str) -> float:
    """Return the number above 0 that an option names."""
    value = float(_number(text, float))
    if value <= 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def minutes(text: str) -> float:
    """Return the number of minutes that an option names, within what a timer can wait for."""
    value = positive(text)
    if value > _LONGEST_MINUTES:
        raise argparse.ArgumentTypeError(f"must be at most {_LONGEST_MINUTES}, which is a year")
    return value


def positive_integer(text: str) -> int:
    """Return the whole number from 1 on that an option names."""
    value = int(_number(text, int))
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def port(text: str) -> int:
    """Return the number of a TCP port that an option names."""
    value = int(_number(text, int))
    if not 0 <= value <= 65_535:
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return value
