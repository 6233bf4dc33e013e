"""What the tests of the schedulers share: Dagster with the settings given to it, and a folder as documented.

Without Dagster or Airflow their tests are skipped, with LINQ_REQUIRE_DAGSTER=1 and LINQ_REQUIRE_AIRFLOW=1 they fail.
Airflow may live in an environment of its own, whose Python LINQ_AIRFLOW_PYTHON names.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest

from linq_source.simulator import Simulator
from tests.support import ROOT, TOKEN

Serve: TypeAlias = Callable[..., Simulator]
Load: TypeAlias = Callable[..., ModuleType]

REQUIRED = "LINQ_REQUIRE_DAGSTER"
AIRFLOW_REQUIRED = "LINQ_REQUIRE_AIRFLOW"
EXAMPLES = ROOT / "docs" / "examples"

# Dagster's own: pydantic's and its own superseded functions.
FORGIVING = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def dg() -> Any:
    if os.environ.get(REQUIRED) and not importlib.util.find_spec("dagster"):
        pytest.fail(f"Dagster is not installed; {REQUIRED} is set")
    return pytest.importorskip("dagster")


@pytest.fixture
def load(dg: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Read the file as Dagster does, with these settings in the environment."""

    def read(linq: Simulator | None = None, **environment: str) -> ModuleType:
        given = {"LINQ_DATABASE": str(tmp_path / "linq.duckdb"), "LINQ_RETRY_SECONDS": "0"} | environment
        if linq:
            given |= {"SOURCES__LINQ__INTEGRATION_TOKEN": TOKEN, "SOURCES__LINQ__BASE_URL": linq.base_url}
        for name in [name for name in os.environ if name.startswith("LINQ_") and name != REQUIRED]:
            monkeypatch.delenv(name)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location("dagster_linq", ROOT / "pipelines" / "dagster_linq.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return read


@pytest.fixture
def instance(dg: Any, tmp_path: Path) -> Iterator[Any]:
    home = tmp_path / "dagster_home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}}) as temporary:
        yield temporary


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """What the documentation has in /srv/linq: the commands, and an environment with a Python."""
    folder = tmp_path / "srv"
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / "pipelines").symlink_to(ROOT / "pipelines")
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return folder


def settings_of(linq: Simulator) -> dict[str, str]:
    return {"SOURCES__LINQ__INTEGRATION_TOKEN": TOKEN, "SOURCES__LINQ__BASE_URL": linq.base_url}
