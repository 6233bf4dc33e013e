"""A destination that cannot be used at all: one sentence that names the setting, and what to do."""

import logging
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from linq_source.destination_errors import first_line
from linq_source.errors import DestinationError
from linq_source.loading import plain
from linq_source.simulator import Simulator
from tests.support import Finished, Warehouse, run_pipeline, tiny_world

Serve = Callable[..., Simulator]


def refused(destination: str, setting: str, value: str, linq: Simulator, code: int, **others: str) -> str:
    """What the command says of a setting of its destination."""
    name = f"DESTINATION__{destination.upper()}__{setting}"
    given = others | {name: value}
    with tempfile.TemporaryDirectory() as folder:  # a lock of its own: others sync into datasets of the same name
        finished: Finished = run_pipeline(
            "linq_to_warehouse.py", "--destination", destination, linq=linq, TMPDIR=folder, **given
        )
    assert (finished.returncode, finished.stdout, finished.stderr.count("\n")) == (code, "", 1), finished.stderr
    assert name in finished.stderr
    assert "secret-password" not in finished.stderr
    return finished.stderr


def test_a_server_that_is_not_up_is_told_with_its_setting(serve: Serve) -> None:
    pytest.importorskip("psycopg2")
    linq = serve(tiny_world())
    said = refused("postgres", "CREDENTIALS", "postgresql://u:secret-password@127.0.0.1:9/db", linq, 1)
    assert "cannot be reached" in said
    assert "Connection refused" in said


def test_credentials_that_are_no_url_are_a_setting_to_change(serve: Serve) -> None:
    pytest.importorskip("psycopg2")
    assert "like postgresql://" in refused("postgres", "CREDENTIALS", "secret-password", serve(tiny_world()), 2)


@pytest.mark.parametrize("destination", ["bigquery", "filesystem"])
def test_credentials_that_are_never_a_url_are_not_said_to_be_one(destination: str, serve: Serve) -> None:
    bucket = {"DESTINATION__FILESYSTEM__BUCKET_URL": "s3://bucket/prefix"}
    said = refused(destination, "CREDENTIALS", "secret-password", serve(tiny_world()), 2, **bucket)
    assert "docs/warehouses.md" in said
    assert "://" not in said
    assert "HOST" not in said


def test_a_folder_that_cannot_be_written_is_a_setting_to_change(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert str(file) in refused("filesystem", "BUCKET_URL", file.as_uri(), serve(tiny_world()), 2)


def test_a_protocol_that_nobody_knows_is_a_setting_to_change(serve: Serve) -> None:
    assert "s3://" in refused("filesystem", "BUCKET_URL", "foo://bar", serve(tiny_world()), 2)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql://u:a@secret-password@127.0.0.1:9/db", 1),  # psycopg2 takes the second half for the host's name
        ('postgresql://u:a@secret"secret-password@127.0.0.1:9/db', 1),
        ("mysql://u:secret-password@127.0.0.1/db", 2),  # and quotes what it cannot read
    ],
)
def test_a_password_is_not_printed_where_its_signs_break_the_url(serve: Serve, url: str, code: int) -> None:
    pytest.importorskip("psycopg2")
    assert "secret" not in refused("postgres", "CREDENTIALS", url, serve(tiny_world()), code).replace("secrets", "")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('invalid input syntax for type integer: "hello\nDETAIL: there"', "invalid input syntax for type integer: …"),
        ('value "say "hello" there" is out of range', "value …"),
        ("Could not convert string 'hello there' to INT32", "Could not convert string …"),
        ("(1366, \"Incorrect string value: 'hello' for column 'text'\")", "(1366, …"),
        ("Numeric value `hello` isn't there, nor +1 (212) 555-0199.", "Numeric value …"),
        ("It can't be +1 (212) 555-0199, nor hello@example.com", "It can't be ***, nor ***"),
        ('column "sent_from" of relation "messages" is "hello"', 'column "sent_from" of relation "messages" is …'),
        ("cannot connect to https://u:hello@host/there?sig=hello.", "cannot connect to ***"),
        ("permission denied for schema linq_data", "permission denied for schema linq_data"),
    ],
)
def test_what_a_driver_quotes_is_left_out_but_for_names_of_ours(said: str, kept: str) -> None:
    assert first_line(ValueError(said)) == kept


def test_why_a_server_went_away_is_told(tmp_path: Path) -> None:
    psycopg2 = pytest.importorskip("psycopg2")
    said = 'connection to server at "127.0.0.1", port 9 failed: Connection refused\n\tIs the server running?'
    assert said.partition("\n")[0] in str(plain(psycopg2.OperationalError(said), tmp_path, "postgres"))
    said = 'could not translate host name "half-a-password@db.example" to address: Name or service not known'
    told = str(plain(psycopg2.OperationalError(said), tmp_path, "postgres"))
    assert "Name or service not known" in told
    assert "half" not in told


def test_a_path_that_the_system_names_is_kept(tmp_path: Path) -> None:
    error = plain(PermissionError(13, "Permission denied", "/srv/linq data"), tmp_path, "duckdb")
    assert "Permission denied: '/srv/linq data'" in str(error)


def test_a_value_that_the_database_refuses_is_in_no_error_log_or_traceback(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = tiny_world()
    linq, warehouse = serve(world), Warehouse(tmp_path / "linq.duckdb")
    warehouse.sync(linq)
    warehouse.execute("update linq_data.messages set text = '1'")
    warehouse.execute("alter table linq_data.messages alter text type integer")
    world.receive(world.listed()["chats"][0]["id"], "canarytext from +12125550199")
    dlt_logger = logging.getLogger("dlt")
    level = dlt_logger.level
    dlt_logger.addHandler(caplog.handler)
    caplog.set_level(logging.DEBUG)
    dlt_logger.setLevel(logging.DEBUG)
    try:
        with pytest.raises(DestinationError) as caught:
            warehouse.sync(linq)
    finally:
        dlt_logger.setLevel(level)
        dlt_logger.removeHandler(caplog.handler)
    told = "".join(traceback.format_exception(caught.value))
    assert "Could not convert string" in told
    for each in (told, caplog.text):
        assert "canarytext" not in each
        assert "2125550199" not in each
    assert "raised here" in caplog.text
