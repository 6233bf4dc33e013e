"""PostgreSQL: a real server, started for the tests from what the distribution has."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.destinations.store import Environment, Store
from tests.postgres import postgres

SETTING = "DESTINATION__POSTGRES__CREDENTIALS"

_datasets = count(1)


class Postgresql(Store):
    """A schema of its own on the server that runs."""

    destination = "postgres"
    packages = ("psycopg2",)
    address: ClassVar[dict[str, Any]]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.dataset = f"linq_data_{next(_datasets)}"
        self.url = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**self.address)

    @classmethod
    def prepared(cls) -> AbstractContextManager[object]:
        return cls._running()

    @classmethod
    @contextmanager
    def _running(cls) -> Iterator[None]:
        with postgres() as cls.address:
            yield

    def environment(self) -> Environment:
        return {SETTING: self.url}

    def _run(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        import psycopg2

        with psycopg2.connect(**self.address) as connection, connection.cursor() as cursor:
            cursor.execute(f"set search_path to {self.dataset}; set timezone to 'UTC'; {sql}")
            names = [column.name for column in cursor.description or ()]
            return names, cursor.fetchall() if names else []

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self._run(sql)[1]

    def table_names(self) -> list[str]:
        return [
            name for (name,) in self.query(f"select tablename from pg_tables where schemaname = '{self.dataset}'")
        ]

    def read(self, name: str) -> list[dict[str, Any]]:
        columns, rows = self._run(f"select * from {name}")
        return [dict(zip(columns, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    """A server, for tests of their own besides those of every destination."""
    with Postgresql.prepared():
        yield


@pytest.fixture
def dataset(server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Postgresql:
    """A dataset of this test's own."""
    made = Postgresql(tmp_path)
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    return made
