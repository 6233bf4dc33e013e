"""Linq's tables as Dagster's assets: a partition for each shard, each run a whole sync with its lock and its commits.

dagster dev -f pipelines/dagster_linq.py     # needs SOURCES__LINQ__INTEGRATION_TOKEN

LINQ_DESTINATION, LINQ_DATASET, LINQ_DATABASE (for DuckDB), LINQ_SHARDS, LINQ_EVENTS (a folder or URL of webhook
events) and LINQ_RETRY_SECONDS may be set in the environment; docs/scheduling.md tells more.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from linq_source import settings
from linq_source.errors import ConfigurationError, LinqError, LockedError
from linq_source.event_tables import ALL_TABLES, EVENT_TABLES
from linq_source.shards import Shard
from linq_source.tables import Table

if TYPE_CHECKING:  # each of Dagster's processes reads this file, and only the one that syncs needs dlt
    from linq_source.context import Summary
    from linq_source.runner import Result, Target

DESTINATION = os.environ.get("LINQ_DESTINATION", "duckdb")
DATASET = os.environ.get("LINQ_DATASET", settings.DATASET_NAME)
DATABASE = Path(os.environ.get("LINQ_DATABASE", settings.DATABASE))
EVENTS = os.environ.get("LINQ_EVENTS")
RETRY_SECONDS = float(os.environ.get("LINQ_RETRY_SECONDS", "60"))

COUNT = Shard.parse(f"1/{os.environ.get('LINQ_SHARDS', '1')}").count
if COUNT > 1 and DESTINATION == "duckdb":
    raise ConfigurationError("LINQ_SHARDS: a DuckDB file takes one writing process; leave it out, or set it to 1.")
SHARDS = dg.StaticPartitionsDefinition([str(Shard(index, COUNT)) for index in range(1, COUNT + 1)])

ACCOUNT = ("phone_numbers", "contacts", "webhook_subscriptions")
CONVERSATIONS = (
    "chats", "chat_phone_numbers", "chat_handles",
    "messages", "message_reactions", "message_attachments", "chat_syncs",
)  # fmt: skip
GROUPS = {"account": ACCOUNT, "conversations": CONVERSATIONS} | ({"events": tuple(EVENT_TABLES)} if EVENTS else {})

STATUSES = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
AT_WORK = [dg.DagsterRunStatus[name] for name in STATUSES]


def asset_spec(table: Table, group: str) -> dg.AssetSpec:
    """Return what Dagster shows of a table before any run: what it holds, where, and its columns."""
    columns = [
        dg.TableColumn(column.name, str(column.type), description=column.description) for column in table.columns
    ]
    return dg.AssetSpec(
        dg.AssetKey(["linq", table.name]),
        group_name=group,
        description=table.description,
        kinds={"dlt", DESTINATION},
        metadata={"dagster/table_name": f"{DATASET}.{table.name}", "dagster/column_schema": dg.TableSchema(columns)},
    )


@dg.multi_asset(
    name="linq_tables",
    specs=[asset_spec(ALL_TABLES[name], group) for group, names in GROUPS.items() for name in names],
    partitions_def=SHARDS,
    retry_policy=dg.RetryPolicy(max_retries=3, delay=RETRY_SECONDS, backoff=dg.Backoff.EXPONENTIAL),
    pool="linq",
)
def linq_tables(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
    """Sync one shard. All tables belong to one run, since one reading of Linq fills them all."""
    from linq_source.sync_output import left_out

    try:
        result = sync(Shard.parse(context.partition_key), context.log.info)
    except LockedError as error:
        context.log.warning(str(error))
        raise dg.RetryRequested(max_retries=10, seconds_to_wait=RETRY_SECONDS) from error
    except LinqError as error:
        raise failure(error) from error
    figures: dict[str, Any] = {
        "requests": result.requests,
        "seconds": round(result.seconds, 3),
        "loads": len(result.loads),
        "load_ids": ", ".join(result.loads),
    }
    if gave_up := result.summary.failure:
        raise failure(gave_up, **figures) from gave_up
    if result.signal:  # not as Dagster's interruption, which its retry policy would start again
        raise dg.Failure("Stopped on request. What was complete is stored.", metadata=figures, allow_retries=False)
    for sentence in (sentences := left_out(result)):
        context.log.warning(sentence)
    rows = result.summary.rows + result.events.rows if result.events else result.summary.rows
    for key in context.selected_asset_keys:
        metadata: dict[str, Any] = {"rows_written": rows[key.path[-1]]} | figures
        if sentences:
            metadata["left_out"] = dg.MetadataValue.md("\n".join(f"- {sentence}" for sentence in sentences))
        yield dg.MaterializeResult(asset_key=key, metadata=metadata)


def sync(shard: Shard, log: Callable[[str], None]) -> "Result":
    """Run one sync as the commands do, and log every minute how far it is."""
    from linq_source.runner import run_sync
    from linq_source.source import configured_sync
    from linq_source.webhook.event_loader import EventLoader

    part = shard if shard.count > 1 else None
    work = configured_sync(shard=part)
    work.on_progress = progress_log(log, lambda: work.reader.counters.requests)
    # The first shard loads them for all.
    events = EventLoader(EVENTS, work.options.gate, option="LINQ_EVENTS") if EVENTS and shard.is_first else None
    return run_sync(work, target(part), events)


def target(shard: Shard | None) -> "Target":
    """Return where the sync writes: a DuckDB file, or whatever else dlt knows by this name."""
    from linq_source.warehouse import database_target, warehouse_target

    if DESTINATION != "duckdb":
        return warehouse_target(DESTINATION, DATASET, shard=shard)
    return database_target(DATABASE, dataset_name=DATASET)


def progress_log(log: Callable[[str], None], requests: Callable[[], int]) -> "Callable[[Summary], None]":
    """Return what writes a line of progress into the run's log, once a minute."""
    from linq_source.sync_output import describe

    started = last = time.monotonic()

    def write(summary: "Summary") -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= 60:
            last = now
            log(describe(summary, requests(), now - started))

    return write


