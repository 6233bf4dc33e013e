"""EventLoader: what receivers wrote and the destination does not hold yet, as batches of rows to write."""

from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa

from linq_source.changes import integers, texts
from linq_source.event_tables import CALLS, EVENT_FILES, EVENT_TABLES, WEBHOOK_EVENTS
from linq_source.forgotten import FORGOTTEN, Gate
from linq_source.memory import Memory
from linq_source.plan import check_redaction
from linq_source.redact import PREFIX
from linq_source.rows import Batch
from linq_source.tables import CHATS
from linq_source.webhook.event_files import UnusableFileError, open_files, read_events
from linq_source.webhook.event_rows import (
    Shaped,
    call_age,
    newest_calls,
    redact_events,
    shape_events,
    without_forgotten,
)
from linq_source.webhook.targets import place_of

SLICE_EVENTS = 200_000
"""Events of one commit; a loader that is killed repeats at most so many."""


@dataclass
class EventSummary:
    """What a loader did."""

    files: int = 0
    events: int = 0
    """Events that were new."""
    duplicates: int = 0
    """Events that came again."""
    misfits: int = 0
    """Values that fit no column; they are null there, and to be found in `webhook_events.data`."""
    rows: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    """What was left out, a sentence each."""
    empty_place: str | None = None
    """The folder or URL, where it holds no file at all."""


class EventLoader:
    """Loads the files of events below a folder or URL. Building it looks whether that is there.

    Events come through the `gate`: they do not tell of whom pipelines/forget.py has removed, and what a receiver
    wrote without redaction is redacted. Where the tables are redacted otherwise ConfigurationError is raised, unless
    it `may_redact_otherwise`. `option` is what the folder is named by.
    """

    def __init__(
        self,
        directory: str,
        gate: Gate | None = None,
        *,
        may_redact_otherwise: bool = False,
        option: str = "--directory",
    ) -> None:
        self.summary = EventSummary()
        self.is_finished = False
        self.is_stopped = False
        self.needs_views = False
        """Whether the views are to be created when all is loaded."""
        self._files = open_files(directory, option)
        self._place = place_of(directory)
        self._waiting: list[str] | None = None
        self._conflicts = 0
        self._gate = gate or Gate()
        self._may_redact_otherwise = may_redact_otherwise

    def stop(self) -> None:
        """Have the load end after the file in work. Safe from a signal handler."""
        self.is_stopped = True

    def next_slice(self, memory: Memory, selected: Set[str], *, in_slices: bool = True) -> Iterator[Batch]:
        """Yield batches until it is time to commit them, or all; then `is_finished`."""
        with memory:
            yield from self._slice(memory, selected, SLICE_EVENTS if in_slices else None)

    def _slice(self, memory: Memory, selected: Set[str], most: int | None) -> Iterator[Batch]:
        if self._waiting is None:
            loaded, names = memory.loaded_files(), self._files.names()
            self.summary.empty_place = None if names else self._place
            self._waiting = [name for name in reversed(names) if name not in loaded]
            if self._waiting:
                check_redaction(memory.chat_syncs(), self._gate.label, is_meant=self._may_redact_otherwise)
                self._gate.remember(memory.rows(FORGOTTEN).to_pylist())
                if self._gate.forgotten:
                    # What was taken for theirs by its events alone may have turned out to be a group.
                    self._gate.forgotten.chats -= set(integers(memory.rows(CHATS, "is_group"), "id"))
                missing = [table for table in EVENT_TABLES.values() if not memory.is_stored(table)]
                self.needs_views = bool(missing) or not memory.has_current_views()
                yield {table.name: table.schema.empty_table() for table in missing if table.name in selected}
        load = _Load(memory, self.summary)
        while self._waiting and not self.is_stopped:
            name = self._waiting.pop()
            try:
                for batch in load.file(name, self._read(name)):
                    yield {table: rows for table, rows in batch.items() if rows.num_rows}
            except UnusableFileError as error:
                shown = name.encode(errors="replace").decode()
                self.summary.skipped.append(f"{shown} in {self._place}: {error}; the other files were loaded")
            if most and load.events >= most:
                break
        yield load.calls()
        self._conflicts += load.conflicts
        self.is_finished = self.is_stopped or not self._waiting
        if self.is_finished and self._conflicts:
            self.summary.skipped.append(
                f"events in {self._place} that have the id of another event: {self._conflicts}; webhook_events keeps "
                "the first of each, the files both"
            )

    def _read(self, name: str) -> Iterator[pa.Table]:
        for table in read_events(self._files, name, place=self._place):
            if self._gate.forgotten:
                table = without_forgotten(table, self._gate.forgotten)
            yield redact_events(table, self._gate.redactor) if self._gate.redactor else table


class _Load:
    """One commit: what it has written so far counts as stored."""

    def __init__(self, memory: Memory, summary: EventSummary) -> None:
        self.events = 0
        self.conflicts = 0
        self._memory = memory
        self._summary = summary
        self._seen: dict[str, str] = {}
        self._held: list[pa.Table] = []
        self._now = datetime.now(UTC)

    def file(self, name: str, tables: Iterator[pa.Table]) -> Iterator[Batch]:
        """Yield the new rows of a file, then the note that it was loaded."""
        count = 0
        for events in tables:
            count += events.num_rows
            yield self._counted(shape_events(self._new(events), self._now))
        self.events += count
        self._summary.files += 1
        row = {"file_name": name, "event_count": count, "loaded_at": self._now}
        yield {EVENT_FILES.name: pa.Table.from_pylist([row], schema=EVENT_FILES.schema)}

    def _new(self, events: pa.Table) -> pa.Table:
        ids, prints = texts(events, "event_id"), texts(events, "fingerprint")
        known = self._memory.fingerprints(ids)
        keep = []
        for event_id, fingerprint in zip(ids, prints, strict=True):
            first = self._seen.get(event_id) or known.get(event_id)
            keep.append(first is None)
            is_other = first is not None and first != fingerprint
            self.conflicts += is_other and not str(first).startswith(PREFIX)  # which forget.py has changed
            if first is None:
                self._seen[event_id] = fingerprint
        if all(keep):
            return events
        self._summary.duplicates += keep.count(False)
        return events.filter(pa.array(keep, type=pa.bool_()))

    def _counted(self, shaped: Shaped) -> Batch:
        batch = shaped.batch
        if CALLS.name in batch:
            self._held.append(batch.pop(CALLS.name))
        self._summary.events += batch[WEBHOOK_EVENTS.name].num_rows
        self._summary.misfits += shaped.misfits.total()
        for name, rows in batch.items():
            self._summary.rows[name] += rows.num_rows
        return batch

    def calls(self) -> Batch:
        """Return the calls of all files so far, each once, where they are newer than what is stored."""
        if not self._held:
            return {}
        held, self._held = pa.concat_tables(self._held), []
        stored = self._memory.calls(list(dict.fromkeys(texts(held, "id"))))
        calls = newest_calls(held, {row["id"]: call_age(row["created_at"], row["event_id"]) for row in stored})
        self._summary.rows[CALLS.name] += calls.num_rows
        return {CALLS.name: calls} if calls.num_rows else {}
