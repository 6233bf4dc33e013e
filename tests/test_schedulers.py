"""The schedulers: Dagster, Airflow, cron and systemd run the same syncs, and do what the exit codes ask for.

Without Dagster or Airflow their tests are skipped, with LINQ_REQUIRE_DAGSTER=1 and LINQ_REQUIRE_AIRFLOW=1 they fail.
Airflow may live in an environment of its own, whose Python LINQ_AIRFLOW_PYTHON names.
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest
from filelock import FileLock

from linq_source import settings
from linq_source.simulator import Recorder, Simulator
from linq_source.simulator.faults import Fault
from linq_source.tables import TABLES
from tests.destinations.postgresql import SETTING, Postgresql, dataset, server
from tests.mailbox import Mailbox, told
from tests.processes import at_request
from tests.support import ROOT, TOKEN, Warehouse, assert_mirrors, small_world
from tests.test_side_by_side import assert_once, shared_world

Serve: TypeAlias = Callable[..., Simulator]
Load: TypeAlias = Callable[..., ModuleType]

__all__ = ["dataset", "server"]  # fixtures

REQUIRED = "LINQ_REQUIRE_DAGSTER"
AIRFLOW_REQUIRED = "LINQ_REQUIRE_AIRFLOW"
EXAMPLES = ROOT / "docs" / "examples"

# Dagster's own: pydantic's and its own superseded functions.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def dg() -> Any:
    if os.environ.get(REQUIRED) and not importlib.util.find_spec("dagster"):
        pytest.fail(f"Dagster is not installed; {REQUIRED} is set")
    return pytest.importorskip("dagster")


@pytest.fixture
def load(dg: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Read the file as Dagster does, with these settings in the environment."""

    def read(linq: Simulator | None = None, **environment: str) -> ModuleType:
        given = {"LINQ_DATABASE": str(tmp_path / "linq.duckdb"), "LINQ_RETRY_SECONDS": "0"} | environment
        if linq:
            given |= {"SOURCES__LINQ__INTEGRATION_TOKEN": TOKEN, "SOURCES__LINQ__BASE_URL": linq.base_url}
        for name in [name for name in os.environ if name.startswith("LINQ_") and name != REQUIRED]:
            monkeypatch.delenv(name)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location("dagster_linq", ROOT / "pipelines" / "dagster_linq.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return read


@pytest.fixture
def instance(dg: Any, tmp_path: Path) -> Iterator[Any]:
    home = tmp_path / "dagster_home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}}) as temporary:
        yield temporary


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


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """What the documentation has in /srv/linq: the commands, and an environment with a Python."""
    folder = tmp_path / "srv"
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / "pipelines").symlink_to(ROOT / "pipelines")
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return folder


def settings_of(linq: Simulator) -> dict[str, str]:
    return {"SOURCES__LINQ__INTEGRATION_TOKEN": TOKEN, "SOURCES__LINQ__BASE_URL": linq.base_url}


def write_settings(home: Path, linq: Simulator) -> None:
    lines = [f"{name}={value}\n" for name, value in settings_of(linq).items()]
    (home / "linq.env").write_text("".join(lines))


