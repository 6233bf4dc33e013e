"""What `make demo-live` plays: an organisation that lives, its webhooks received, and tables that keep up with it.

World -> Deliveries -> webhook_to_parquet.py -> Parquet files -> run_events, run_sync -> DuckDB
World -> Simulator -> run_sync
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep, time_ns
from typing import Any

import duckdb

from linq_source import settings
from linq_source.cli import query_command
from linq_source.database import check_database, lock_path
from linq_source.demo_stage import Receiver, life, receiving
from linq_source.errors import ConfigurationError, DestinationError
from linq_source.process import locked
from linq_source.runner import Result, Target, run_events, run_sync
from linq_source.simulator import Deliveries, Simulator, World
from linq_source.source import make_sync
from linq_source.warehouse import database_target
from linq_source.webhook.event_loader import EventLoader

DATABASE = Path("linq_live.duckdb")
TOKEN = "demo-token"  # noqa: S105  # the simulator's, worth nothing elsewhere
HAPPENINGS_PER_SECOND = 4.0
STEP_SECONDS = 2.5
"""From one load of events to the next sync, and from that to the next load."""

_DELIVERY_SECONDS = 15.0
_HEADINGS = ("time", "step", "received", "loaded", "messages", "messages_live", "newest", "requests")
_WIDTHS = (10, 8, 10, 15, 8, 10)
_OPENING = """\
A made-up organisation lives in a local Linq: some {per_second:g} times a second somebody writes, reacts,
reads or calls. A receiver takes its webhooks. For {seconds:g} seconds their events are loaded and a
sync is run, in turn.

  received        webhook events that the receiver has made durable
  loaded          those in the table webhook_events
  messages        messages that a sync has read
  messages_live   those, and the ones that only events have told of so far
  newest          how old the newest message in messages_live is
  requests        how many the step made to Linq
"""
_LAST = """
Nothing happens any more, and the receiver has ended. One last sync reads every chat whole, as
one does each day, since Linq announces no edit and no reaction that is taken back:
"""
_END = """
The tables equal what Linq lists: {messages:,} messages, {reactions:,} reactions, {rows:,} rows in all, with every
value compared. Each of the {events:,} events that were received is loaded, once.

The tables are in {database}, schema {schema}. Try:
  {command}"""
_QUERY = "select event_type, count(*) as events from {schema}.webhook_events group by all order by all"

Say = Callable[[str], None]
Rows = list[dict[str, Any]]


def play(database: Path, *, seconds: float, receiver: Path, say: Say) -> int:
    """Play the demo into a fresh database and return the exit code; `receiver` is the receiver's command file."""
    world = World.make(seed=12, phone_numbers=3, chats=80, messages=6_000)
    _make_room(database, world)
    try:
        return _play(world, database, seconds, receiver, say)
    except (KeyboardInterrupt, SystemExit):
        say("\nStopped: nothing of the demo runs any more.")
        raise


def _play(world: World, database: Path, seconds: float, command: Path, say: Say) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="linq_live_") as folder,
        Simulator(world, token=TOKEN, keep_requests=False) as linq,
        receiving(command, Path(folder)) as receiver,
        Deliveries(world, seed=time_ns()) as deliveries,
    ):
        receiver.subscribe(TOKEN, linq.base_url)
        show = _Show(_Tables(database, receiver.directory, linq.base_url), deliveries, say)
        with life(world, per_second=HAPPENINGS_PER_SECOND):
            show.begin(seconds)
            _rounds(show, receiver, seconds)
        if not deliveries.wait(_DELIVERY_SECONDS):
            raise DestinationError(f"The receiver is too slow: it took {deliveries.delivered:,} events in time.")
        receiver.stop()
        return show.end(world)


def _rounds(show: "_Show", receiver: Receiver, seconds: float) -> None:
    """Load events and sync in turn until the time is over."""
    started, number = monotonic(), 1
    while (due := max(number * STEP_SECONDS, monotonic() - started)) <= seconds:
        sleep(max(0.0, started + due - monotonic()))
        receiver.check()
        if number % 2:
            show.load_events()
        else:
            show.sync("sync")
        number += 1


def _make_room(database: Path, world: World) -> None:
    """Remove the database of an earlier demo; raises ConfigurationError for a file that holds anything else."""
    with locked(lock_path(database)):
        check_database(database)
        if database != DATABASE and not _is_of_demo(database, world):
            raise ConfigurationError(f"{database} holds something else than this demo: name a new file.")
        database.unlink()


def _is_of_demo(database: Path, world: World) -> bool:
    ours = {number.phone_number for number in world.listed_numbers()}
    with duckdb.connect(str(database), read_only=True) as connection:
        if not connection.sql("from duckdb_tables()").fetchall():
            return True
        try:
            query = f"select phone_number from {settings.DATASET_NAME}.phone_numbers"  # noqa: S608  # a constant
            return {number for (number,) in connection.sql(query).fetchall()} <= ours
        except duckdb.Error:
            return False


