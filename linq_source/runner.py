"""One whole sync as the commands run it: lock, fresh dlt folder, commits in slices, signals, exit code."""

import copy
import errno
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.extract.source import DltSource

from linq_source import settings
from linq_source.analytics.views import create_views
from linq_source.context import Summary
from linq_source.errors import ConfigurationError, DestinationError, LinqError
from linq_source.process import deadline, fresh_folder, locked, signals
from linq_source.source import sync_source
from linq_source.sync import Sync
from linq_source.webhook.event_loader import EventLoader, EventSummary
from linq_source.webhook.event_source import events_source

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a sync writes, and how it commits."""

    destination: Any
    """A dlt destination."""
    lock_path: Path
    hold: Callable[[], AbstractContextManager[None]] = nullcontext
    """Entered under the lock, before any request, until the run ends. Raises DestinationError when the destination
    cannot be used."""
    dataset_name: str = settings.DATASET_NAME
    pipeline_name: str = settings.PIPELINE_NAME
    commit_every: int = settings.COMMIT_EVERY
    """Messages that a killed run repeats at most; about two fifths as many make one commit."""
    max_minutes: float | None = None


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
            _load(sync, target, folder, loads, lambda: sync_source(sync, target.commit_every))
        finally:
            sync.close()

    def stop() -> None:
        if events:
            events.stop()
        sync.stop()

    def stop_in_time() -> None:
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
    with (
        signals(stop) as caught,
        locked(target.lock_path),
        fresh_folder(target.lock_path) as folder,
        _quiet_dlt(),
        # dlt handles signals itself when it runs on the main thread, and would drop the slice in work.
        ThreadPoolExecutor(1, thread_name_prefix="linq-load") as pool,
        target.hold(),
    ):
        pool.submit(work, folder).result()
    return caught


def _load_events(events: EventLoader, target: Target, folder: Path, loads: list[str]) -> None:
    destination = copy.copy(target.destination)
    # Two pipelines that share a staging dataset empty it under each other's hands.
    destination.config_params = destination.config_params | {"staging_dataset_name_layout": "%s_staging_events"}
    target = replace(target, destination=destination, pipeline_name=f"{target.pipeline_name}_events")
    _load(events, target, folder, loads, lambda: events_source(events))


def _load(
    work: Sync | EventLoader, target: Target, folder: Path, loads: list[str], make_source: Callable[[], DltSource]
) -> None:
    """Run a source again and again until its work is finished; each run is one commit."""
    try:
        pipeline = dlt.pipeline(
            target.pipeline_name,
            destination=_configured_once(target.destination),
            dataset_name=target.dataset_name,
            pipelines_dir=str(folder),
        )
        while not work.is_finished:
            loads += pipeline.run(make_source(), loader_file_format=_file_format(target.destination)).loads_ids
        dialect = pipeline.destination.capabilities().sqlglot_dialect
        if dialect and work.needs_views:
            with pipeline.sql_client() as client:
                create_views(client, dialect)
    except Exception as error:
        raise _plain(error, folder) from error


def _file_format(destination: Any) -> Any:
    # dlt 1.31 copies CSV into PostgreSQL such that an empty text becomes null, and a row with one always differs.
    return "insert_values" if destination.destination_type.rpartition(".")[2] == "postgres" else None


def _configured_once(destination: Any) -> Any:
    # dlt asks a destination for its capabilities some forty times a run, and looks up every setting in every
    # provider of configuration each time: a third of an idle sync.
    destination = copy.copy(destination)
    resolve = destination.configuration
    known: dict[str, Any] = {}

    def configuration(initial_config: Any, accept_partial: bool = False) -> Any:
        if not accept_partial:
            return resolve(initial_config)
        key = f"{type(initial_config)} {dict(initial_config or {})}"
        if key not in known:
            known[key] = resolve(initial_config, accept_partial)
        return known[key].copy()

    destination.configuration = configuration
    return destination


def _plain(error: BaseException, folder: Path) -> LinqError:
    """Return what lies behind one of dlt's wrapped errors, as an error with a sentence of its own."""
    chain = [error]
    while (deeper := chain[-1].__cause__ or chain[-1].__context__) and deeper not in chain:
        chain.append(deeper)
    for each in chain:
        if isinstance(each, LinqError):
            return each
        if isinstance(each, ConfigFieldMissingException):
            return ConfigurationError(
                f"The destination lacks settings: {', '.join(sorted(each.traces))}. Set them as dlt has them: in the "
                "environment (DESTINATION__...) or in .dlt/secrets.toml under [destination...]."
            )
    texts = "\n".join(map(str, chain))
    if (no_space := os.strerror(errno.ENOSPC)) in texts:
        file = re.search(rf'file "([^"]+)": {no_space}', texts)
        return DestinationError(
            f"The disk is full: {file[1] if file else folder} could not be written. What was committed before "
            "is kept; make room, and the next run goes on from there."
        )
    cause = chain[-1]
    first_line = next(iter(str(cause).strip().splitlines()), "")[:300].rstrip(".")
    return DestinationError(
        f"The destination failed: {type(cause).__name__}: {first_line}. What was committed before is kept, and "
        "the next run goes on from there."
    )


@contextmanager
def _quiet_dlt() -> Iterator[None]:
    # What dlt logs of a failing load comes back to us as an error as well, and is then said in a sentence.
    dlt_logger = logging.getLogger("dlt")

    def is_wanted(record: logging.LogRecord) -> bool:
        is_told = record.exc_info is not None or record.module == "load" or "native writer" in record.msg
        return not is_told or dlt_logger.level <= logging.INFO

    dlt_logger.addFilter(is_wanted)
    try:
        yield
    finally:
        dlt_logger.removeFilter(is_wanted)


def _exit_code(summary: Summary, caught: list[int]) -> int:
    if summary.failure:
        return summary.failure.exit_code
    if caught:
        return 128 + caught[0]
    return 3 if summary.skipped or summary.rejected else 0
