"""The real command in a process of its own: exit codes, one clear sentence, no traceback, no secret, no warning."""

import json
import os
import re
import shlex
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from linq_source import demo, settings
from linq_source.cli import query_command
from linq_source.simulator import Simulator
from tests.support import ROOT, TOKEN, Finished, Warehouse, assert_mirrors, run_pipeline, small_world

Serve = Callable[..., Simulator]
SECRET = "a-secret-token-9f8e7d"


def assert_one_sentence(finished: Finished, code: int) -> str:
    """It ended with this code and said why in one line, without traceback or secret."""
    everything = finished.stdout + finished.stderr
    assert finished.returncode == code, everything
    assert "Traceback" not in everything
    assert SECRET not in everything
    lines = finished.stderr.strip().splitlines()
    assert len(lines) == 1, finished.stderr
    assert lines[0].endswith(".")
    return lines[0]


@pytest.mark.parametrize("name", ["linq.duckdb", "it's.duckdb", 'a "b" $(touch made).duckdb', "`touch made`.duckdb"])
def test_the_line_to_paste_reads_the_database_whatever_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    database = tmp_path / name
    with duckdb.connect(str(database)) as made:
        made.execute("create table found as select 42 as answer")
    line = query_command(database, "from found")
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "42" in done.stdout, done.stderr
    assert not (tmp_path / "made").exists()


