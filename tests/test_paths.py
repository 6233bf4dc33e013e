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
