"""How a sync shows itself: a progress bar while it runs, then a sentence and a table, or one JSON object."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from linq_source.context import Summary
from linq_source.event_tables import ALL_TABLES, EVENT_TABLES
from linq_source.printable import printable
from linq_source.runner import EventResult, Result
from linq_source.sync import Sync
from linq_source.tables import TABLES
from linq_source.webhook.event_loader import EventSummary


def as_json(result: Result) -> str:
    """Return a result as the JSON object that `--json` promises, one line."""
    summary = result.summary
    document = {
        "requests": result.requests,
        "seconds": round(result.seconds, 3),
        "chats_listed": summary.chats_listed,
        "chats_read": summary.chats_read,
        "rows": _rows(result),
        "retries": result.retries,
        "rejected": summary.rejected,
        "unread_times": summary.unread_times,
        "skipped": summary.skipped,
        "exit_code": result.exit_code,
        "error": str(summary.failure) if summary.failure else None,
    }
    return json.dumps(document)


def events_as_json(result: EventResult) -> str:
    """Return what a load of events did as one JSON object, one line."""
    summary = result.summary
    document = {
        "seconds": round(result.seconds, 3),
        "files": summary.files,
        "events": summary.events,
        "duplicates": summary.duplicates,
        "misfits": summary.misfits,
        "rows": {name: summary.rows.get(name, 0) for name in EVENT_TABLES},
        "skipped": summary.skipped,
        "exit_code": result.exit_code,
        "error": None,
    }
    return json.dumps(document)


def _rows(result: Result) -> dict[str, int]:
    rows = {name: result.summary.rows.get(name, 0) for name in TABLES}
    if result.events:
        rows |= {name: result.events.rows.get(name, 0) for name in EVENT_TABLES}
    return rows


def events_sentence(summary: EventSummary) -> str:
    """Return what a load of events did, for a person."""
    if summary.empty_place is not None:
        place = printable(summary.empty_place)
        return f"Loaded no events: no files yet in {place}; the receiver writes one every minute (--flush-seconds)."
    again = f" ({summary.duplicates:,} more came again)" if summary.duplicates else ""
    return f"Loaded {counted(summary.events, 'event')} from {counted(summary.files, 'file')}{again}."


def counted(count: int, noun: str) -> str:
    """Return a number of things: `1 chat`, `4,603 chats`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def print_events_problems(summary: EventSummary) -> None:
    """Print on standard error what was skipped or did not fit, a sentence each."""
    for line in [*_skipped(summary), *_misfits(summary)]:
        print(line, file=sys.stderr)  # noqa: T201


def _skipped(summary: Summary | EventSummary) -> list[str]:
    return [f"Skipped: {printable(sentence)}." for sentence in summary.skipped]


def _misfits(summary: EventSummary) -> list[str]:
    if not summary.misfits:
        return []
    values = f"{counted(summary.misfits, 'value')} of events"
    return [f"{values} could not be fitted to a column: null stands there, and webhook_events.data has all."]


def print_result(result: Result, where: str, stored: dict[str, int] | None = None) -> None:
    """Print a sentence and a table for a person: rows written by this sync, and rows stored where that is known."""
    from rich.console import Console
    from rich.table import Table as RichTable

    summary = result.summary
    console = Console(soft_wrap=True, highlight=False)
    rows = _rows(result)
    if result.events:
        console.print(events_sentence(result.events), markup=False)
    written = summary.rows.total()
    console.print(
        f"Listed {counted(summary.chats_listed, 'chat')}, read {_read(summary)}"
        f"{_reasons(summary)}, and wrote {counted(written, 'row')} to {where} "
        f"in {result.seconds:.1f} s with {counted(result.requests, 'request')}.",
        markup=False,
    )
    grid = RichTable(box=None, pad_edge=False)
    grid.add_column("table")
    grid.add_column("written", justify="right")
    if stored:
        grid.add_column("stored", justify="right")
    for name in ALL_TABLES:
        if rows.get(name) or (stored or {}).get(name):
            cells = [name, f"{rows.get(name, 0):,}"]
            grid.add_row(*cells, *([f"{stored.get(name, 0):,}"] if stored else []))
    if grid.row_count:
        console.print(grid)


def print_problems(result: Result) -> None:
    """Print on standard error what was skipped, rejected, stopped or failed, a sentence each."""
    failure = result.summary.failure
    lines = [str(failure)] if failure else []
    lines += left_out(result)
    if result.signal and not failure:
        lines.append("Stopped on request. What was complete is stored; the next run goes on from there.")
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201


def left_out(result: Result) -> list[str]:
    """Return what is not in the tables although the sync went through, a sentence each."""
    summary = result.summary
    lines = _skipped(summary)
    if summary.rejected:
        rows = counted(summary.rejected, "row")
        lines.append(f"{rows} could not be fitted to a column; the table rejected_rows says which, and why.")
    if summary.unread_times:
        lines.append(f"{counted(summary.unread_times, 'time')} could not be read: null stands there.")
    return lines + (_misfits(result.events) if result.events else [])


def _read(summary: Summary) -> str:
    due = summary.reasons.total()
    if summary.chats_read < due:  # it was stopped, or a chat was gone
        return f"{summary.chats_read:,} of the {due:,} that were due"
    return f"{summary.chats_read:,} of them"


def _reasons(summary: Summary) -> str:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in summary.reasons.most_common())
    return f" ({reasons})" if reasons else ""


@contextmanager
def progress(sync: Sync, *, shown: bool) -> Iterator[None]:
    """Draw a progress bar on standard error while the sync runs: chats, messages, requests a second, time left."""
    if not shown or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    class Retries(ProgressColumn):
        # Drawn anew all the time: while Linq gives no answer nothing else moves.
        def render(self, _: Task) -> Text:
            return Text(retried(sync.reader.counters.retries))

    columns = (BarColumn(bar_width=16), TextColumn("{task.description}"), Retries())
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading lists", total=None)

        def update(summary: Summary) -> None:
            seconds = time.monotonic() - started
            status = describe(summary, sync.reader.counters.requests, seconds)
            bar.update(task, description=status, total=summary.chats_to_read or None, completed=summary.chats_done)

        sync.on_progress = update
        yield


def retried(count: int) -> str:
    """Return what a progress bar says of requests that had to be sent again."""
    return f"({counted(count, 'request')} sent again)" if count else ""


def describe(summary: Summary, requests: int, seconds: float) -> str:
    """Return what a progress bar says, in less than 64 characters: `40 of 160 chats, 4,603 messages, ...`."""
    done, total = summary.chats_done, summary.chats_to_read
    if not total:
        return "Reading lists"
    if done == total:
        return f"Storing, {summary.messages_read:,} messages read"
    left = seconds * (total - done) / done if done else 0.0
    clock = f"{left // 60:.0f}:{left % 60:02.0f} left" if done else "starting"
    rate = requests / max(seconds, 0.1)
    return f"{done:,} of {total:,} chats, {summary.messages_read:,} messages, {rate:.0f} requests/s, {clock}"