@dataclass(frozen=True)
class _Tables:
    """The database, and what fills it as the commands do."""

    database: Path
    events: Path
    base_url: str

    def load_events(self) -> None:
        """Load the events that are not loaded yet, as events_to_duckdb.py does."""
        _end_on_signal(run_events(EventLoader(str(self.events)), self._target()).exit_code)

    def sync(self, **options: Any) -> Result:
        """Sync, as linq_to_duckdb.py --events does; raises what made it fail."""
        sync = make_sync(integration_token=TOKEN, base_url=self.base_url, **options)
        result = run_sync(sync, self._target(), EventLoader(str(self.events)))
        _end_on_signal(128 + (result.signal or 0))
        if result.summary.failure:
            raise result.summary.failure
        return result

    def _target(self) -> Target:
        return database_target(self.database)


def _end_on_signal(exit_code: int) -> None:
    # A sync takes signals for itself and then returns.
    if exit_code == 130:
        raise KeyboardInterrupt
    if exit_code > 128:
        raise SystemExit(exit_code)


class _Show:
    """Runs the steps and says after each, in a line, how far the tables are."""

    def __init__(self, tables: _Tables, deliveries: Deliveries, say: Say) -> None:
        self._tables = tables
        self._deliveries = deliveries
        self._say = say
        self._started = monotonic()

    def begin(self, seconds: float) -> None:
        """Say what will be seen, and run the first sync."""
        self._say(_OPENING.format(per_second=HAPPENINGS_PER_SECOND, seconds=seconds))
        self._say(_line(*_HEADINGS))
        self.sync("first sync")

    def load_events(self) -> None:
        """Load events and say so."""
        self._tables.load_events()
        self._tell("load events", 0)

    def sync(self, step: str, **options: Any) -> Result:
        """Sync and say so."""
        result = self._tables.sync(**options)
        self._tell(step, result.requests)
        for sentence in result.summary.skipped:
            self._say(f"       left out for now: {sentence}")
        return result

    def end(self, world: World) -> int:
        """Sync once more, now that the world stands still, and compare; return the exit code."""
        self._say(_LAST)
        result = self.sync("last sync", recheck_hours=0)
        database, received = self._tables.database, self._deliveries.delivered
        wrong = differences(database, world)
        if (loaded := _measured(database)[0]) != received:
            wrong.append(f"webhook_events holds {loaded:,} events of {received:,}")
        if wrong or result.exit_code:
            raise DestinationError(f"The tables do not equal what Linq lists: {'; '.join(wrong or ['see above'])}.")
        listed = {table: len(rows) for table, rows in world.listed().items()}
        self._say(
            _END.format(
                messages=listed["messages"],
                reactions=listed["message_reactions"],
                rows=sum(listed.values()),
                events=received,
                database=database,
                schema=settings.DATASET_NAME,
                command=query_command(database, _QUERY.format(schema=settings.DATASET_NAME)),
            )
        )
        return 0

    def _tell(self, step: str, requests: int) -> None:
        seconds = int(monotonic() - self._started)
        loaded, messages, known, age = _measured(self._tables.database)
        counts = (f"{each:,}" for each in (self._deliveries.delivered, loaded, messages, known))
        self._say(_line(f"{seconds // 60}:{seconds % 60:02}", step, *counts, f"{age:.0f} s", f"{requests:,}"))


def _line(clock: str, step: str, *cells: str) -> str:
    return f"{clock:>5}  {step:<11}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))


@contextmanager
def _opened(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute(f"set timezone = 'UTC'; set schema = '{settings.DATASET_NAME}'")
        yield connection


def _measured(database: Path) -> tuple[int, int, int, float]:
    """Return how many events and messages are stored, how many messages are known, and the age of the newest."""
    with _opened(database) as connection:
        # Until the first events are loaded there is no table of them, and no view that needs it.
        has_events = bool(connection.sql("from duckdb_tables() where table_name = 'webhook_events'").fetchall())
        events = connection.table("webhook_events").shape[0] if has_events else 0
        live = connection.table("messages_live" if has_events else "messages")
        known, newest = live.aggregate("count(*), epoch(max(sent_at))").fetchall()[0]
        return events, connection.table("messages").shape[0], known, datetime.now(UTC).timestamp() - newest


def differences(database: Path, world: World) -> list[str]:
    """Compare every table that mirrors Linq, value by value, with what the world lists; name each that differs."""
    found = []
    with _opened(database) as connection:
        for table, expected in world.listed().items():
            columns = tuple(expected[0]) if expected else ()
            stored: Rows = connection.table(table).to_arrow_table().to_pylist()
            ours = _values([row for row in stored if row.get("deleted_at") is None], columns)
            linq = _values(expected, columns)
            missing, surplus = (linq - ours).total(), (ours - linq).total()
            if missing or surplus:
                found.append(f"{table} lacks {missing:,} of Linq's {linq.total():,} rows and has {surplus:,} others")
    return found


def _values(rows: Rows, columns: tuple[str, ...]) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(_plain(row[name]) for name in columns) for row in rows)


def _plain(value: Any) -> Any:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value
