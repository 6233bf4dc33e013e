"""A DuckDB file as a destination: whether it can be opened and written, said in a sentence."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from linq_source import settings
from linq_source.errors import ConfigurationError, DestinationError
from linq_source.event_tables import ALL_TABLES
from linq_source.sql_text import literal, quoted_name

PATIENCE_SECONDS = 5.0

_LARGEST_LOG_BYTES = 32_000_000

_HEADER_BYTES = 3 * 4096
"""A DuckDB file begins with three headers; what is shorter holds nothing."""

_REFUSED = re.compile("Permission denied|[Rr]ead-only")
"""How DuckDB says what a repeat meets again."""


@contextmanager
def held_database(
    path: Path, *, patience_seconds: float = PATIENCE_SECONDS, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Keep the file open for writing, so that no other program takes it between two commits of a run.

    Raises ConfigurationError where the path can name no database or may not be opened, DestinationError where it
    cannot be opened for another reason; waits a while for one that is in use. While one connection is open, others of
    this process share its database: dlt opens some five in a sync, which took a sixth of its time. What a killed
    process has spilled beside the file is removed.
    """
    check_place(path)
    spilled = _spilled(path)  # before it is opened: what comes later is our own
    with _opened(path, patience_seconds, sleep):
        # No other process has it open now, nor needs these. The folder stays: DuckDB does not make it twice.
        for left in spilled:
            left.unlink(missing_ok=True)
        yield


def check_place(path: Path) -> None:
    """Raise ConfigurationError where there can be no database."""
    if not path.parent.is_dir():
        raise ConfigurationError(f"The folder {path.parent} of the database does not exist: create it first.")
    if path.is_dir():
        raise ConfigurationError(f"The database {path} is a folder: name a file, like linq.duckdb.")


def check_unlocked(path: Path) -> None:
    """Raise ConfigurationError where there can be no database, before a lock file is made beside it.

    That file stays, since another process may wait on it. Where there is one, a run may be writing the database.
    """
    check_place(path)
    if not lock_path(path).exists():
        with suppress(OSError):  # which is said once it is locked
            _check_magic(path, may_be_empty=True)


def check_database(path: Path) -> None:
    """Raise what `held_database` does, unless the file can be opened for writing."""
    with held_database(path):
        pass