@pytest.mark.slow
def test_the_line_for_cron_syncs_and_says_nothing(serve: Serve, home: Path) -> None:
    world = small_world(messages=60, contacts=5)
    write_settings(home, serve(world))
    (line,) = [line for line in (EXAMPLES / "linq.cron").read_text().splitlines() if not line.startswith("#")]
    *when, command = line.split(maxsplit=5)
    assert (when, "%" in command) == (["*/15", "*", "*", "*", "*"], False)
    here = {"PATH": "/usr/bin:/bin", "RUNTIME__DLTHUB_TELEMETRY": "false"}  # what cron gives
    command = command.replace("/srv/linq", str(home))
    done = subprocess.run(["/bin/sh", "-c", command], env=here, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert_mirrors(Warehouse(home / "linq.duckdb"), world)


@pytest.mark.slow
def test_the_units_are_what_systemd_takes_and_their_command_syncs(serve: Serve, home: Path, tmp_path: Path) -> None:
    units = tmp_path / "units"
    units.mkdir()
    for name in ("linq.service", "linq.timer"):
        text = (EXAMPLES / name).read_text().replace("/srv/linq", str(home)).replace("User=linq", "User=root")
        (units / name).write_text(text)
    if analyze := shutil.which("systemd-analyze"):
        check = [analyze, "verify", "--man=no", *map(str, sorted(units.iterdir()))]
        checked = subprocess.run(check, capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")
    service = dict(re.findall(r"^(\w+)=(.*)$", (units / "linq.service").read_text(), re.MULTILINE))
    assert {"3", "75"} <= set(service["SuccessExitStatus"].split())
    world = small_world(messages=60, contacts=5)
    environment = dict(os.environ) | settings_of(serve(world))
    done = subprocess.run(service["ExecStart"].split(), cwd=service["WorkingDirectory"], env=environment, timeout=100)
    assert done.returncode == 0
    assert_mirrors(Warehouse(home / "linq.duckdb"), world)


@pytest.fixture
def airflow(tmp_path: Path, home: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Do something with the DAG, in the environment that Airflow is in."""
    python = os.environ.get("LINQ_AIRFLOW_PYTHON")
    if not python:
        if not importlib.util.find_spec("airflow"):
            reason = "Airflow is not installed, and LINQ_AIRFLOW_PYTHON does not say where else it is"
            if os.environ.get(AIRFLOW_REQUIRED):
                pytest.fail(f"{reason}; {AIRFLOW_REQUIRED} is set")
            pytest.skip(reason)
        python = sys.executable
    airflow_home = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
    }
    (tmp_path / "dags").mkdir()
    shutil.copyfile(ROOT / "pipelines" / "airflow_linq.py", tmp_path / "dags" / "airflow_linq.py")

    def run(*arguments: str, linq: Simulator | None = None, **given: str) -> "subprocess.CompletedProcess[str]":
        environment = dict(os.environ) | airflow_home | {"LINQ_HOME": str(home)} | (settings_of(linq) if linq else {})
        script = [str(ROOT / "tests" / "schedulers_airflow.py"), str(tmp_path / "dags" / "airflow_linq.py")]
        return subprocess.run(
            [python, *script, *arguments],
            cwd=tmp_path, env=environment | given, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    return run


Airflow: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.slow
def test_airflow_syncs_and_what_was_left_out_is_a_warning(airflow: Airflow, serve: Serve, home: Path) -> None:
    world = small_world(messages=60, contacts=5)
    linq = serve(world)
    done = airflow("test", linq=linq)
    assert done.stdout.splitlines()[-1] == "success shard_1_of_1=success", done.stdout + done.stderr
    assert_mirrors(Warehouse(home / "linq.duckdb"), world)
    chat_id = world.listed()["chats"][0]["id"]
    linq.faults.append(Fault(path=f"{settings.chat_messages_path(chat_id)}$", status=403))
    world.receive(chat_id, "New")
    done = airflow("execute", linq=linq)
    assert done.stdout.splitlines()[-1] == "success", done.stdout + done.stderr
    assert "Done, but something was left out: Skipped: " in done.stdout + done.stderr


@pytest.mark.slow
def test_airflow_tries_again_where_that_may_help(airflow: Airflow, serve: Serve, home: Path) -> None:
    refused = airflow("execute").stdout.splitlines()[-1]
    assert refused.startswith("AirflowFailException: Something must be changed")
    assert "SOURCES__LINQ__INTEGRATION_TOKEN" in refused
    linq = serve(small_world(messages=60, contacts=5))
    with FileLock(home / "linq.duckdb.lock"):
        locked = airflow("execute", linq=linq).stdout.splitlines()[-1]
    assert locked.startswith("AirflowException: Exit code 75: Another run is at work")
    linq.faults.append(Fault(path="phone_numbers$", status=500))
    failed = airflow("execute", linq=linq, SOURCES__LINQ__MAX_WAIT_SECONDS="0").stdout.splitlines()[-1]
    assert failed.startswith("AirflowException: Exit code 1: ")


@pytest.mark.slow
def test_airflow_has_a_task_for_each_shard(airflow: Airflow) -> None:
    done = airflow("commands", LINQ_SHARDS="3", LINQ_DESTINATION="postgres", LINQ_DATASET="calls")
    commands = done.stdout.splitlines()[-3:]
    for index, command in enumerate(commands, 1):
        options = f"--quiet --destination postgres --dataset calls --shard {index}/3"
        assert command.startswith(f"shard_{index}_of_3 "), done.stdout + done.stderr
        assert command.endswith(f"pipelines/linq_to_warehouse.py {options}")
