"""A disk that fails under the real command: writes and syncs return errors of the system, below SQLite."""

import errno
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.webhook.support import Process, deliver, event, journal_rows, parquet_rows, request

COMPILER = shutil.which("cc") or shutil.which("gcc") or ""

pytestmark = pytest.mark.skipif(not COMPILER, reason="needs a C compiler")


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes calls fail."""
    library = tmp_path_factory.mktemp("shim") / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@pytest.mark.parametrize(("call", "number"), [("write", errno.ENOSPC), ("sync", errno.EIO), ("write", errno.EROFS)])
def test_while_the_disk_fails_nothing_is_acknowledged_and_afterwards_all_is_well(
    shim: Path, tmp_path: Path, call: str, number: int
) -> None:
    control = tmp_path / "control"
    environment = {"LD_PRELOAD": str(shim), "FAILING_DISK": str(control)}
    directory = tmp_path / "events"
    with Process(directory, "--flush-seconds", "0.2", cwd=tmp_path, **environment) as receiver:
        assert [deliver(receiver.port, event(each)) for each in range(5)] == [200] * 5
        control.write_text(f"{call} {number}")
        assert {deliver(receiver.port, event(each)) for each in range(5, 10)} == {503}
        time.sleep(0.7)
        assert {deliver(receiver.port, event(each)) for each in range(5, 10)} == {503}
        assert request(receiver.port, "GET", "/healthz")[0] == 200
        control.unlink()
        time.sleep(0.7)
        assert [deliver(receiver.port, event(each)) for each in range(10)] == [200] * 10
        time.sleep(1.2)
        assert receiver.terminate() == 0
    said = receiver.said()
    assert "The journal cannot be written" in said
    assert "Traceback" not in said
    expected = [f"evt-{each}" for each in range(10)]
    assert journal_rows(directory / "journal", "select event_id from events order by event_id") == expected
    assert sorted(event_id for (event_id,) in parquet_rows(directory)) == expected
