"""What the tests of every destination need: where to sync, and what its tables hold, read without dlt."""

import importlib.util
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from linq_source.event_tables import EVENT_TABLES
from linq_source.loading import Target
from linq_source.runner import Result, run_sync
from linq_source.simulator import Simulator
from linq_source.source import make_sync
from linq_source.tables import TABLES
from linq_source.times import TIMESTAMP
from linq_source.values import to_json
from linq_source.warehouse import warehouse_target
from linq_source.webhook.event_loader import EventLoader
from tests.support import IMPATIENT, ROOT, TOKEN, Warehouse

REQUIRED = "LINQ_REQUIRE_WAREHOUSES"
"""Names of destinations, or `all`: their tests must run, and fail where what they need is not installed."""

DATASET = "linq_data"
ALL_TABLES = {**TABLES, **EVENT_TABLES}

Environment = dict[str, str]


class Store(Warehouse, ABC):
    """A dataset in a destination, new and empty, looked at as the tests look at a DuckDB file."""

    destination: ClassVar[str]
    """Its name, as --destination takes it."""
    name: ClassVar[str] = ""
    """What its tests are called by, where several stores have one destination."""
    packages: ClassVar[tuple[str, ...]]
    """The modules without which there is no such store."""
    is_tried_apart: ClassVar[bool] = False
    """Whether `make test` leaves it to `make test-warehouses`, though all it needs is there."""
    has_views: ClassVar[bool] = True
    is_played: ClassVar[bool] = False
    """Whether each process that reaches it must enter its stand-in."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "linq")
        self.folder = folder
        self.dataset = DATASET

    @classmethod
    def prepared(cls) -> AbstractContextManager[object] | None:
        """What is entered once for all its tests."""
        return None

    @classmethod
    def stand_in(cls) -> AbstractContextManager[object]:
        """What plays it, or leads to what plays it, in this process."""
        return nullcontext()

    @classmethod
    def options(cls) -> list[str]:
        """What the command needs beside the destination's name."""
        return []

    def command(self) -> list[str]:
        """The real command, which syncs into it in a process of its own under the settings of the environment."""
        played = ["-m", "tests.destinations.command", self.destination]
        script = played if self.is_played else [str(ROOT / "pipelines" / "linq_to_warehouse.py")]
        return [
            sys.executable,
            *script,
            "--destination",
            self.destination,
            "--dataset",
            self.dataset,
            *self.options(),
        ]

    @abstractmethod
    def environment(self) -> Environment:
        """The settings of dlt under which the destination is reached."""

    @abstractmethod
    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query in the destination's own SQL; a table's name stands there as `{name}`."""

    @abstractmethod
    def table_names(self) -> list[str]:
        """Every table that stands there, dlt's own included, in small letters; no view."""

    @abstractmethod
    def read(self, name: str) -> list[dict[str, Any]]:
        """All rows of a table or view, with the names of its columns in small letters."""

    def close(self) -> None:
        """Let go of what was opened."""

    def target(self, **options: Any) -> Target:
        return self.adapted(warehouse_target(self.destination, self.dataset, **options))

    @classmethod
    def adapted(cls, target: Target) -> Target:
        """A target as what plays the destination can take it."""
        return target

    def sync(self, linq: Simulator, *, target: dict[str, Any] | None = None, **settings: Any) -> Result:
        events = settings.pop("events", None)
        given = {"limits": IMPATIENT, "integration_token": TOKEN, "base_url": linq.base_url} | settings
        return run_sync(
            make_sync(**given), self.target(**(target or {})), EventLoader(str(events)) if events else None
        )

    def execute(self, sql: str) -> None:
        self.query(sql)

    def tables(self, *names: str) -> dict[str, list[dict[str, Any]]]:
        return {name: [_plain_row(name, row) for row in self.read(name)] for name in names}

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        return {
            name: sorted((tuple(row.values()) for row in self.read(name)), key=repr) for name in self.table_names()
        }


def _plain_row(table: str, row: dict[str, Any]) -> dict[str, Any]:
    types = {column.name: column for column in ALL_TABLES[table].columns} if table in ALL_TABLES else {}
    return {
        name: _plain(value, is_time=name in types and types[name].type == TIMESTAMP, column=types.get(name))
        for name, value in row.items()
    }


def _plain(value: Any, *, is_time: bool, column: Any) -> Any:
    """Return a value as DuckDB would give it back: times in UTC, booleans as such, JSON as a short text."""
    if value is None:
        return None
    if is_time:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    if column is not None and str(column.type) == "bool":
        assert value in (0, 1)
        return bool(value)
    if column is not None and column.is_json:
        import json

        return to_json(json.loads(value) if isinstance(value, str) else value)
    return value


def missing(store: type[Store]) -> str:
    """Why a store cannot be tried here, or an empty text; fails where it must be tried."""
    is_required = os.environ.get(REQUIRED, "") in ("all", store.destination)
    if store.is_tried_apart and not is_required:
        return f"{store.destination}: make test-warehouses tries it"
    absent = [name for name in store.packages if not _is_there(name)]
    if not absent:
        return ""
    reason = f"{store.destination}: not installed: {', '.join(absent)}"
    if is_required:
        pytest.fail(f"{reason}; {REQUIRED} is set")
    return reason


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


Make = Callable[[Path], Store]
