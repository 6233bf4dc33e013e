"""pipelines/forget.py is told what it cannot do: options, files and databases that are not what they should be."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from linq_source.simulator import Simulator, World
from tests.support import TOKEN, Warehouse, run_pipeline

Serve = Callable[..., Simulator]

NUMBER = "+12125550199"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "Say who is to be forgotten"),
        (("--phone-number", " "), "Say who is to be forgotten"),
        (("--phone-number", "hello"), "--phone-number: this is no number"),
        (("--phone-number", "12"), "--phone-number: this is no number"),
        (("--email", "nobody"), "--email: this is no address"),
        (("--email", "a@b.c"), "There is no database"),
        (("--contact-id", "x"), "Argument --contact-id"),
    ],
)
def test_a_wrong_option_is_said_in_a_sentence(options: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = run_pipeline("forget.py", "--database", str(tmp_path / "no.duckdb"), *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(says)


def test_a_torn_file_is_named(serve: Serve, warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.sync(serve(World.empty()), integration_token=TOKEN)
    folder = tmp_path / "events" / "received_date=2026-01-01"
    folder.mkdir(parents=True)
    (folder / "torn.parquet").write_bytes(b"PAR1")
    where = ("--database", str(warehouse.path), "--events", str(tmp_path / "events"))
    done = run_pipeline("forget.py", *where, "--phone-number", NUMBER)
    assert done.returncode == 3
    assert "torn.parquet" in done.stderr


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_dry_run_changes_no_byte_of_a_database_that_holds_nothing_of_ours(
    tmp_path: Path, *, is_empty: bool
) -> None:
    path = tmp_path / "other.duckdb"
    if is_empty:
        path.touch()
    else:
        duckdb.connect(str(path)).close()
    before = path.read_bytes()
    finished = run_pipeline("forget.py", "--database", str(path), "--phone-number", NUMBER, "--dry-run")
    assert (finished.returncode, len(finished.stderr.splitlines())) == (2, 1), finished.stderr
    assert str(path) in finished.stderr
    assert path.read_bytes() == before
