"""Runs of Dagster: they mirror Linq, tell what they wrote, and are tried again only where that may help."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from filelock import FileLock

from linq_source import settings
from linq_source.simulator import Recorder
from linq_source.simulator.faults import Fault
from tests.destinations.postgresql import SETTING, Postgresql, dataset, server
from tests.mailbox import Mailbox
from tests.processes import at_request
from tests.schedulers import EXAMPLES, FORGIVING, Load, Serve, dg, instance, load, settings_of
from tests.support import ROOT, Warehouse, assert_mirrors, small_world
from tests.test_side_by_side import assert_once, shared_world

__all__ = ["dataset", "dg", "instance", "load", "server"]  # fixtures

pytestmark = FORGIVING


def materialize(dg: Any, module: ModuleType, instance: Any, key: str = "1/1") -> Any:
    """Run the assets of one shard in this process."""
    return dg.materialize([module.linq_tables], partition_key=key, instance=instance, raise_on_error=False)


def metadata(result: Any, table: str) -> dict[str, Any]:
    """What a run noted of a table."""
    (event,) = [one for one in result.get_asset_materialization_events() if one.asset_key.path[-1] == table]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def tries(result: Any) -> int:
    return 1 + sum(event.event_type_value == "STEP_RESTARTED" for event in result.all_events)


def failure(result: Any) -> str:
    """What Dagster shows of the step that failed."""
    assert not result.success
    (event,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    data = event.step_failure_data
    return f"{data.error.to_string()} {data.user_failure_data.description if data.user_failure_data else ''}"


@pytest.mark.slow
def test_a_run_mirrors_linq_and_tells_what_it_wrote_and_an_idle_one_writes_nothing(
    dg: Any, load: Load, serve: Serve, warehouse: Warehouse, instance: Any
) -> None:
    world = small_world()
    linq = serve(world)
    module = load(linq)
    first = materialize(dg, module, instance)
    assert first.success
    assert_mirrors(warehouse, world)
    written = metadata(first, "messages")
    assert (written["rows_written"], written["loads"]) == (400, 1)
    assert written["requests"] == len(linq.requests)
    assert "left_out" not in written
    assert metadata(first, "contacts")["rows_written"] == len(world.listed()["contacts"])

    world.receive(world.listed()["chats"][0]["id"], "New")
    assert metadata(materialize(dg, module, instance), "messages")["rows_written"] == 1
    assert_mirrors(warehouse, world)
    before = warehouse.everything()
    idle = metadata(materialize(dg, module, instance), "messages")
    assert (idle["rows_written"], idle["loads"]) == (0, 0)
    assert warehouse.everything() == before


@pytest.mark.slow
def test_events_are_loaded_by_the_run_that_their_file_asked_for(
    dg: Any, load: Load, serve: Serve, warehouse: Warehouse, tmp_path: Path, instance: Any
) -> None:
    world = small_world(messages=60, contacts=5)
    linq, recorder, box = serve(world), Recorder(world), Mailbox(tmp_path / "events")
    module = load(linq, LINQ_EVENTS=str(box.folder))
    world.complete_call()
    box.write(recorder.bodies())
    result = materialize(dg, module, instance)
    assert metadata(result, "calls")["rows_written"] == 1
    assert warehouse.query("select count(*) from calls") == [(1,)]
    assert_mirrors(warehouse, world)


@pytest.mark.slow
def test_what_was_left_out_is_a_warning_of_a_run_that_succeeds(
    dg: Any, load: Load, serve: Serve, instance: Any
) -> None:
    world = small_world(messages=60, contacts=5)
    linq = serve(world)
    chat_id = world.listed()["chats"][0]["id"]
    linq.faults.append(Fault(path=f"{settings.chat_messages_path(chat_id)}$", status=403))
    result = materialize(dg, load(linq), instance)
    assert result.success
    assert re.search(rf"^- Skipped: .*{chat_id}", metadata(result, "messages")["left_out"])
    assert metadata(result, "messages")["rows_written"] > 0


@pytest.mark.slow
def test_an_outage_is_tried_again_with_its_sentence(dg: Any, load: Load, serve: Serve, instance: Any) -> None:
    linq = serve(small_world(messages=60, contacts=5))
    fault = Fault(path="phone_numbers$", status=500)
    linq.faults.append(fault)
    result = materialize(dg, load(linq, SOURCES__LINQ__MAX_WAIT_SECONDS="0"), instance)
    assert tries(result) == 4
    assert "/api/partner/v2/phone_numbers" in failure(result)
    fault.times, fault.occurrence = 1, fault.seen + 1
    again = materialize(dg, load(linq, SOURCES__LINQ__MAX_WAIT_SECONDS="0"), instance)
    assert (again.success, tries(again)) == (True, 2)


@pytest.mark.slow
def test_what_the_user_must_change_is_not_tried_again(dg: Any, load: Load, serve: Serve, instance: Any) -> None:
    linq = serve(small_world(messages=60, contacts=5))
    module = load(linq, SOURCES__LINQ__INTEGRATION_TOKEN="revoked")
    refused = Fault(status=401)
    linq.faults.append(refused)
    result = materialize(dg, module, instance)
    assert tries(result) == 1
    assert "SOURCES__LINQ__INTEGRATION_TOKEN" in failure(result)


def test_a_run_without_a_token_fails_once_and_names_the_setting(dg: Any, load: Load, instance: Any) -> None:
    result = materialize(dg, load(), instance)
    assert tries(result) == 1
    assert "SOURCES__LINQ__INTEGRATION_TOKEN" in failure(result)


@pytest.mark.slow
def test_a_run_waits_until_another_has_given_the_lock_back(
    dg: Any, load: Load, serve: Serve, warehouse: Warehouse, tmp_path: Path, instance: Any
) -> None:
    world = small_world(messages=60, contacts=5)
    module = load(serve(world), LINQ_RETRY_SECONDS="0.5")
    lock = FileLock(tmp_path / "linq.duckdb.lock", thread_local=False)
    lock.acquire()

    def release_after_a_try() -> None:
        again = dg.DagsterEventType.STEP_UP_FOR_RETRY
        while not any(instance.all_logs(run.run_id, again) for run in instance.get_runs()):
            time.sleep(0.05)
        lock.release()

    other = threading.Thread(target=release_after_a_try, daemon=True)
    other.start()
    result = materialize(dg, module, instance)
    other.join()
    assert result.success
    assert tries(result) > 1
    assert_mirrors(warehouse, world)


@pytest.mark.slow
def test_a_run_that_is_stopped_stores_what_is_complete_and_is_not_tried_again(
    dg: Any, load: Load, serve: Serve, warehouse: Warehouse, instance: Any
) -> None:
    world = small_world(chats=60, messages=1_500)
    linq = serve(world, latency_seconds=0.05)
    module = load(linq)
    at_request(linq, 40, lambda: os.kill(os.getpid(), signal.SIGINT))
    result = materialize(dg, module, instance)
    assert "Stopped on request" in failure(result)
    assert tries(result) == 1
    assert 0 < warehouse.query("select count(*) from messages")[0][0] < 1_500
    assert materialize(dg, module, instance).success
    assert_mirrors(warehouse, world)


@pytest.mark.slow
def test_four_runs_headless_side_by_side_write_what_one_sync_would(
    dg: Any, serve: Serve, dataset: Postgresql, tmp_path: Path
) -> None:
    world = shared_world()
    linq = serve(world)
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copyfile(EXAMPLES / "dagster.yaml", home / "dagster.yaml")
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "LINQ_DESTINATION": "postgres",
        "LINQ_DATASET": dataset.dataset,
        "LINQ_SHARDS": "4",
        SETTING: dataset.url,
        **settings_of(linq),
    }
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_runs_count() == 0  # which makes its tables; two runs at once cannot
    dagster = str(Path(sys.executable).with_name("dagster"))
    command = [dagster, "job", "execute", "-f", str(ROOT / "pipelines" / "dagster_linq.py"), "-j", "linq_sync"]
    started = [
        subprocess.Popen(
            [*command, "--tags", f'{{"dagster/partition": "{index}/4"}}'],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for index in range(1, 5)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0] * 4, "\n".join(said)
    assert all("Multiprocess executor" in each for each in said)
    assert_mirrors(dataset, world)
    assert_once(dataset)
    assert dataset.sync(linq).summary.rows == {}, "one sync alone finds nothing left to write"
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS] * 4
