"""Syncs into plain Parquet files: what a kill leaves is never read, and the file of views shows all there is."""

import argparse
import json
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest

from linq_source.analytics.views import in_order
from linq_source.audit import audit
from linq_source.dlt_plugin import run_doctor
from linq_source.errors import ConfigurationError
from linq_source.open_tables import check_format
from linq_source.shards import Shard
from linq_source.simulator import Simulator
from linq_source.source import make_sync
from linq_source.tables import TABLES
from linq_source.warehouse import warehouse_target
from linq_source.whole_files import with_whole_files
from tests.destinations.filesystem import Filesystem
from tests.destinations.store import DATASET
from tests.support import IMPATIENT, TOKEN, assert_mirrors, small_world

Serve = Callable[..., Simulator]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filesystem:
    """An empty folder."""
    made = Filesystem(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    return made


def test_what_killed_loads_have_left_is_never_read(serve: Serve, store: Filesystem) -> None:
    world = small_world(chats=4, messages=40)
    linq = serve(world)
    store.sync(linq)
    folder = store.folder / DATASET
    whole = next((folder / "messages").glob("*.parquet"))
    (folder / "messages" / "9999999999.5.half.parquet").write_bytes(whole.read_bytes()[:500])
    (folder / "messages" / "9999999999.75.whole.parquet").write_bytes(whole.read_bytes())
    (folder / "chats" / "9999999999.5.empty.parquet").touch()
    (folder / "_dlt_loads" / "linq__9999999999.5.jsonl").write_text('{"load_id": "9999999')
    (folder / "_dlt_loads" / "linq__9999999999.75.jsonl").touch()
    assert store.sync(linq).loads == []
    world.receive(world.listed()["chats"][0]["id"], "later")
    assert store.sync(linq).exit_code == 0
    assert_mirrors(store, world)


@pytest.mark.parametrize("content", ["", '{"version_hash": "'])
def test_what_dlt_itself_has_left_half_written_stops_no_sync(serve: Serve, store: Filesystem, content: str) -> None:
    world = small_world(chats=2, messages=10)
    linq = serve(world)
    store.sync(linq)
    for name in ("_dlt_version", "_dlt_pipeline_state"):
        (store.folder / DATASET / name / f"linq__9999999999.5__{'ab' * 32}.jsonl").write_text(content)
    assert store.sync(linq).loads == []
    world.receive(world.listed()["chats"][0]["id"], "later")
    assert store.sync(linq).exit_code == 0
    assert_mirrors(store, world)


def test_the_file_of_views_is_written_when_it_changes_and_only_then(serve: Serve, store: Filesystem) -> None:
    world = small_world(chats=4, messages=40)
    linq = serve(world)
    store.sync(linq)
    path = store.folder / DATASET / "views.sql"
    text, written = path.read_text(), path.stat().st_mtime_ns
    world.receive(world.listed()["chats"][0]["id"], "later")
    assert len(store.sync(linq).loads) == 1
    assert path.stat().st_mtime_ns == written
    path.write_text(text[:100])
    assert store.sync(linq).loads == []
    assert path.read_text() == text
    path.unlink()
    assert store.sync(linq).loads == []
    assert path.read_text() == text


def test_every_view_can_be_read_in_a_new_duckdb(serve: Serve, store: Filesystem) -> None:
    store.sync(serve(small_world(chats=4, messages=40)))
    with duckdb.connect() as connection:
        connection.execute(store.views())
        found = connection.execute("select table_name from information_schema.tables").fetchall()
        names = {name for (name,) in found}
        without_events = {name for name in in_order() if name not in ("messages_live", "call_summary")}
        assert names >= TABLES.keys() | without_events
        counts = {name: connection.table(name).count("*").fetchone() for name in names}
        assert counts["live_messages"] == counts["messages"]
        kinds = connection.execute("select typeof(sent_at), typeof(is_read), typeof(id) from messages").fetchone()
        assert kinds == ("TIMESTAMP WITH TIME ZONE", "BOOLEAN", "BIGINT")


def test_a_session_shows_one_moment_until_the_views_are_run_again(serve: Serve, store: Filesystem) -> None:
    world = small_world(chats=4, messages=40)
    linq = serve(world)
    store.sync(linq)
    with duckdb.connect() as connection:
        connection.execute(store.views())
        before = connection.table("messages").count("*").fetchone()
        world.receive(world.listed()["chats"][0]["id"], "later")
        store.sync(linq)
        assert connection.table("messages").count("*").fetchone() == before
        connection.execute(store.views())
        assert connection.table("messages").count("*").fetchone() == (before[0] + 1,) if before else False


def test_two_that_begin_in_an_empty_folder_do_not_stop_each_other(store: Filesystem, tmp_path: Path) -> None:
    one, other = (client_of(store, tmp_path / name) for name in ("one", "other"))
    exists = one.fs_client.exists
    meanwhile: list[bool] = []

    def asked(path: str) -> bool:
        """Have the other begin just after one has seen that nothing is there."""
        there = bool(exists(path))
        if not meanwhile:
            meanwhile.append(there)
            other.initialize_storage()
        return there

    one.fs_client.exists = asked
    one.initialize_storage()
    assert meanwhile == [False]
    assert one.get_storage_versions() == other.get_storage_versions() == (2, 2)


def test_a_text_of_dlts_is_never_there_by_half(store: Filesystem, tmp_path: Path) -> None:
    client = client_of(store, tmp_path / "one")
    client.initialize_storage()
    path = Path(client.dataset_path, "text")
    client.fs_client.write_text(str(path), "old", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        client.fs_client.write_text(str(path), "new" * 100_000 + "\ud800", encoding="utf-8")
    assert path.read_text() == "old"
    client.fs_client.write_text(str(path), "new", encoding="utf-8")
    assert path.read_text() == "new"
    assert {each.name for each in path.parent.iterdir()} == {"init", "text"}


def client_of(store: Filesystem, folder: Path) -> Any:
    """dlt's client of the destination, in a process of its own that keeps its own folder."""
    destination = with_whole_files(store.target().destination)
    pipeline = dlt.pipeline("linq", destination=destination, dataset_name=DATASET, pipelines_dir=str(folder))
    return pipeline._get_destination_clients(dlt.Schema("linq"))[0]


def test_shards_fill_one_folder(serve: Serve, store: Filesystem) -> None:
    world = small_world(phone_numbers=4, chats=12, messages=100)
    linq = serve(world)
    for number in (1, 2):
        shard = Shard.parse(f"{number}/2")
        assert store.sync(linq, target={"shard": shard}, shard=shard).exit_code == 0
    assert_mirrors(store, world)
    for number in (1, 2):
        shard = Shard.parse(f"{number}/2")
        assert store.sync(linq, target={"shard": shard}, shard=shard).loads == []


def test_the_doctor_and_the_audit_read_files(
    serve: Serve, store: Filesystem, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = small_world(chats=4, messages=40)
    linq = serve(world)
    monkeypatch.setenv("SOURCES__LINQ__INTEGRATION_TOKEN", TOKEN)
    monkeypatch.setenv("SOURCES__LINQ__BASE_URL", linq.base_url)
    options = argparse.Namespace(destination="filesystem", database=None, dataset=DATASET, json=True)
    assert run_doctor(options) == 3
    findings = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert "holds no tables yet" in findings["destination"]["sentence"]
    store.sync(linq)
    before = store.everything()
    assert run_doctor(options) == 0
    findings = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert "4 chats, 40 messages" in findings["destination"]["sentence"]

    client = make_sync(TOKEN, base_url=linq.base_url, limits=IMPATIENT).reader.make_client
    assert audit(client, warehouse_target("filesystem").destination, repair=False).differences == []
    assert store.everything() == before
    world.remove_chat(world.listed()["chats"][0]["id"])
    assert audit(client, warehouse_target("filesystem").destination, repair=False).exit_code == 3


def test_a_filesystem_of_plain_files_is_not_written_as_delta_tables(serve: Serve, store: Filesystem) -> None:
    pytest.importorskip("deltalake")
    linq = serve(small_world(chats=1, messages=5))
    store.sync(linq)
    before = store.everything()
    with pytest.raises(ConfigurationError, match="are kept as plain Parquet, and were to be written as delta tables"):
        store.sync(linq, target={"table_format": "delta"})
    assert store.everything() == before


def test_a_filesystem_of_delta_tables_is_not_written_as_plain_files(serve: Serve, store: Filesystem) -> None:
    pytest.importorskip("deltalake")
    linq = serve(small_world(chats=1, messages=5))
    store.sync(linq, target={"table_format": "delta"})
    before = store.everything()
    with pytest.raises(ConfigurationError, match="are kept as delta tables, and were to be written as plain Parquet"):
        store.sync(linq)
    assert store.everything() == before
    assert store.sync(linq, target={"table_format": "delta"}).loads == []


def test_a_table_format_is_refused_where_it_cannot_mirror() -> None:
    with pytest.raises(ConfigurationError, match="--table-format delta"):
        warehouse_target("postgres", table_format="delta")
    with pytest.raises(ConfigurationError, match="--table-format nonsense"):
        warehouse_target("filesystem", table_format="nonsense")
    with pytest.raises(ConfigurationError, match="--shard"):
        warehouse_target("filesystem", table_format="delta", shard=Shard.parse("1/2"))


def test_what_writes_a_format_must_be_installed_and_must_not_fail_later() -> None:
    installed = {"deltalake": "1.6.6", "pyiceberg": "0.9.1"}

    def version_of(package: str) -> str:
        if package not in installed:
            raise metadata.PackageNotFoundError(package)
        return installed[package]

    check_format(None, version_of)
    check_format("delta", version_of)
    check_format("iceberg", version_of)
    installed |= {"pyiceberg": "0.10.0"}
    with pytest.raises(ConfigurationError, match=r"pip install 'dlt\[pyiceberg\]' 'pyiceberg<0.10'"):
        check_format("iceberg", version_of)
    installed.clear()
    with pytest.raises(ConfigurationError, match="--table-format delta: deltalake is not installed: pip install"):
        check_format("delta", version_of)


def test_a_folder_may_have_the_name_of_a_table_and_spaces(
    serve: Serve, store: Filesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small_world(chats=2, messages=10)
    store.folder = store.folder / "our messages" / "messages"
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", str(store.folder))
    linq = serve(world)
    store.sync(linq)
    assert_mirrors(store, world)
    assert store.sync(linq).loads == []


def test_a_folder_that_reads_as_a_pattern_is_refused(
    serve: Serve, store: Filesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", str(store.folder / "[a]"))
    with pytest.raises(ConfigurationError, match="DESTINATION__FILESYSTEM__BUCKET_URL"):
        store.sync(serve(small_world(chats=1, messages=5)))


def test_a_layout_that_hides_the_load_is_refused(
    serve: Serve, store: Filesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__FILESYSTEM__LAYOUT", "{table_name}/{file_id}.{ext}")
    with pytest.raises(ConfigurationError, match="DESTINATION__FILESYSTEM__LAYOUT"):
        store.sync(serve(small_world(chats=1, messages=5)))