@contextmanager
def opened_for_reading(
    path: Path, *, patience_seconds: float = PATIENCE_SECONDS, sleep: Callable[[float], None] = time.sleep
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database for reading only; waits a while for one that is being written.

    Raises ConfigurationError where there is none, it is no database or may not be read, DestinationError where it
    cannot be read for another reason.
    """
    if not path.is_file():
        raise ConfigurationError(f"There is no database {path}: name one with --database, or run a sync first.")
    with _opened(path, patience_seconds, sleep, read_only=True) as connection:
        yield connection


def _opened(
    path: Path, patience_seconds: float, sleep: Callable[[float], None], *, read_only: bool = False
) -> duckdb.DuckDBPyConnection:
    waited = 0.0
    while True:
        try:
            _check_magic(path, may_be_empty=not read_only)
            if not read_only:
                _remove_stillborn(path)
            return duckdb.connect(str(path), read_only=read_only)
        except (duckdb.Error, OSError) as error:
            problem = _sentence(path, str(error), "read" if read_only else "written")
            if not _is_in_use(str(error)) or waited >= patience_seconds:
                is_refused = _REFUSED.search(str(error))
                raise (ConfigurationError if is_refused else DestinationError)(problem) from None
        sleep(0.5)
        waited += 0.5


def shorten_log(path: Path) -> None:
    """Write what was committed from the log of an open database into its file, once the log has grown long.

    dlt would let it grow to 1 GB, all of which DuckDB holds in memory as well, uncompressed.
    """
    log = path.with_name(path.name + ".wal")
    if log.exists() and log.stat().st_size > _LARGEST_LOG_BYTES:
        with duckdb.connect(str(path)) as connection:
            connection.execute("checkpoint")


def lock_path(path: Path) -> Path:
    """Return the lock file of a database, the same by whatever path the database is named."""
    real = path.resolve()
    return real.parent / f"{real.name}.lock"  # there is none with the name of the root


def _spill_folder(path: Path) -> Path:
    """Return where DuckDB puts rows that memory has no room for; it removes them unless it is killed."""
    return path.with_name(path.name + ".tmp")


def _spilled(path: Path) -> list[Path]:
    folders = {_spill_folder(path), _spill_folder(path.resolve())}
    return [file for folder in folders for file in folder.glob("duckdb_temp_*")]


def _check_magic(path: Path, *, may_be_empty: bool) -> None:
    """Raise ConfigurationError for a file of any other program: DuckDB would look for an extension that reads it."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        head = file.read(12)
    if head[8:] != b"DUCK" and (head or not may_be_empty):
        raise ConfigurationError(f"The file {path} is not a DuckDB database: name another one with --database.")


def _remove_stillborn(path: Path) -> None:
    """Remove a file that a killed process or a full disk left before DuckDB had written its headers."""
    is_short = path.is_file() and path.stat().st_size < _HEADER_BYTES
    if is_short and not path.with_name(path.name + ".wal").exists():
        path.unlink()


def _is_in_use(problem: str) -> bool:
    return "Could not set lock" in problem or "Conflicting lock" in problem


def _sentence(path: Path, problem: str, done: str) -> str:
    """Say what keeps a file from being `done`, read or written."""
    if _is_in_use(problem) and done == "read":
        return (
            f"The database {path} is being written by another program: try again when it is done, or close it there "
            "(a notebook, a DuckDB shell)."
        )
    if _is_in_use(problem):
        return f"The database {path} is open in another program: close it there (a notebook, a DuckDB shell) first."
    if "No space left" in problem:
        return f"The database {path} cannot be written: the disk is full."
    if _REFUSED.search(problem) or "Cannot open file" in problem:
        return f"The database {path} cannot be {done}: check the permissions of the file and its folder."
    return f"The database {path} cannot be opened: {problem.splitlines()[0][:200].rstrip('.')}."


def count_rows(path: Path, dataset_name: str = settings.DATASET_NAME) -> dict[str, int]:
    """Return how many rows each of our tables holds; nothing when another program has opened the file meanwhile."""
    try:
        return _count_rows(path, dataset_name)
    except duckdb.IOException:
        return {}


def _count_rows(path: Path, dataset_name: str) -> dict[str, int]:
    with duckdb.connect(str(path), read_only=True) as connection:
        found = connection.execute(
            "select table_name from information_schema.tables where table_schema = ?", [dataset_name]
        ).fetchall()
        names = [name for (name,) in found if name in ALL_TABLES]
        counts = {
            name: connection.sql(f'select count(*) from "{dataset_name}"."{name}"').fetchone() for name in names
        }
    return {name: row[0] for name, row in counts.items() if row}


def empty_staging(tables: duckdb.DuckDBPyConnection) -> None:
    """Empty the tables in which dlt prepares a merge: they still hold what was merged last."""
    like = f"{settings.DATASET_NAME}_staging%"
    found = (
        "select schema_name, table_name from duckdb_tables() where schema_name like ? and table_name not like '_dlt%'"
    )
    for schema, table in tables.execute(found, [like]).fetchall():
        tables.execute(f"delete from {quoted_name(schema)}.{quoted_name(table)}")


def write_anew(database: Path) -> None:
    """Write the file anew, in one step: in the old one, what was removed may still stand in blocks that are free.

    Raises DestinationError where that cannot be done.
    """
    database = database.resolve()  # a link would be replaced, and the file behind it stay as it was
    fresh = database.with_name(f".{database.name}.forget")
    try:
        for left in (fresh, fresh.with_name(fresh.name + ".wal")):
            left.unlink(missing_ok=True)
        # Else it spills into the current folder, where the next run would not look.
        spill = str(_spill_folder(database))
        with _private_files(), duckdb.connect(":memory:", config={"temp_directory": spill}) as connection:
            connection.execute(f"attach {literal(str(database))} as old; attach {literal(str(fresh))} as new")
            connection.execute("copy from database old to new; detach new; detach old")
        if database.with_name(database.name + ".wal").exists():
            raise duckdb.IOException("another program has it open")
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.chmod(database.stat().st_mode)
        fresh.replace(database)
    except (duckdb.Error, OSError) as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise DestinationError(
            f"The rows are removed, but {database} cannot be written anew ({str(error).splitlines()[0][:200]}): what "
            "they held may still stand in its free blocks. Make room, and run the command again."
        ) from None


@contextmanager
def _private_files() -> Iterator[None]:
    """Make files that are created in the block readable to their owner alone, from their first byte on."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
