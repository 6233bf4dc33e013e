"""What every test shares: a local Linq on a socket, a sync into a real DuckDB file, and whole tables to compare."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from linq_source.simulator import Simulator, World
from tests.support import TOKEN, Warehouse


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees settings or secrets of the machine it runs on."""
    import os

    for name in list(os.environ):
        if name.startswith(("SOURCES__", "DESTINATION__", "DLT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")


@pytest.fixture
def serve() -> Iterator[Callable[..., Simulator]]:
    """Serve a world on a free port; `serve(world, quirks=...)`. Stopped after the test."""
    running: list[Simulator] = []

    def start(world: World, **options: object) -> Simulator:
        simulator = Simulator(world, token=TOKEN, **options).start()  # type: ignore[arg-type]
        running.append(simulator)
        return simulator

    yield start
    for simulator in running:
        simulator.stop()


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """A DuckDB file of this test's own, and the means to sync into it."""
    return Warehouse(tmp_path / "linq.duckdb")
