"""The fixtures of tests that run against every destination that can run here."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.destinations.bigquery import Bigquery
from tests.destinations.ducklake import Ducklake
from tests.destinations.filesystem import S3, Delta, DeltaS3, Filesystem, Iceberg, IcebergS3
from tests.destinations.postgresql import Postgresql
from tests.destinations.snowflake import Snowflake
from tests.destinations.sqlite import Sqlite
from tests.destinations.store import Store, missing

STORES: tuple[type[Store], ...] = (
    Postgresql,
    Filesystem,
    S3,
    Delta,
    DeltaS3,
    Iceberg,
    IcebergS3,
    Sqlite,
    Ducklake,
    Snowflake,
    Bigquery,
)


def called(kind: type[Store]) -> str:
    """What the tests of a kind of destination are named by."""
    return kind.name or kind.destination


@pytest.fixture(params=STORES, ids=called, scope="module")
def kind(request: pytest.FixtureRequest) -> Iterator[type[Store]]:
    """A kind of destination, its emulator running if it has one."""
    kind: type[Store] = request.param
    if reason := missing(kind):
        pytest.skip(reason)
    prepared = kind.prepared()
    if prepared is None:
        yield kind
    else:
        with prepared:
            yield kind


@pytest.fixture
def store(kind: type[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty dataset of this test's own."""
    made = kind(tmp_path)
    # The lock of a dataset is a file there, and other processes of pytest sync into a dataset of this name too.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()
