"""`make demo-live`: a minute in which events arrive, cut to seconds, and what a Ctrl-C leaves of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, Warehouse, run_pipeline, small_world

STEPS = ("first sync", "load events", "last sync")


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A folder for TMPDIR."""
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


def processes_that_name(folder: Path) -> list[str]:
    """The command lines of running processes that name something in a folder, as the receiver does."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_text(errors="replace"))
        except OSError:
            continue
    return [line.replace("\0", " ") for line in found if str(folder) in line]


@pytest.mark.slow
def test_the_live_demo_ends_with_tables_that_equal_what_linq_lists(tmp_path: Path, temporary: Path) -> None:
    warehouse = Warehouse(tmp_path / "live.duckdb")
    options = ("--seconds", "4", "--database", str(warehouse.path))
    finished = run_pipeline("demo_live.py", *options, TMPDIR=str(temporary))
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "The tables equal what Linq lists" in finished.stdout
    assert all(step in finished.stdout for step in STEPS)
    [(events,)] = warehouse.query("select count(*) from webhook_events")
    [(live,)] = warehouse.query("select count(*) from messages_live where known_from = 'sync'")
    assert events > 0
    assert f"Each of the {events:,} events" in finished.stdout
    assert live == len(warehouse.rows("messages"))
    assert processes_that_name(temporary) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_a_live_demo_that_is_interrupted_leaves_no_process_no_folder_and_no_traceback(
    tmp_path: Path, temporary: Path
) -> None:
    script = [sys.executable, str(ROOT / "pipelines" / "demo_live.py"), "--database", str(tmp_path / "live.duckdb")]
    env = dict(os.environ) | {"PYTHONWARNINGS": "default", "TMPDIR": str(temporary)}
    with subprocess.Popen(
        script, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            assert any("first sync" in line for line in process.stdout)
            assert processes_that_name(temporary), "the receiver runs"
            process.send_signal(signal.SIGINT)
            output, problems = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, problems) == (130, "")
    assert output.endswith("Stopped: nothing of the demo runs any more.\n")
    assert processes_that_name(temporary) == []
    assert list(temporary.iterdir()) == []


def test_the_live_demo_never_writes_into_a_database_that_holds_something_else(warehouse: Warehouse) -> None:
    from linq_source.simulator import Simulator
    from tests.support import TOKEN

    with Simulator(small_world(), token=TOKEN) as linq:
        warehouse.sync(linq)
    before = warehouse.everything()
    finished = run_pipeline("demo_live.py", "--database", str(warehouse.path))
    assert (finished.returncode, finished.stderr.count("\n")) == (2, 1)
    assert str(warehouse.path) in finished.stderr
    assert warehouse.everything() == before
