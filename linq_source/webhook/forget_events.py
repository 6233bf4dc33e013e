"""Takes people out of what receivers keep: journal and Parquet files. Each step can be killed and run again."""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock, Timeout

from linq_source.changes import texts
from linq_source.errors import DestinationError, LockedError
from linq_source.forgotten import Forgotten
from linq_source.strict_json import BrokenBodyError, decode
from linq_source.values import integer_or_none
from linq_source.webhook import store
from linq_source.webhook.event import UnreadableEventError, read_event
from linq_source.webhook.event_files import UnusableFileError, open_files, read_events
from linq_source.webhook.event_rows import GONE, kept_of, keyed, without_forgotten
from linq_source.webhook.journal import LOCK_NAME
from linq_source.webhook.parquet import as_parquet
from linq_source.webhook.targets import LocalFolder, open_target, place_of

_LIKE_NUMBERS = re.compile(r"\+?\d[\d ().-]{5,22}\d")
_LIKE_IDS = re.compile(r"id[\"']?\s*[:=]\s*[\"']?(\d{1,19})\b")


@contextmanager
def journal_held(folder: Path) -> Iterator[None]:
    """Hold a journal as its receiver does; raises LockedError while that is at work.

    Raises DestinationError where its folder cannot be written.
    """
    lock = FileLock(folder / LOCK_NAME, mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(
            f"A receiver is at work in {folder}: stop it, forget, and start it again. What Linq sends meanwhile it "
            "sends again."
        ) from None
    except OSError as error:
        raise DestinationError(f"The journal's folder {folder} cannot be written: {error.strerror}.") from None
    try:
        yield
    finally:
        lock.release()


def events_in_journal(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Yield the type and the data of each event in a journal that is held, of those in conflict too.

    Raises DestinationError where it cannot be read.
    """
    with _opened(folder) as connection:
        yield from connection.execute("select event_type, data from events")
        for (body,) in connection.execute("select body from conflicts"):
            with suppress(UnreadableEventError, RecursionError):
                event = read_event(body)
                yield event.event_type, event.data


def events_in_files(directory: str) -> Iterator[tuple[str, str | None]]:
    """Yield the type and the data of each event in the files that can be read."""
    files, place = open_files(directory), place_of(directory)
    for name in files.names():
        with suppress(UnusableFileError):
            for part in read_events(files, name, place=place):
                yield from zip(texts(part, "event_type"), part["data"].to_pylist(), strict=True)


def forget_in_journal(folder: Path, forgotten: Forgotten, *, is_dry: bool) -> Counter[str]:
    """Remove people from a journal that is held, and overwrite what they leave; return what was removed.

    Raises DestinationError where it cannot be written.
    """
    counts = Counter[str]()
    with _opened(folder) as connection:
        connection.execute("pragma secure_delete=on")
        with store.transaction(connection):
            _forget_events(connection, forgotten, counts, is_dry=is_dry)
            for table in ("conflicts", "rejects"):
                _forget_bodies(connection, table, forgotten, counts, is_dry=is_dry)
        if not is_dry:
            connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")
    return counts


@contextmanager
def _opened(folder: Path) -> Iterator[sqlite3.Connection]:
    path = folder / store.FILE_NAME
    try:
        connection = store.open_for_writing(path)
        try:
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise DestinationError(f"The journal {path} cannot be written: {error}.") from None


def _forget_events(
    connection: sqlite3.Connection, forgotten: Forgotten, counts: Counter[str], *, is_dry: bool
) -> None:
    found = connection.execute("select seq, event_type, data, event_id, fingerprint from events").fetchall()
    for seq, event_type, data, event_id, fingerprint in found:
        kept = kept_of(forgotten, event_type, data)
        if kept == data:
            continue
        counts["events removed" if kept is GONE else "events changed"] += 1
        if not is_dry and kept is GONE:
            connection.execute("delete from events where seq = ?", [seq])
        elif not is_dry:
            # One that Linq has sent once more since it was changed takes its place.
            connection.execute(
                "update or replace events set data = ?, event_id = ?, fingerprint = ? where seq = ?",
                [kept, *keyed(forgotten, event_id, fingerprint), seq],
            )


def _forget_bodies(
    connection: sqlite3.Connection, table: str, forgotten: Forgotten, counts: Counter[str], *, is_dry: bool
) -> None:
    for rowid, body in connection.execute(f"select rowid, body from {table}").fetchall():
        try:
            is_theirs = _is_theirs(decode(body), forgotten)
        except (BrokenBodyError, RecursionError):
            is_theirs = _is_theirs_as_text(body.decode("utf-8", "replace"), forgotten)
        if is_theirs:
            counts[f"{table} removed"] += 1
            if not is_dry:
                connection.execute(f"delete from {table} where rowid = ?", [rowid])


def _is_theirs(document: Any, forgotten: Forgotten) -> bool:
    """Whether a whole body tells of them. It need not be an event: some were refused since they are none."""
    body = document if isinstance(document, dict) else {}
    kind = next((body[name] for name in ("event_type", "event") if isinstance(body.get(name), str)), "")
    if any(forgotten.event(kind, each) != each for each in (document, body.get("data"))):
        return True
    ids = {"chat": forgotten.chats, "contact": forgotten.contacts}
    ids |= dict.fromkeys(("message", "chat_message", "associated_message"), forgotten.messages)
    # What an id without a name is the id of, only the type can say.
    return _has_one_of(document, ids if kind else ids | {"data": _all_ids(forgotten)}, "data")


def _has_one_of(document: Any, ids: Mapping[str, Set[int]], owner: str) -> bool:
    """Whether a document holds one of these ids, each under the name of what it is the id of."""
    if isinstance(document, list):
        return any(_has_one_of(each, ids, owner) for each in document)
    if not isinstance(document, dict):
        return False
    for name, value in document.items():
        if isinstance(value, dict | list):
            if _has_one_of(value, ids, name):
                return True
        elif name == "id" or name.endswith("_id"):
            about = owner if name == "id" else name.removesuffix("_id")
            if integer_or_none(value) in ids.get(about, ()):
                return True
    return False


def _is_theirs_as_text(text: str, forgotten: Forgotten) -> bool:
    if not _all_ids(forgotten).isdisjoint(map(int, _LIKE_IDS.findall(text))):
        return True
    return forgotten.is_in(re.findall(r"[^\s\"',:;{}\[\]<>]+", text) + _LIKE_NUMBERS.findall(text))


def _all_ids(forgotten: Forgotten) -> set[int]:
    return forgotten.chats | forgotten.contacts | forgotten.messages


def forget_in_files(directory: str, forgotten: Forgotten, *, is_dry: bool) -> tuple[Counter[str], list[str]]:
    """Write those files anew that tell of people; return what was removed, and which files could not be read."""
    counts, skipped = Counter[str](), list[str]()
    files, target, place = open_files(directory), open_target(directory), place_of(directory)
    for name in files.names():
        try:
            parts = list(read_events(files, name, place=place))
        except UnusableFileError as error:
            skipped.append(f"{name} in {place}: {error}; remove it by hand if it may tell of them")
            continue
        if not parts:
            continue
        before = pa.concat_tables(parts)
        after = without_forgotten(before, forgotten)
        if after.equals(before):
            continue
        counts["files written anew"] += 1
        counts["events removed"] += before.num_rows - after.num_rows
        counts["events changed"] += _changed(before, after)
        if not is_dry:
            target.put(name, as_parquet(after))
    if isinstance(target, LocalFolder) and not is_dry:
        for torn in target.folder.rglob(".*.parquet.tmp"):
            torn.unlink(missing_ok=True)
    return counts, skipped


def _changed(before: pa.Table, after: pa.Table) -> int:
    old = dict(zip(before["seq"].to_pylist(), before["data"].to_pylist(), strict=True))
    new = zip(after["seq"].to_pylist(), after["data"].to_pylist(), strict=True)
    return sum(old[seq] != data for seq, data in new)
