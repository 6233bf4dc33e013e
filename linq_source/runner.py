"""One whole sync as the commands run it: lock, fresh dlt folder, commits in slices, signals, exit code."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from linq_source.context import Summary
from linq_source.loading import Target, apart, load, quiet_dlt
from linq_source.process import deadline, fresh_folder, locked, signals
from linq_source.source import sync_source
from linq_source.sync import Sync
from linq_source.webhook.event_loader import EventLoader, EventSummary
from linq_source.webhook.event_source import events_source

__all__ = ["EventResult", "Result", "Target", "run_events", "run_sync"]


@dataclass
class Result:
    """How a sync ended."""

    summary: Summary
    seconds: float
    requests: int
    retries: int
    exit_code: int
    signal: int | None = None
    loads: list[str] = field(default_factory=list)
    """Ids of the loads that were committed."""
    events: EventSummary | None = None
    """What was loaded of webhook events before, where that was asked for."""


@dataclass
class EventResult:
    """How a load of events ended."""

    summary: EventSummary
    seconds: float
    exit_code: int
    loads: list[str]


def run_sync(sync: Sync, target: Target, events: EventLoader | None = None) -> Result:
    """Run a sync to its end, committing as it goes; where `events` are given, they are loaded first and served.

    Raises LockedError when another run is at work on the same target, DestinationError when the destination
    fails. What Linq fails to deliver does not raise: the result's exit code and summary tell it, since what was
    complete until then is committed.
    """
    started = time.monotonic()
    loads: list[str] = []

    def work(folder: Path) -> None:
        if events:
            _load_events(events, target, folder, loads)
        try:
            load(sync, target, folder, loads, lambda: sync_source(sync, target.commit_every))
        finally:
            sync.close()

    def stop() -> None:
        if events:
            events.stop()
        sync.stop()

    def stop_in_time() -> None:
        if sync.is_finished:  # all is read, and what is left is to be loaded
            return
        sync.summary.skipped.append(
            f"the sync was stopped after {target.max_minutes:g} minutes (--max-minutes); the next run goes on from "
            "here"
        )
        stop()

    with deadline(target.max_minutes, stop_in_time):
        caught = _run(work, target, stop)
    counters = sync.reader.counters
    sync.summary.skipped[:0] = events.summary.skipped if events else []
    return Result(
        summary=sync.summary,
        events=events.summary if events else None,
        seconds=time.monotonic() - started,
        requests=counters.requests,
        retries=counters.retries,
        exit_code=_exit_code(sync.summary, caught),
        signal=caught[0] if caught else None,
        loads=loads,
    )


def run_events(events: EventLoader, target: Target) -> EventResult:
    """Load the files of events that the target does not hold yet, committing as it goes.

    Raises LockedError when another run is at work on the same target, DestinationError when the destination fails.
    """
    started = time.monotonic()
    loads: list[str] = []
    caught = _run(lambda folder: _load_events(events, target, folder, loads), target, events.stop)
    exit_code = 128 + caught[0] if caught else 3 if events.summary.skipped else 0
    return EventResult(events.summary, time.monotonic() - started, exit_code, loads)


def _run(work: Callable[[Path], None], target: Target, stop: Callable[[], None]) -> list[int]:
    """Do `work` in a fresh folder of dlt's, holding the lock; return the signals that came meanwhile."""
    target.check()
    with (
        signals(stop) as caught,
        locked(target.lock_path),
        fresh_folder(target.lock_path) as folder,
        quiet_dlt(),
        # dlt handles signals itself when it runs on the main thread, and would drop the slice in work.
        ThreadPoolExecutor(1, thread_name_prefix="linq-load") as pool,
        target.hold(),
    ):
        pool.submit(work, folder).result()
    return caught


def _load_events(events: EventLoader, target: Target, folder: Path, loads: list[str]) -> None:
    target = replace(apart(target, "events"), shard=None)
    load(events, target, folder, loads, lambda: events_source(events))


def _exit_code(summary: Summary, caught: list[int]) -> int:
    if summary.failure:
        return summary.failure.exit_code
    if caught:
        return 128 + caught[0]
    return 3 if summary.skipped or summary.rejected else 0
