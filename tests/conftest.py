"""What every test shares: a local Linq on a socket, a sync into a real DuckDB file, and whole tables to compare."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import pytest
from filelock import FileLock

from linq_source import runner
from linq_source.loading import load
from linq_source.simulator import Simulator, World
from tests import frugal
from tests.poison import PoisonedSimulator
from tests.shortcut import load_without_dlt
from tests.support import TOKEN, Warehouse, small_world
from tests.warm import Starts

# When an assertion of theirs fails it shows what it compared, as in a test.
pytest.register_assert_rewrite("tests.browser", "tests.shaping", "tests.shuffles")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees settings or secrets of the machine it runs on."""
    for name in list(os.environ):
        if name.startswith(("SOURCES__", "DESTINATION__", "DLT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long-way`: no test takes a shortcut."""
    about = "load through dlt in the tests marked without_dlt too, and start each command in a new interpreter"
    parser.addoption("--long-way", action="store_true", help=about)


def pytest_configure(config: pytest.Config) -> None:
    """Start commands as is asked for."""
    Starts.are_cold = config.getoption("--long-way")
    if not Starts.are_cold:
        frugal.begin()
        frugal.open_duckdb_with_one_thread()
    if not hasattr(config, "workerinput"):
        write_to_memory(config)
    if find_spec("hypothesis"):
        from hypothesis import settings

        # How long an example takes says something of the machine only.
        settings.register_profile("tests", deadline=None)
        settings.load_profile("tests")
    # A shell that starts us in the background has us ignore Ctrl-C, and so would every command that is to take it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def write_to_memory(config: pytest.Config) -> None:
    """Have the temporary folder in memory, where there is room: tests sync thousands of databases to disk.

    With TMPDIR set they are there, and those of failed tests stay.
    """
    memory = Path("/dev/shm")
    if "TMPDIR" in os.environ or not memory.is_dir() or shutil.disk_usage(memory).free < 2 << 30:
        return
    folder = tempfile.TemporaryDirectory(prefix="linq_tests_", dir=memory)
    config.add_cleanup(folder.cleanup)
    Path(folder.name).chmod(0o711)  # PostgreSQL runs as another user
    os.environ["TMPDIR"] = folder.name
    tempfile.tempdir = None


@pytest.fixture(autouse=True)
def way_of_loading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests marked `without_dlt` merge what a sync yields by themselves, unless they are marked `through_dlt` too."""
    is_short = request.node.get_closest_marker("without_dlt") and not request.node.get_closest_marker("through_dlt")
    is_long = request.config.getoption("--long-way") or request.node.get_closest_marker("soak")
    if is_short and not is_long:
        monkeypatch.setattr(runner, "load", load_without_dlt)


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
def poisoned() -> Iterator[Callable[[World], PoisonedSimulator]]:
    """Serve a world some of whose rows can be poisoned. Stopped after the test."""
    running: list[PoisonedSimulator] = []

    def start(world: World) -> PoisonedSimulator:
        running.append(PoisonedSimulator(world, token=TOKEN).start())
        return running[-1]

    yield start
    for simulator in running:
        simulator.stop()


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """A DuckDB file of this test's own, and the means to sync into it."""
    return Warehouse(tmp_path / "linq.duckdb")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A folder that the first process of pytest to ask for its name fills, and all others only read."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def folder(name: str, fill: Callable[[Path], object]) -> Path:
        made = shared / name
        with FileLock(shared / f"{name}.lock"):
            if not made.exists():
                making = tmp_path_factory.mktemp(name)
                fill(making)
                making.rename(made)
        return made

    return folder


@pytest.fixture(scope="session")
def stored(made_once: Callable[..., Path]) -> Callable[..., Path]:
    """The file that a first sync of a small world of these sizes leaves; made once for all tests that begin so."""

    def first_sync(**sizes: int) -> Path:
        def fill(folder: Path) -> None:
            # Through dlt, whichever test asks first: others go on from it through dlt.
            with patch.object(runner, "load", load), Simulator(small_world(**sizes), token=TOKEN) as linq:
                assert Warehouse(folder / "linq.duckdb").sync(linq).exit_code == 0

        name = "-".join(["stored", *(f"{key}-{size}" for key, size in sorted(sizes.items()))])
        return made_once(name, fill) / "linq.duckdb"

    return first_sync


@pytest.fixture
def known(
    stored: Callable[..., Path], serve: Callable[..., Simulator], warehouse: Warehouse
) -> Callable[..., tuple[World, Simulator]]:
    """Serve a small world that the warehouse holds already, as after a first sync; `known(chats=4)`."""

    def begin(**sizes: int) -> tuple[World, Simulator]:
        world = small_world(**sizes)
        shutil.copyfile(stored(**sizes), warehouse.path)
        return world, serve(world)

    return begin


def pytest_itemcollected(item: pytest.Item) -> None:
    """What takes seconds to start (a browser, a server) is started by one process of pytest, for all its tests."""
    if not item.config.pluginmanager.hasplugin("xdist"):
        return
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    is_postgres = getattr(params.get("kind"), "destination", None) == "postgres"
    for fixture in ("browser", "s3_url", "server"):
        if fixture in getattr(item, "fixturenames", ()) or (fixture == "server" and is_postgres):
            item.add_marker(pytest.mark.xdist_group(fixture))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests: the last ones to end are then short, and no worker waits for another."""
    items.sort(key=lambda item: not item.get_closest_marker("slow"))