def failure(error: LinqError, **figures: Any) -> dg.Failure:
    """Return an error as Dagster shows it; where the user must change something, a retry would not help."""
    return dg.Failure(str(error), metadata=figures or None, allow_retries=error.exit_code != 2)


linq_sync = dg.define_asset_job("linq_sync", [linq_tables], description="One sync of one shard.")


def idle_shards(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """Return a run for each shard that no run is at work on; a run of yesterday is taken for dead."""
    recent = datetime.now(UTC) - timedelta(days=1)
    runs = instance.get_runs(dg.RunsFilter(job_name=linq_sync.name, statuses=AT_WORK, created_after=recent))
    busy = {run.tags.get("dagster/partition") for run in runs}
    return [dg.RunRequest(partition_key=key) for key in SHARDS.get_partition_keys() if key not in busy]


@dg.schedule(job=linq_sync, cron_schedule="*/15 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def every_quarter_hour(context: dg.ScheduleEvaluationContext) -> Sequence[dg.RunRequest] | dg.SkipReason:
    """Sync every shard that no run is at work on."""
    return idle_shards(context.instance) or dg.SkipReason("All shards are at work.")


@dg.sensor(job=linq_sync, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def new_events(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Sync when receivers have written files of events: one run of each idle shard, however many files came."""
    from linq_source.webhook.event_files import open_files

    assert EVENTS
    names = open_files(EVENTS, "LINQ_EVENTS").names()
    seen = hashlib.sha256("\n".join(names).encode()).hexdigest()
    if not names or seen == context.cursor:
        return dg.SkipReason("No new files of events.")
    requests = idle_shards(context.instance)
    if SHARDS.get_first_partition_key() not in {request.partition_key for request in requests}:
        return dg.SkipReason("The shard that loads events is at work; looking again soon.")
    return dg.SensorResult(requests, cursor=seen)


defs = dg.Definitions(
    assets=[linq_tables],
    jobs=[linq_sync],
    schedules=[every_quarter_hour],
    sensors=[new_events] if EVENTS else [],
)
