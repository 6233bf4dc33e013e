"""A destination that cannot be used at all: one sentence that names the setting, and what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from linq_source.simulator import Simulator
from tests.support import Finished, run_pipeline, tiny_world

Serve = Callable[..., Simulator]


def refused(destination: str, setting: str, value: str, linq: Simulator, code: int, **others: str) -> str:
    """What the command says of a setting of its destination."""
    name = f"DESTINATION__{destination.upper()}__{setting}"
    options = ("--destination", destination)
    finished: Finished = run_pipeline("linq_to_warehouse.py", *options, linq=linq, **others, **{name: value})
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
