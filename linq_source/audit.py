"""Audit: Linq's own counts beside what the tables hold, number by number and chat by chat.

It reads only lists (numbers, chats, contacts), never a message, so it costs no more than an idle sync. What it
cannot see: a chat that lost one message and kept a ghost of another.
"""

import asyncio
import tempfile
from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import dlt
from dlt.destinations.sql_client import SqlClientBase

from linq_source import listing, settings
from linq_source.accounts import number_ids
from linq_source.client import LinqClient
from linq_source.errors import ConfigurationError, ForbiddenError
from linq_source.files import files_of
from linq_source.forgotten import FORGOTTEN, Forgotten, is_forgotten, recall
from linq_source.memory import Memory
from linq_source.pages import Listed, identity
from linq_source.plan import ChatSync
from linq_source.rejects import rejected_identities
from linq_source.resources import memory_of
from linq_source.rows import CHILDREN
from linq_source.sql_text import literal
from linq_source.tables import (
    CHAT_PHONE_NUMBERS,
    CHAT_SYNCS,
    CHATS,
    CONTACTS,
    MESSAGES,
    PHONE_NUMBERS,
    REJECTED_ROWS,
    TABLES,
    Table,
)


@dataclass(frozen=True)
class Difference:
    """One thing of which Linq and the tables do not hold the same number."""

    what: str
    """phone_numbers, contacts, chats of a number, a chat, its messages, or rows that stand in a table twice."""
    id: int | str
    linq: int | None
    ours: int


@dataclass
class Findings:
    """What an audit found."""

    chats_compared: int = 0
    messages_compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    repaired: int = 0

    @property
    def exit_code(self) -> int:
        """3 where anything differs or could not be compared, else 0."""
        return 3 if self.differences or self.skipped else 0

    def as_json(self) -> dict[str, Any]:
        """The findings as a JSON object."""
        return {**asdict(self), "exit_code": self.exit_code}


@dataclass(frozen=True)
class Lists:
    """What Linq lists: numbers, contacts, and the chats of each number it answers for."""

    numbers: Listed
    contacts: Listed
    chats: dict[str, Listed]
    refused: list[int | None]

    def past(self, forgotten: Forgotten | None) -> Self:
        """Return the lists without what was forgotten, which no table holds."""
        if not forgotten:
            return self

        def kept(listed: Listed, path: str, name: str) -> Listed:
            rows = forgotten.body(path, {name: listed.rows})[name]
            return replace(listed, rows=[row for row in rows if not is_forgotten(row)])

        chats = {number: kept(listed, settings.CHATS, "data") for number, listed in self.chats.items()}
        return replace(self, contacts=kept(self.contacts, settings.CONTACTS, "contacts"), chats=chats)


async def read_lists(client: LinqClient, phone_numbers: Collection[str] = ()) -> Lists:
    """Read every list side by side; with `phone_numbers` the chats of these alone."""
    numbers = await listing.phone_numbers(client)
    ids = number_ids(numbers)
    if phone_numbers:
        ids = {number: number_id for number, number_id in ids.items() if number in phone_numbers}
    async with asyncio.TaskGroup() as group:
        contacts = group.create_task(listing.contacts(client))
        answers = {number: group.create_task(_chats(client, number)) for number in ids}
    chats = {number: found for number, answer in answers.items() if (found := answer.result())}
    return Lists(numbers, contacts.result(), chats, [ids[number] for number in ids if number not in chats])


async def _chats(client: LinqClient, number: str) -> Listed | None:
    try:
        return await listing.chats(client, number)
    except ForbiddenError:
        return None


def audit(
    make_client: Callable[[], LinqClient],
    destination: Any,
    dataset_name: str = settings.DATASET_NAME,
    *,
    repair: bool,
    phone_numbers: Collection[str] = (),
    redact_key: str | None = None,
) -> Findings:
    """Compare Linq's counts with the tables of a destination; with `repair`, have differing chats read whole.

    `phone_numbers` are those that syncs are restricted to, if they are.

    Raises ConfigurationError where rows of files are to be repaired, and what the client and the destination raise.
    """

    async def read() -> Lists:
        async with make_client() as client:
            return await read_lists(client, phone_numbers)

    lists = asyncio.run(read())
    with tempfile.TemporaryDirectory(prefix="linq_source_") as folder:
        pipeline = dlt.pipeline(
            settings.PIPELINE_NAME, destination=destination, dataset_name=dataset_name, pipelines_dir=folder
        )
        pipeline.sync_destination()
        with memory_of(pipeline) as memory:
            lists = lists.past(recall(memory.rows(FORGOTTEN).to_pylist(), redact_key))
            findings, doubtful, duplicated = _compare(lists, memory, sees_all=not phone_numbers)
        if repair and (doubtful or duplicated):
            if files_of(pipeline):
                raise ConfigurationError(
                    "--repair deletes rows, which files cannot: sync with --full-refresh instead."
                )
            with pipeline.sql_client() as client:
                findings.repaired = _repair(client, doubtful, duplicated)
    return findings


