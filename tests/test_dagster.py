"""Dagster: what it shows of the tables, and when its schedule and its sensor ask for a run."""

from pathlib import Path
from typing import Any

import pytest

from linq_source.tables import TABLES
from tests.mailbox import Mailbox, told
from tests.schedulers import FORGIVING, Load, dg, instance, load

__all__ = ["dg", "instance", "load"]  # fixtures

pytestmark = FORGIVING


def test_the_definitions_load_and_show_every_table_a_person_asks_for(dg: Any, load: Load) -> None:
    module = load(
        LINQ_SHARDS="4", LINQ_DESTINATION="postgres", LINQ_DATASET="calls", LINQ_EVENTS="s3://bucket/events"
    )
    dg.Definitions.validate_loadable(module.defs)
    specs = {spec.key.path[-1]: spec for spec in module.linq_tables.specs}
    assert set(TABLES) - set(specs) == {"list_syncs", "rejected_rows"}, "our own bookkeeping has no asset"
    assert {spec.group_name for spec in specs.values()} == {"account", "conversations", "events"}
    assert specs["contacts"].group_name == "account"
    messages = specs["messages"]
    assert (messages.description, messages.kinds) == (TABLES["messages"].description, {"dlt", "postgres"})
    assert messages.metadata["dagster/table_name"] == "calls.messages"
    columns = {column.name: column.description for column in messages.metadata["dagster/column_schema"].columns}
    assert columns == {column.name: column.description for column in TABLES["messages"].columns}
    assert module.linq_tables.partitions_def.get_partition_keys() == ["1/4", "2/4", "3/4", "4/4"]


def test_without_events_there_is_no_sensor_and_no_asset_of_theirs(load: Load) -> None:
    module = load()
    assert list(module.defs.sensors) == []
    assert {spec.group_name for spec in module.linq_tables.specs} == {"account", "conversations"}


def test_settings_that_cannot_be_are_refused_when_the_file_is_read(load: Load) -> None:
    with pytest.raises(Exception, match="a DuckDB file takes one writing process"):
        load(LINQ_SHARDS="2")
    with pytest.raises(Exception, match="write K/N"):
        load(LINQ_SHARDS="many", LINQ_DESTINATION="postgres")


def partitions(requests: Any) -> list[str]:
    return [request.partition_key for request in requests]


def at_work(dg: Any, instance: Any, key: str) -> None:
    """Have the instance know of a run that is at work on a shard."""
    run_id = f"00000000-0000-4000-8000-{instance.get_runs_count():012}"
    tags = {"dagster/partition": key}
    instance.add_run(dg.DagsterRun("linq_sync", run_id=run_id, status=dg.DagsterRunStatus.STARTED, tags=tags))


def test_the_schedule_asks_for_every_shard_that_nobody_is_at_work_on(dg: Any, load: Load, instance: Any) -> None:
    module = load(LINQ_SHARDS="3", LINQ_DESTINATION="postgres")
    assert module.every_quarter_hour.cron_schedule == "*/15 * * * *"
    context = dg.build_schedule_context(instance=instance)
    assert partitions(module.every_quarter_hour(context)) == ["1/3", "2/3", "3/3"]
    at_work(dg, instance, "2/3")
    assert partitions(module.every_quarter_hour(context)) == ["1/3", "3/3"]
    at_work(dg, instance, "1/3")
    at_work(dg, instance, "3/3")
    assert isinstance(module.every_quarter_hour(context), dg.SkipReason)


def test_the_sensor_asks_for_one_run_when_files_came_and_for_none_otherwise(
    dg: Any, load: Load, tmp_path: Path, instance: Any
) -> None:
    box = Mailbox(tmp_path / "events")
    sensor = load(LINQ_EVENTS=str(box.folder)).new_events
    cursor = None

    def look() -> list[str]:
        nonlocal cursor
        found = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
        if isinstance(found, dg.SkipReason):
            return []
        cursor = found.cursor
        return partitions(found.run_requests)

    assert look() == []
    box.write([told("message.read", {})])
    assert look() == ["1/1"]
    assert look() == []
    (box.folder / ".half-written.parquet").touch()
    assert look() == []
    box.write([told("message.read", {})])
    box.write([told("message.read", {})])
    assert look() == ["1/1"], "one run, however many files"
    box.write([told("message.read", {})])
    at_work(dg, instance, "1/1")
    assert look() == []
    (run,) = instance.get_runs()
    instance.delete_run(run.run_id)
    assert look() == ["1/1"], "what came while a run was at work is not forgotten"
    assert look() == []


def test_a_folder_of_events_that_does_not_exist_is_named(dg: Any, load: Load, tmp_path: Path, instance: Any) -> None:
    module = load(LINQ_EVENTS=str(tmp_path / "nowhere"))
    with pytest.raises(Exception, match="no folder of events"):
        module.new_events(dg.build_sensor_context(instance=instance))
