"""A DuckDB file as a destination: whether it can be opened and written, said in a sentence."""

import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from linq_source import settings
from linq_source.errors import DestinationError
from linq_source.tables import TABLES

PATIENCE_SECONDS = 5.0


def check_database(
    path: Path, *, patience_seconds: float = PATIENCE_SECONDS, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Raise DestinationError unless the file can be opened for writing; waits a while for one that is in use."""
    if not path.parent.is_dir():
        raise DestinationError(f"The folder {path.parent} of the database does not exist: create it first.")
    if path.is_dir():
        raise DestinationError(f"The database {path} is a folder: name a file, like linq.duckdb.")
    waited = 0.0
    while True:
        try:
            duckdb.connect(str(path)).close()
        except duckdb.Error as error:
            problem = _sentence(path, str(error))
            if "lock" not in str(error) or waited >= patience_seconds:
                raise DestinationError(problem) from None
            sleep(0.5)
            waited += 0.5
        else:
            return


def _sentence(path: Path, problem: str) -> str:
    text = problem.lower()
    if "lock" in text:
        return f"The database {path} is open in another program: close it there (a notebook, a DuckDB shell) first."
    if "not a valid duckdb" in text or "serialization" in text:
        return f"The file {path} is not a DuckDB database: name another one with --database."
    if "permission" in text or "read-only" in text or "cannot open" in text:
        return f"The database {path} cannot be written: check the permissions of the file and its folder."
    if "space" in text:
        return f"The database {path} cannot be written: the disk is full."
    return f"The database {path} cannot be opened: {problem.splitlines()[0][:200]}"


def count_rows(path: Path, dataset_name: str = settings.DATASET_NAME) -> dict[str, int]:
    """Return how many rows each of our tables holds."""
    with duckdb.connect(str(path), read_only=True) as connection:
        found = connection.execute(
            "select table_name from information_schema.tables where table_schema = ?", [dataset_name]
        ).fetchall()
        names = [name for (name,) in found if name in TABLES]
        counts = {
            name: connection.sql(f'select count(*) from "{dataset_name}"."{name}"').fetchone() for name in names
        }
    return {name: row[0] for name, row in counts.items() if row}