def test_a_sync_says_what_it_did_and_nothing_on_standard_error(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    linq = serve(world)
    finished = warehouse.command(linq)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "Listed 12 chats, read 12 of them (12 new)" in finished.stdout
    assert_mirrors(warehouse, world)
    finished = warehouse.command(linq, "--json")
    assert (finished.returncode, finished.stderr) == (0, "")
    document = json.loads(finished.stdout.splitlines()[-1])
    assert document["requests"] == 5
    assert document["chats_listed"] == 12
    assert document["chats_read"] == 0
    assert set(document["rows"].values()) == {0}
    assert {"seconds", "retries", "rejected", "skipped"} <= set(document)
    finished = warehouse.command(linq, "--quiet")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_without_a_token_one_sentence_says_where_to_put_it_and_that_the_demo_needs_none(warehouse: Warehouse) -> None:
    sentence = assert_one_sentence(warehouse.command(None), 2)
    assert "SOURCES__LINQ__INTEGRATION_TOKEN" in sentence
    assert ".dlt/secrets.toml" in sentence
    assert "--demo" in sentence
    assert not warehouse.path.exists()


def test_a_wrong_token_is_refused_by_name_and_not_shown(serve: Serve, warehouse: Warehouse) -> None:
    finished = warehouse.command(serve(small_world()), SOURCES__LINQ__INTEGRATION_TOKEN=SECRET)
    assert "SOURCES__LINQ__INTEGRATION_TOKEN" in assert_one_sentence(finished, 2)


@pytest.mark.parametrize("token", ["", "  ", "two words", "new\nline", "é" * 8])
def test_a_token_that_no_header_can_carry_is_refused_before_any_request(token: str, warehouse: Warehouse) -> None:
    finished = warehouse.command(
        None, SOURCES__LINQ__INTEGRATION_TOKEN=token, SOURCES__LINQ__BASE_URL="http://127.0.0.1:9"
    )
    assert "SOURCES__LINQ__INTEGRATION_TOKEN" in assert_one_sentence(finished, 2)


def test_an_unreachable_host_is_a_failure_that_names_the_setting(warehouse: Warehouse) -> None:
    finished = warehouse.command(
        None,
        "--max-wait-seconds", "0.5",
        SOURCES__LINQ__INTEGRATION_TOKEN=SECRET,
        SOURCES__LINQ__BASE_URL="http://127.0.0.1:9",
    )  # fmt: skip
    assert "base_url" in assert_one_sentence(finished, 1)


def test_https_to_a_port_that_speaks_none_names_the_setting(serve: Serve, warehouse: Warehouse) -> None:
    url = serve(small_world()).base_url.replace("http:", "https:")
    environment = {"SOURCES__LINQ__INTEGRATION_TOKEN": SECRET, "SOURCES__LINQ__BASE_URL": url}
    sentence = assert_one_sentence(warehouse.command(None, "--max-wait-seconds", "0.5", **environment), 1)
    assert "no TLS at that port (is base_url right?" in sentence


@pytest.mark.parametrize("url", ["http://example.com", "ftp://127.0.0.1", "linq", "https://u:p@example.com"])
def test_a_base_url_that_would_leak_the_token_is_refused(url: str, warehouse: Warehouse) -> None:
    finished = warehouse.command(None, SOURCES__LINQ__INTEGRATION_TOKEN=SECRET, SOURCES__LINQ__BASE_URL=url)
    assert "base_url" in assert_one_sentence(finished, 2)


def test_a_file_that_is_no_duckdb_database_is_left_as_it_is(serve: Serve, tmp_path: Path) -> None:
    other = Warehouse(tmp_path / "other.sqlite")
    with sqlite3.connect(other.path) as connection:
        connection.execute("create table precious (id)")
    connection.close()
    before = other.path.read_bytes()
    sentence = assert_one_sentence(other.command(serve(small_world())), 2)
    assert str(other.path) in sentence
    assert other.path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--bogus"], "--bogus"),
        (["--lookback-days", "soon"], "--lookback-days"),
        (["--recheck-hours", "-1"], "--recheck-hours"),
        (["--commit-every", "0"], "--commit-every"),
        (["--max-minutes", "nan"], "--max-minutes"),
        (["--max-minutes", "1e12"], "--max-minutes"),
        (["--start-date", "yesterday-ish"], "start_date"),
        (["--start-date", "2026-02-01", "--end-date", "2026-01-01"], "start_date"),
        (["--phone-number", "+19999999999"], "--phone-number"),
        (["surplus"], "surplus"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(
    options: list[str], named: str, serve: Serve, warehouse: Warehouse
) -> None:
    assert named in assert_one_sentence(warehouse.command(serve(small_world()), *options), 2)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("LOOKBACK_DAYS", "soon", "must be a number."),
        ("CONCURRENCY", "2.5", "must be a whole number."),
        ("FULL_REFRESH", "perhaps", "must be true or false."),
        ("CONCURRENCY", "0", ""),
        ("REQUESTS_PER_SECOND", "-3", ""),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, wanted: str, warehouse: Warehouse) -> None:
    environment = {f"SOURCES__LINQ__{name}": value, "SOURCES__LINQ__INTEGRATION_TOKEN": SECRET}
    sentence = assert_one_sentence(warehouse.command(None, **environment), 2)
    assert name.lower() in sentence
    assert wanted in sentence


def test_an_error_with_json_is_also_a_json_object(warehouse: Warehouse) -> None:
    finished = warehouse.command(None, "--json")
    assert json.loads(finished.stdout)["exit_code"] == 2


def test_help_names_every_option() -> None:
    finished = run_pipeline("linq_to_duckdb.py", "--help")
    assert finished.returncode == 0
    options = (
        "--demo --database --start-date --end-date --lookback-days --recheck-hours --phone-number --full-refresh "
        "--commit-every --max-minutes --allow-mass-delete --json --quiet"
    )
    assert all(option in finished.stdout for option in options.split())


def test_the_demo_needs_no_token_and_ends_with_a_query_that_works(tmp_path: Path) -> None:
    database = tmp_path / "demo.duckdb"
    finished = run_pipeline("linq_to_duckdb.py", "--demo", "--database", str(database))
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.count("Listed ") == 2
    assert "1 new" in finished.stdout.split("Second sync")[1]
    before, after = re.findall(r"message_reactions .* ([\d,]+)", finished.stdout)
    assert int(after.replace(",", "")) == int(before.replace(",", "")) - 1, "one was taken back, as the demo says"
    warehouse = Warehouse(database)
    assert [row["text"] for row in warehouse.rows("messages") if row["edited_at"]].count("We open at nine.") == 1
    assert len(warehouse.rows("messages")) > 10_000
    query = next(line for line in finished.stdout.splitlines() if "duckdb.connect" in line)
    shown = subprocess.run(shlex.split(query), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "sent_at" in shown or "chat_id" in shown


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_demos_world_is_one_message_goes_and_one_reaction_is_taken_back(seed: int) -> None:
    world = small_world(seed=seed, messages=900)
    rows = world.listed()
    demo.change(world)
    changed = world.listed()
    assert len(changed["message_reactions"]) == len(rows["message_reactions"]) - 1
    before, after = ({row["id"] for row in each["messages"]} for each in (rows, changed))
    assert (len(before - after), len(after - before)) == (1, 4)


@pytest.mark.parametrize("hours", range(0, 24 * 7, 31))
def test_whenever_the_demo_is_run_the_message_edited_is_one_that_the_second_sync_reads(hours: int) -> None:
    end = datetime(2026, 11, 28, tzinfo=UTC) + timedelta(hours=hours)
    world = demo.made(end)
    demo.change(world)
    (edited,) = (row for row in world.listed()["messages"] if row["text"] == "We open at nine.")
    assert end - edited["sent_at"] < timedelta(days=settings.LOOKBACK_DAYS - 1)


def test_the_demo_never_writes_into_a_database_that_holds_something_else(serve: Serve, warehouse: Warehouse) -> None:
    warehouse.sync(serve(small_world()))
    before = warehouse.everything()
    finished = warehouse.command(None, "--demo")
    assert finished.returncode == 2
    assert "--demo" in finished.stderr
    assert warehouse.everything() == before


def test_a_demo_begins_anew_where_an_earlier_one_was(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    warehouse.sync(serve(world))
    demo.prepare(warehouse.path, world, is_default=False)
    assert not warehouse.path.exists()


def test_the_token_can_come_from_dlts_secrets_file(serve: Serve, warehouse: Warehouse, tmp_path: Path) -> None:
    import sys

    world = small_world()
    linq = serve(world)
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "secrets.toml").write_text(f'[sources.linq]\nintegration_token = "{TOKEN}"\n')
    (tmp_path / ".dlt" / "config.toml").write_text(f'[sources.linq]\nbase_url = "{linq.base_url}"\n')
    script = [sys.executable, str(ROOT / "pipelines" / "linq_to_duckdb.py"), "--database", str(warehouse.path)]
    finished = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert_mirrors(warehouse, world)


def test_what_a_command_makes_is_its_owners_alone_and_what_was_shared_stays_shared(
    serve: Serve, warehouse: Warehouse, tmp_path: Path
) -> None:
    linq = serve(small_world())
    before = os.umask(0o022)
    try:
        assert warehouse.command(linq).returncode == 0
        made = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert warehouse.path in made
        assert {path.stat().st_mode & 0o077 for path in made} == {0}
        warehouse.path.chmod(0o640)
        for script in ("linq_to_duckdb.py", "forget.py"):
            options = ("--phone-number", "+19995550000") if script == "forget.py" else ("--full-refresh",)
            assert run_pipeline(script, "--database", str(warehouse.path), *options, linq=linq).returncode == 0
            assert warehouse.path.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)
