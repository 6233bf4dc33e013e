"""Where a sync writes: a DuckDB file, or any destination that can mirror a list, by its name; each with its lock."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import dlt
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.destination.reference import Destination
from dlt.common.exceptions import MissingDependencyException
from dlt.destinations.sql_client import WithSqlClient

from linq_source import settings
from linq_source.database import check_unlocked, held_database, lock_path, shorten_log
from linq_source.errors import ConfigurationError
from linq_source.loading import Target
from linq_source.open_tables import check_format
from linq_source.shards import Shard
from linq_source.strategies import strategy_of


def database_target(path: Path, **how: Any) -> Target:
    """Return a DuckDB file as a target, without opening it; `how` are further fields."""
    return Target(
        # By its field: a text might be a URL to dlt, which has SQLAlchemy read it where that is installed.
        destination=dlt.destinations.duckdb({"database": str(path)}),
        lock_path=lock_path(path),
        check=lambda: check_unlocked(path),
        hold=lambda: held_database(path),
        after_commit=lambda: shorten_log(path),
        **how,
    )


def warehouse_target(
    name: str,
    dataset_name: str = settings.DATASET_NAME,
    *,
    shard: Shard | None = None,
    table_format: str | None = None,
    **how: Any,
) -> Target:
    """Return the target that `--destination` names, without asking anything of it; `how` are further fields.

    Raises ConfigurationError for a destination that dlt does not know, that nothing installed can reach, or that
    can neither delete and insert in one merge nor keep files, or not be read by SQL.
    """
    try:
        destination: Any = Destination.from_reference(name)
        strategy = strategy_of(destination, table_format)
    except (UnknownDestinationModule, ValueError):
        raise ConfigurationError(
            f"--destination {name}: dlt knows no such destination. It has postgres, snowflake, bigquery, sqlalchemy "
            "(SQLite), filesystem (Parquet files, also on S3), ..."
        ) from None
    except (MissingDependencyException, ImportError):
        raise ConfigurationError(
            f"--destination {name}: what reaches it is not installed: pip install 'dlt[{name}]' beside linq-source."
        ) from None
    if strategy is None and table_format:
        raise ConfigurationError(
            f"--table-format {table_format}: --destination {name} has none that we can mirror in."
        )
    if strategy is None:
        raise ConfigurationError(
            f"--destination {name} cannot replace rows (dlt has no delete-insert merge for it), and it keeps no "
            "files either, so its tables would not mirror Linq. Choose a database or warehouse, or filesystem."
        )
    if not _is_readable(destination):
        raise ConfigurationError(
            f"--destination {name} cannot be read by SQL, so a sync could not know what is stored there. Choose a "
            "database or warehouse, or filesystem."
        )
    if shard and destination.destination_type.rpartition(".")[2] == "duckdb":
        raise ConfigurationError("--shard: a DuckDB file takes one writing process, which reads all numbers too.")
    if shard and table_format:
        raise ConfigurationError(
            f"--shard: tables of the format {table_format} take one writing process. Plain files take several."
        )
    check_format(table_format)
    where: dict[str, Any] = {"dataset_name": dataset_name, "lock_path": _lock_path(name, dataset_name, shard)}
    return Target(destination=destination, shard=shard, table_format=table_format, **where, **how)


def _is_readable(destination: Any) -> bool:
    try:
        return issubclass(destination.client_class, WithSqlClient)
    except (MissingDependencyException, ImportError):
        return True  # as far as is known: what is not installed is said after what is not set


def _lock_path(name: str, dataset_name: str, shard: Shard | None) -> Path:
    """Return the lock file of a dataset or shard: it keeps out a second run on this machine, none on another."""
    digest = hashlib.sha256(f"{name}\n{dataset_name}\n{shard or ''}".encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"linq_source_{digest}.lock"
