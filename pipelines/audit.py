"""Compare Linq's counts with the tables of a DuckDB file, chat by chat. Exit code 3 when anything differs.

python pipelines/audit.py --database linq.duckdb
python pipelines/audit.py --database linq.duckdb --repair    # the next sync reads what differs whole
"""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from linq_source import settings
from linq_source.cli import Parser, database_path, run_command
from linq_source.printable import printable

if TYPE_CHECKING:
    from linq_source.audit import Findings

SHOWN = 20


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        description="Compare Linq's counts with the tables of a DuckDB file, chat by chat.", allow_abbrev=False
    )
    parser.add_argument("--database", metavar="PATH", default=settings.DATABASE, help="the DuckDB file [%(default)s]")
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON object")
    parser.add_argument("--repair", action="store_true", help="let the next sync read whole the chats that differ")
    options = parser.parse_args(arguments)

    from linq_source.audit import audit
    from linq_source.database import check_database, check_unlocked, lock_path
    from linq_source.errors import ConfigurationError
    from linq_source.process import locked
    from linq_source.redact import configured
    from linq_source.source import configured_sync
    from linq_source.warehouse import database_target

    database = database_path(options.database)
    if not database.is_file():
        raise ConfigurationError(f"There is no database {database}: name one with --database, or run a sync first.")
    check_unlocked(database)
    sync = configured_sync()
    with locked(lock_path(database)):
        check_database(database)
        destination = database_target(database).destination
        findings = audit(
            sync.reader.make_client,
            destination,
            repair=options.repair,
            phone_numbers=sync.options.phone_numbers,
            redact_key=configured()[1],
        )
    if options.json:
        print(json.dumps(findings.as_json()))
    else:
        say(findings, str(database))
    return findings.exit_code


def say(findings: "Findings", where: str) -> None:
    """Print what the audit of a database found."""
    from linq_source.sync_output import counted

    found = counted(len(findings.differences), "difference") if findings.differences else "no differences"
    print(
        f"Compared {counted(findings.chats_compared, 'chat')} with {counted(findings.messages_compared, 'message')} "
        f"in {where}: {found}."
    )
    for each in findings.differences[:SHOWN]:
        print(f"  {each.what} {each.id}: Linq has {each.linq}, the tables {each.ours}".replace(" :", ":"))
    if len(findings.differences) > SHOWN:
        print(f"  and {len(findings.differences) - SHOWN} more; --json lists all")
    for sentence in findings.skipped:
        print(f"Skipped: {printable(sentence)}.", file=sys.stderr)
    if findings.repaired:
        print(f"Marked {findings.repaired} of them, to be read whole by the next sync.")
    elif findings.differences:
        print("Messages that came after the last sync count too: run a sync, and --repair what still differs.")


if __name__ == "__main__":
    run_command(main)
