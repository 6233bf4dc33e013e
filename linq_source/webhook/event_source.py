"""`linq_events`: the dlt source of what receivers wrote, for our commands and for anyone's own pipeline."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import dlt
from dlt.common.typing import TSecretStrValue
from dlt.extract.resource import DltResource

from linq_source.event_tables import EVENT_TABLES
from linq_source.forgotten import Gate
from linq_source.redact import make_redactor
from linq_source.resources import open_memory, with_tables
from linq_source.rows import Batch
from linq_source.webhook.event_loader import EventLoader

log = logging.getLogger("linq_source.webhook")


@dlt.source(name="linq_events", section="linq")
def linq_events(
    directory: str = dlt.config.value,
    redact: str | Sequence[str] | None = None,
    redact_key: TSecretStrValue | None = None,
) -> tuple[DltResource, ...]:
    """Webhook events from the Parquet files below `directory` (or a URL): each event once, and the tables of them.

    Files that were loaded are not read again. What was left out is named in the log, as a warning. `redact` and
    `redact_key` are those of `linq_source`.
    """
    gate = Gate(make_redactor(redact, redact_key), redact_key)
    make = partial(EventLoader, directory, gate)
    make()  # so that a folder that is not there is told at once
    return _resources(make, in_slices=False)


@dlt.source(name="linq_events", section="linq")
def events_source(loader: EventLoader) -> tuple[DltResource, ...]:
    """The same source around a loader that outlives one load: each run writes its next slice."""
    return _resources(lambda: loader, in_slices=True)


def _resources(make_loader: Callable[[], EventLoader], *, in_slices: bool) -> tuple[DltResource, ...]:
    parent = dlt.resource(_batches, name="events", selected=False)(make_loader, in_slices=in_slices)
    return with_tables(parent, EVENT_TABLES.values())


def _batches(make_loader: Callable[[], EventLoader], *, in_slices: bool) -> Iterator[Batch]:
    memory, loader, selected = open_memory(), make_loader(), set(dlt.current.source().selected_resources)
    if in_slices:
        _trust_keys()
    yield from loader.next_slice(memory, selected, in_slices=in_slices)
    if not in_slices:
        for sentence in loader.summary.skipped:
            log.warning("Skipped: %s", sentence)


def _trust_keys() -> None:
    """Have dlt not number all rows by key as it merges, which takes long in a DuckDB file.

    A loader yields each key once in a load, and there a copy into the staging table cannot be made twice: over a
    network it is made again when the word that it was made is lost. In a pipeline of anyone's own several sources
    may share a load.
    """
    if dlt.current.pipeline().destination.destination_type != "dlt.destinations.duckdb":
        return
    once: Any = {"disposition": "merge", "strategy": "delete-insert", "deduplicated": True}
    for name, resource in dlt.current.source().selected_resources.items():
        if name in EVENT_TABLES:
            resource.apply_hints(write_disposition=once)
