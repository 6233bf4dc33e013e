"""A path that no file can have is refused by the name of its option, whichever command it is given to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from linq_source import demo
from linq_source.errors import ConfigurationError
from linq_source.paths import usable_path
from linq_source.simulator import Simulator, World
from tests.support import run_pipeline, small_world
from tests.test_command import assert_one_sentence
from tests.test_doctor import command as doctor

LONG = "x" * 300
NEARLY_LONG = "x" * 250
"""There may be such a file, and none with the longer name of its lock or of what it is written anew in."""

PERSON = ("forget.py", "--phone-number", "+15550001111")
TO_DUCKDB = ("linq_to_duckdb.py", "--quiet")
RECEIVER = ("webhook_to_parquet.py", "--allow-unsigned", "--port", "0")


@pytest.mark.parametrize(
    ("command", "option", "path"),
    [
        (("audit.py",), "--database", LONG),
        (("audit.py",), "--database", NEARLY_LONG),
        (("audit.py",), "--database", "loop"),
        (("report.py",), "--database", LONG),
        (("report.py",), "--output", LONG),
        (("report.py",), "--output", NEARLY_LONG),
        (("events_to_duckdb.py",), "--directory", LONG),
        (TO_DUCKDB, "--database", ""),
        (TO_DUCKDB, "--database", "loop"),
        (TO_DUCKDB, "--database", "\udcff"),
        (TO_DUCKDB, "--events", ""),
        (TO_DUCKDB, "--events", LONG),
        ((*TO_DUCKDB, "--demo"), "--database", ""),
        (PERSON, "--database", "loop"),
        (PERSON, "--events", ""),
        (PERSON, "--events", LONG),
        (PERSON, "--journal", LONG),
        (("webhook_subscribe.py",), "--journal", LONG),
        (RECEIVER, "--directory", LONG),
        (RECEIVER, "--journal", ""),
        (("demo_live.py",), "--database", LONG),
    ],
)
def test_a_path_that_no_file_can_have_is_named_by_its_option(
    command: tuple[str, ...], option: str, path: str, serve: Callable[..., Simulator], tmp_path: Path
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "linq.duckdb").touch()
    others = ("--database", str(tmp_path / "linq.duckdb")) if command == PERSON and option != "--database" else ()
    finished = run_pipeline(
        *command, *others, option, str(tmp_path / path) if path else "", linq=serve(small_world())
    )
    assert assert_one_sentence(finished, 2).startswith(f"{option} ")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["linq.duckdb", "loop"]


def test_the_doctor_looks_nowhere_else_where_an_option_is_empty(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for option in ("--database", "--destination"):
        assert doctor(option, "", capsys=capsys)[0] == 2


def test_a_folder_is_no_database_of_a_sync_or_a_demo(serve: Callable[..., Simulator], tmp_path: Path) -> None:
    finished = run_pipeline(*TO_DUCKDB, "--database", "/", linq=serve(small_world()))
    assert "is a folder" in assert_one_sentence(finished, 2)
    for is_default in (True, False):
        with pytest.raises(ConfigurationError, match="is a folder"):
            demo.prepare(tmp_path, World.empty(), is_default=is_default)


def test_what_can_be_is_taken_whether_or_not_it_is_there(tmp_path: Path) -> None:
    link = tmp_path / "link.duckdb"
    link.symlink_to(tmp_path / "missing.duckdb")
    for path in (link, tmp_path / "new.duckdb", tmp_path / "no folder" / "x", Path("relative"), tmp_path / "é"):
        assert usable_path(str(path), "--database", "a path") == path


@pytest.mark.parametrize(
    "command",
    [TO_DUCKDB, ("audit.py",), PERSON, ("events_to_duckdb.py", "--directory", ".")],
    ids=lambda command: command[0],
)
def test_a_database_that_is_refused_gets_no_lock_file(
    command: tuple[str, ...], serve: Callable[..., Simulator], tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no database at all")
    finished = run_pipeline(*command, "--database", str(notes), linq=serve(World.empty()))
    assert "is not a DuckDB database" in assert_one_sentence(finished, 2)
    assert list(tmp_path.iterdir()) == [notes]


def test_the_doctor_makes_no_lock_file_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no database at all")
    assert "is not a DuckDB database" in doctor("--database", str(notes), capsys=capsys)[1]
    assert list(tmp_path.iterdir()) == [notes]


def test_a_folder_that_cannot_be_written_is_for_the_user_to_change(
    serve: Callable[..., Simulator], tmp_path: Path
) -> None:
    from linq_source.analytics.report import _write

    with pytest.raises(ConfigurationError, match="--output"):
        _write(Path("/proc/report.html"), "")
    with pytest.raises(ConfigurationError, match="/proc/version of an earlier demo cannot be removed"):
        demo.prepare(Path("/proc/version"), World.empty(), is_default=True)
    (tmp_path / "file").touch()
    finished = run_pipeline(*RECEIVER, "--directory", str(tmp_path / "file" / "events"), linq=serve(World.empty()))
    assert finished.returncode == 2
    assert "--directory" in finished.stderr


def test_a_folder_without_any_file_of_events_is_told_of(tmp_path: Path) -> None:
    folder, database = tmp_path / "events", tmp_path / "linq.duckdb"
    folder.mkdir()
    finished = run_pipeline("events_to_duckdb.py", "--directory", str(folder), "--database", str(database))
    assert (finished.returncode, finished.stderr) == (0, "")
    assert f"no files yet in {folder}; the receiver writes one every minute" in finished.stdout
