"""Remove one person from a DuckDB file and from what receivers keep, and have syncs and loaders leave them out.

python pipelines/forget.py --phone-number +15550001111 --events webhook_events --dry-run     # counts, changes nothing
python pipelines/forget.py --contact-id 123 --events webhook_events
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from linq_source import settings
from linq_source.cli import Parser, database_path, journal_path, run_command
from linq_source.printable import printable

if TYPE_CHECKING:
    from linq_source.forget import Removed

SHORTEST_NUMBER = 5
"""Digits: of short codes."""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(arguments)

    # Imported late, so that --help and wrong options answer at once.
    from linq_source.database import check_unlocked
    from linq_source.errors import ConfigurationError
    from linq_source.forget import forget
    from linq_source.redact import PREFIX, configured
    from linq_source.webhook.store import FILE_NAME
    from linq_source.webhook.targets import journal_of, open_target

    identifiers = [text.strip() for text in (*options.phone_number, *options.email)]
    if not (identifiers or options.contact_id is not None) or not all(identifiers):
        raise ConfigurationError("Say who is to be forgotten: with --phone-number, --email or --contact-id.")
    plain = [text for text in options.phone_number if not text.strip().startswith(PREFIX)]
    if any(sum(map(str.isdigit, text)) < SHORTEST_NUMBER for text in plain):
        raise ConfigurationError("--phone-number: this is no number that anyone could have.")
    if any("@" not in text and not text.strip().startswith(PREFIX) for text in options.email):
        raise ConfigurationError("--email: this is no address that anyone could have.")
    database = database_path(options.database)
    if not database.is_file():
        raise ConfigurationError(f"There is no database {database}: name one with --database.")
    check_unlocked(database)
    journals = list(options.journal)
    beside = journal_of(open_target(options.events, "--events")) if options.events is not None else None
    if beside and (beside / FILE_NAME).is_file() and beside not in journals:
        journals.append(beside)
    for folder in journals:
        if not (folder / FILE_NAME).is_file():
            raise ConfigurationError(
                f"There is no journal in {folder}: name the folder of a receiver with --journal."
            )
    removed = forget(
        database,
        identifiers=identifiers,
        contact_id=options.contact_id,
        events=options.events,
        journals=journals,
        redact_key=configured()[1],
        is_dry=options.dry_run,
    )
    if options.json:
        print(json.dumps(removed.as_json()))
        return removed.exit_code
    say(removed, database)
    if not (removed.tables or removed.journal or removed.files):
        print("Nothing of them was found: check the spelling, and whether this is their database.")
    if beside and not journals:
        print(f"No journal was looked at, since there is none in {beside}: name a receiver's with --journal.")
    return removed.exit_code


def say(removed: "Removed", database: Path) -> None:
    """Say in sentences what was removed, and what was not."""
    from linq_source.forgotten import FORGOTTEN

    verb = "Would remove" if removed.is_dry else "Removed"
    for place, counts in (("tables", removed.tables), ("journal", removed.journal), ("files", removed.files)):
        listed = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
        print(f"{verb} from the {place}: {listed or 'nothing'}.")
    for sentence in removed.skipped:
        print(f"Skipped: {printable(sentence)}.", file=sys.stderr)
    if removed.other_identifiers:
        print(
            f"Their contacts have {removed.other_identifiers} other numbers or addresses, which were not looked for: "
            "name them too. (--contact-id takes all that a contact has; --dry-run tells of it in time.)"
        )
    if removed.unclear_chats:
        chats = "1 chat" if removed.unclear_chats == 1 else f"{removed.unclear_chats:,} chats"
        print(
            f"{chats} that only events tell of may be a group, so events of it that name nobody stay: a sync before "
            "would tell. (--dry-run says so in time.)"
        )
    if not removed.is_dry:
        print(
            f"Syncs and loads into {database} leave them out from now on (table {FORGOTTEN.name}), while Linq itself "
            "still has them: delete them there too. Receivers go on keeping what Linq sends, backups what they hold."
        )


def parser() -> Parser:
    """Return the parser of the options."""
    made = Parser(description="Remove one person from a DuckDB file and from received events.", allow_abbrev=False)
    made.add_argument(
        "--phone-number", action="append", default=[], metavar="N", help="forget whoever has this number (repeatable)"
    )
    made.add_argument(
        "--email", action="append", default=[], metavar="E", help="forget whoever has this address (repeatable)"
    )
    made.add_argument("--contact-id", type=int, metavar="N", help="forget this contact, its number and its address")
    made.add_argument("--database", default=settings.DATABASE, metavar="PATH", help="the DuckDB file [%(default)s]")
    made.add_argument(
        "--events",
        metavar="DIR",
        help="also clean the Parquet files in this folder or URL, and the journal beside them",
    )
    made.add_argument(
        "--journal",
        action="append",
        type=journal_path,
        default=[],
        metavar="DIR",
        help="also clean the receiver's journal in this folder (repeatable)",
    )
    made.add_argument("--dry-run", action="store_true", help="count what would be removed, and change nothing")
    made.add_argument("--json", action="store_true", help="print the counts as one JSON object")
    return made


if __name__ == "__main__":
    run_command(main)