def _compare(lists: Lists, memory: Memory, *, sees_all: bool) -> tuple[Findings, set[int], dict[Table, list[Any]]]:
    findings = Findings(
        skipped=[f"phone number {number} (its id): Linq refused its chats (403)" for number in lists.refused]
    )
    duplicated = {
        table: keys for table in TABLES.values() if len(table.key) == 1 and (keys := memory.duplicated_keys(table))
    }
    findings.differences += [
        Difference(f"rows of {table.name} that stand there more than once", "", 0, len(keys))
        for table, keys in duplicated.items()
    ]
    for table, listed in ((PHONE_NUMBERS, lists.numbers), (CONTACTS, lists.contacts)):
        _count(findings, table.name, "", listed, memory.live_count(table), rejected_identities(memory, table))
    under, rejected = memory.counts(CHAT_PHONE_NUMBERS, "phone_number"), rejected_identities(memory, CHATS)
    ids = number_ids(lists.numbers)
    for number, listed in lists.chats.items():
        _count(findings, "chats of phone number", ids[number] or "", listed, under.get(number, 0), rejected)
    rows = [row for each in lists.chats.values() for row in each.rows]
    counted = {found.chat_id: found.message_count for row in rows if (found := listing.listing_of(row))}
    misfits = {found.chat_id for row in rows if identity(row) in rejected and (found := listing.listing_of(row))}
    doubtful = _compare_messages(findings, counted, memory)
    stored = memory.live_ids(CHATS)
    if sees_all and not lists.refused and all(each.is_clean for each in lists.chats.values()):
        ghosts = sorted(stored - counted.keys())
        findings.differences += [Difference("chat that Linq does not list", chat_id, 0, 1) for chat_id in ghosts]
    missing = sorted(counted.keys() - stored - misfits)
    findings.differences += [Difference("chat that is not stored", chat_id, 1, 0) for chat_id in missing]
    return findings, doubtful, duplicated


def _compare_messages(findings: Findings, counted: dict[int, int | None], memory: Memory) -> set[int]:
    """Compare the messages of each chat with how many Linq counts; return the chats that differ."""
    stored = memory.counts(MESSAGES, "chat_id")
    rejected = memory.rejected_messages()
    syncs = memory.chat_syncs()
    doubtful: set[int] = set()
    for chat_id, count in sorted(counted.items()):
        ours = stored.get(chat_id, 0) + rejected.get(chat_id, 0)
        expected = None if count is None else count + _remembered(syncs.get(chat_id))
        findings.chats_compared += 1
        findings.messages_compared += ours
        if expected is not None and expected != ours:
            findings.differences.append(Difference("messages of chat", chat_id, count, ours))
            doubtful.add(chat_id)
    return doubtful


def _remembered(sync: ChatSync | None) -> int:
    """Return by how much a chat's list is known to differ from Linq's count of it."""
    return sync.listed_count - sync.message_count if sync and sync.message_count is not None else 0


def _count(findings: Findings, what: str, which: int | str, listed: Listed, ours: int, rejected: Set[str]) -> None:
    """Compare a list, but for the rows that fit no column, with how many are stored of it."""
    if not listed.is_clean:
        findings.skipped.append(f"{what} {which}: the list kept changing while it was read".replace(" :", ":"))
        return
    linq = sum(identity(row) not in rejected for row in listed.rows)
    if linq != ours:
        findings.differences.append(Difference(what, which, linq, ours))


def _repair(client: SqlClientBase[Any], doubtful: Iterable[int], duplicated: dict[Table, list[Any]]) -> int:
    """Have the next sync read the chats whole, and write anew the rows that stand there more than once."""
    chats = sorted(doubtful)
    with client.begin_transaction():
        for table, keys in duplicated.items():
            chats += _chats_of(client, table, keys)
        if chats:
            name = client.make_qualified_table_name(CHAT_SYNCS.name)
            client.execute_sql(f"delete from {name} where chat_id in ({', '.join(map(str, chats))})")
        for table, keys in duplicated.items():
            name = client.make_qualified_table_name(table.name)
            for key in keys:
                client.execute_sql(f"delete from {name} where {table.key[0]} = %s", key)
    return len(set(chats)) + sum(map(len, duplicated.values()))


def _chats_of(client: SqlClientBase[Any], table: Table, keys: Iterable[Any]) -> list[int]:
    """Return the chats that are to be read whole, so that these rows are written anew once they are deleted."""
    name, messages = (client.make_qualified_table_name(each.name) for each in (table, MESSAGES))
    parents = dict(CHILDREN)
    if table in parents:
        source = f"{name} r join {messages} m on m.id = r.{parents[table]}"
    elif table in (MESSAGES, REJECTED_ROWS):
        source = f"{name} r"
    else:
        return []  # It is listed whole by every sync.
    dialect = client.capabilities.sqlglot_dialect
    wanted = ", ".join(literal(key, dialect) if isinstance(key, str) else str(key) for key in keys)
    sql = f"select distinct chat_id from {source} where r.{table.key[0]} in ({wanted}) and chat_id is not null"
    return [chat_id for (chat_id,) in client.execute_sql(sql) or []]
