"""The doctor: looks at all that a sync needs and leaves, changes nothing, and says what to do about it."""

import asyncio
import shlex
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import dlt
from packaging.requirements import Requirement

from linq_source import listing, settings
from linq_source.accounts import (
    ADVICE,
    CHATS_PROOF,
    Kinship,
    are_known_contacts,
    are_others_chats,
    kinship,
    number_ids,
    numbers_proof,
)
from linq_source.changes import live
from linq_source.client import LinqClient
from linq_source.errors import ForbiddenError, LinqError, LockedError, UsageError
from linq_source.loading import Target, plain
from linq_source.memory import Memory
from linq_source.pages import Listed
from linq_source.process import locked
from linq_source.resources import memory_of
from linq_source.rows import FORGOTTEN_REASON
from linq_source.sync_output import counted
from linq_source.tables import CHATS, CONTACTS, MESSAGES, PHONE_NUMBERS, REJECTED_ROWS
from linq_source.values import integer_or_none

DISTRIBUTION = "linq-source"
STALE = timedelta(days=2)
"""No chat was read for so long, nor for twice the hours of a recheck: then no sync runs any more."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    is_well: bool
    sentence: str
    advice: str = ""
    """What to do, where it is not well."""

    def as_json(self) -> dict[str, Any]:
        """The finding as a JSON object."""
        return asdict(self)


def examine(
    make_client: Callable[[], LinqClient],
    target: Target,
    *,
    database: Path | None = None,
    recheck_hours: float = settings.RECHECK_HOURS,
) -> Iterator[Finding]:
    """Yield a finding for each thing that a sync into a target needs. A failure is a finding, not an error.

    `database` is the target's file, if it is one: it is not created here. `recheck_hours` is the setting of syncs.
    """
    yield versions()
    numbers = yield from _account(make_client)
    to_do = _Commands(database)
    if database and not database.exists():
        yield Finding("destination", False, f"There is no database {database} yet.", f"{to_do.sync}: it creates it.")
        return
    yield lock(target)

    def look(memory: Memory) -> Iterator[Finding]:
        if numbers:
            yield from _belonging(memory, make_client, numbers)
        yield from _stored(memory, recheck_hours, to_do)

    yield from _destination(target, look)


class _Commands:
    """What to run, with the database that was named."""

    def __init__(self, database: Path | None) -> None:
        named = f" --database {shlex.quote(str(database))}" if database else ""
        self.sync = f"Run a sync, pipelines/linq_to_duckdb.py{named}" if database else "Run a sync"
        self.compare = (
            f"Compare with Linq: pipelines/audit.py{named}, with --repair to have them read whole by the next sync."
            if database
            else "Run a sync with --full-refresh: it reads every chat whole."
        )


def versions() -> Finding:
    """What is installed, and whether it is what this release was tried with."""
    wanted = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]
    wanted = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    found = {each.name: metadata.version(each.name) for each in wanted}
    wrong = [
        f"{each.name} {found[each.name]} (wanted {each.specifier})"
        for each in wanted
        if not each.specifier.contains(found[each.name], prereleases=True)
    ]
    shown = ", ".join(f"{name} {found[name]}" for name in ("dlt", "duckdb", "pyarrow", "httpx") if name in found)
    if wrong:
        return Finding(
            "versions", False, f"Installed beside {DISTRIBUTION}: {', '.join(wrong)}.", "Install it again with pip."
        )
    return Finding("versions", True, f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)} with {shown}.")


def _account(make_client: Callable[[], LinqClient]) -> Generator[Finding, None, Listed | None]:
    async def read() -> tuple[Listed, list[Any]]:
        async with make_client() as client:
            numbers = await listing.phone_numbers(client)
            return numbers, (await listing.webhook_subscriptions(client)).rows

    try:
        numbers, subscriptions = asyncio.run(read())
    except LinqError as error:
        yield Finding("token", False, str(error), "Set it right, then run the doctor again.")
        return None
    yield Finding("token", True, "Linq accepts the token.")
    if numbers.rows:
        yield Finding("numbers", True, f"The organisation has {counted(len(numbers.rows), 'phone number')}.")
    else:
        yield Finding(
            "numbers", False, "Linq lists no phone number.", "Ask your Linq representative what the token may read."
        )
    yield _subscriptions([row for row in subscriptions if isinstance(row, dict)])
    return numbers


def _belonging(memory: Memory, make_client: Callable[[], LinqClient], numbers: Listed) -> Iterator[Finding]:
    """Say where a sync would be refused because the tables hold another account than the token reads."""
    stored = memory.rows(PHONE_NUMBERS)
    found, proof = kinship(stored, numbers), numbers_proof(live(stored).num_rows)
    if found is Kinship.DOUBTFUL:
        lists = asyncio.run(_chats(make_client, numbers))
        found, proof = Kinship.OTHER if lists and are_others_chats(memory, lists) else Kinship.SAME, CHATS_PROOF
    if found is Kinship.OTHER and not asyncio.run(_has_known_contact(memory, make_client)):
        yield Finding("account", False, f"The tables hold another account than the token reads: {proof}.", ADVICE)


async def _chats(make_client: Callable[[], LinqClient], numbers: Listed) -> dict[str, list[object]]:
    """Return the chats of each number; nothing where one of the lists is not proven, or fails."""
    try:
        async with make_client() as client:
            lists = {number: await listing.chats(client, number) for number in number_ids(numbers)}
    except LinqError:
        return {}
    is_proven = all(each.is_clean for each in lists.values())
    return {number: each.rows for number, each in lists.items()} if is_proven else {}


async def _has_known_contact(memory: Memory, make_client: Callable[[], LinqClient]) -> bool:
    """Return whether a stored contact is listed; also where that cannot be told, since no sync is refused then."""
    try:
        async with make_client() as client:
            return are_known_contacts(memory, await listing.contacts(client))
    except ForbiddenError:
        return False
    except LinqError:
        return True


def _subscriptions(rows: list[dict[str, Any]]) -> Finding:
    idle = [integer_or_none(row.get("id")) or "unknown" for row in rows if row.get("active") is False]
    if idle:
        return Finding(
            "subscriptions",
            False,
            f"Webhook subscriptions that are not active: {', '.join(map(str, idle))}.",
            "Run pipelines/webhook_subscribe.py --url ... --check for the reason.",
        )
    if not rows:
        return Finding("subscriptions", True, "There is no webhook subscription: changes are found by syncs alone.")
    return Finding("subscriptions", True, f"{counted(len(rows), 'webhook subscription')}, active.")


def lock(target: Target) -> Finding:
    """Whether a run is at work on this machine."""
    try:
        if target.lock_path.parent.is_dir() and not target.lock_path.exists():  # nor is it made here
            return Finding("lock", True, "No run is at work on this machine.")
        with locked(target.lock_path):
            return Finding("lock", True, "No run is at work on this machine.")
    except LockedError:
        return Finding("lock", True, "A run is at work: what follows may change under our eyes.")
    except LinqError as error:
        return Finding("lock", False, str(error), "Set it right, then run the doctor again.")


def _destination(target: Target, look: Callable[[Memory], Iterator[Finding]]) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="linq_source_") as folder:
        try:
            pipeline = dlt.pipeline(
                target.pipeline_name,
                destination=target.destination,
                dataset_name=target.dataset_name,
                pipelines_dir=folder,
            )
            with target.hold(), memory_of(pipeline) as memory:
                findings = [*look(memory)]
        except LinqError as error:
            yield Finding("destination", False, str(error), "Set it right, then run the doctor again.")
            return
        except Exception as error:  # noqa: BLE001  # whatever a driver raises is a finding
            found = plain(error, Path(folder), target.destination.destination_name)
            sentence = str(found).split(" What was committed")[0]
            advice = (
                "Then run the doctor again."
                if isinstance(found, UsageError)
                else "See whether it is up, and the credentials right."
            )
            yield Finding("destination", False, sentence, advice)
            return
    yield from findings


def _stored(memory: Memory, recheck_hours: float, to_do: _Commands) -> Iterator[Finding]:
    if not memory.is_stored(MESSAGES):
        yield Finding(
            "destination", False, "It can be reached, and holds no tables yet.", f"{to_do.sync}: it creates them."
        )
        return
    counts = {table.name: memory.live_count(table) for table in (PHONE_NUMBERS, CHATS, MESSAGES, CONTACTS)}
    held = ", ".join(counted(count, name.replace("_", " ").removesuffix("s")) for name, count in counts.items())
    if not counts[PHONE_NUMBERS.name]:
        yield Finding(
            "destination", False, f"It can be reached, and holds {held}: no sync has come to its end yet.",
            f"{to_do.sync}, and see what it says.",
        )  # fmt: skip
        return
    yield Finding("destination", True, f"It can be reached, and holds {held}.")
    yield _pending(memory, recheck_hours, to_do)
    yield _whole(memory, to_do)
    rejected = memory.rows(REJECTED_ROWS, f"coalesce(reason, '') <> '{FORGOTTEN_REASON}'").num_rows
    if rejected:
        yield Finding(
            "rejected rows",
            False,
            f"{counted(rejected, 'row')} could not be fitted to a column.",
            f"Look at table_name, reason and row_json in {REJECTED_ROWS.name}; they are tried again whenever read.",
        )
    else:
        yield Finding("rejected rows", True, "Every row fits its columns.")


def _pending(memory: Memory, recheck_hours: float, to_do: _Commands) -> Finding:
    cursors, chats = memory.chat_syncs(), memory.live_ids(CHATS)
    unread = len(chats - cursors.keys())
    marked = len(memory.marks())
    newest = max((cursor.synced_at for cursor in cursors.values() if cursor.synced_at), default=None)
    waiting = [f"not read to its end: {counted(unread, 'chat')}"] * bool(unread)
    waiting += [f"marked by events and not read since: {counted(marked, 'chat')}"] * bool(marked)
    last = f"The newest read of a chat was at {newest:%Y-%m-%d %H:%M} UTC" if newest else "No chat was read yet"
    if waiting:
        return Finding(
            "pending work", False, f"{last}; {', '.join(waiting)}.", f"{to_do.sync}: it goes on from there."
        )
    if newest and datetime.now(UTC) - newest > max(STALE, 2 * timedelta(hours=recheck_hours)):
        return Finding(
            "pending work", False, f"{last}; each is due every {recheck_hours:g} hours.",
            "See whether the scheduler still starts syncs.",
        )  # fmt: skip
    return Finding("pending work", True, f"{last}; no chat waits.")


def _whole(memory: Memory, to_do: _Commands) -> Finding:
    stored, rejected = memory.counts(MESSAGES, "chat_id"), memory.rejected_messages()
    read = [cursor for cursor in memory.chat_syncs().values() if cursor.listing_hash]
    differing = sum(
        cursor.listed_count != stored.get(cursor.chat_id, 0) + rejected.get(cursor.chat_id, 0) for cursor in read
    )
    if differing:
        return Finding(
            "counts", False, f"Of {counted(differing, 'chat')} other messages are stored than Linq has listed.",
            to_do.compare,
        )  # fmt: skip
    return Finding("counts", True, "Of every chat as many messages are stored as Linq has listed.")
