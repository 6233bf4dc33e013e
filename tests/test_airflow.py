"""Airflow runs the same syncs, a task for each shard, and tries again where the exit code asks for it."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from filelock import FileLock

from linq_source import settings
from linq_source.simulator import Simulator
from linq_source.simulator.faults import Fault
from tests.schedulers import AIRFLOW_REQUIRED, FORGIVING, Serve, home, settings_of
from tests.support import ROOT, Warehouse, assert_mirrors, small_world

__all__ = ["home"]  # a fixture

pytestmark = FORGIVING


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
@pytest.mark.parametrize(("count", "why"), [("3", "a DuckDB file takes one writing process"), ("0", "one shard is")])
def test_airflow_is_told_of_shards_that_cannot_be(count: str, why: str, airflow: Airflow) -> None:
    done = airflow("commands", LINQ_SHARDS=count)
    assert done.returncode != 0
    assert f"LINQ_SHARDS: {why}" in done.stderr


@pytest.mark.slow
def test_airflow_has_a_task_for_each_shard(airflow: Airflow) -> None:
    done = airflow("commands", LINQ_SHARDS="3", LINQ_DESTINATION="postgres", LINQ_DATASET="calls")
    commands = done.stdout.splitlines()[-3:]
    for index, command in enumerate(commands, 1):
        options = f"--quiet --destination postgres --dataset calls --shard {index}/3"
        assert command.startswith(f"shard_{index}_of_3 "), done.stdout + done.stderr
        assert command.endswith(f"pipelines/linq_to_warehouse.py {options}")
