"""The Parquet files that receivers wrote, read back: a local folder or any URL that fsspec opens."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from linq_source.errors import ConfigurationError, DestinationError
from linq_source.times import fits_python
from linq_source.webhook.parquet import MAX_BYTES, SCHEMA
from linq_source.webhook.targets import LocalFolder, ObjectStore, open_target

_BATCH_ROWS = 10_000
MAX_INFLATED_BYTES = 8 * MAX_BYTES
"""Of one file. A receiver cuts its files at 64 Mi characters of data, each of at most four bytes; ids come on top."""
_VERSION = b"linq_webhook_events"


class UnusableFileError(Exception):
    """A file that holds no events that we can read. Its text says why."""


class EventFiles(Protocol):
    """A place that receivers write files to."""

    def names(self) -> list[str]:
        """Return the names of all Parquet files, with `/` between folders, in order."""

    def read(self, name: str) -> bytes:
        """Return a file's content; raises FileNotFoundError where it has gone meanwhile, else OSError."""


def open_files(directory: str, option: str = "--directory") -> EventFiles:
    """Return the files below `directory`, which `option` names.

    Raises ConfigurationError for a folder that does not exist or a URL that nothing installed can open.
    """
    target = open_target(directory, option)
    if isinstance(target, ObjectStore):
        return _Store(target)
    assert isinstance(target, LocalFolder)
    if not target.folder.is_dir():
        raise ConfigurationError(
            f"There is no folder of events {target.folder}: name the one that webhook_to_parquet.py writes to."
        )
    return _Folder(target.folder)


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        found = (path.relative_to(self._folder) for path in self._folder.rglob("*.parquet") if path.is_file())
        return _shown(path.as_posix() for path in found)

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()


class _Store:
    def __init__(self, store: ObjectStore) -> None:
        self._filesystem, root = store.open()
        self._root = root.rstrip("/")

    def names(self) -> list[str]:
        try:
            self._filesystem.invalidate_cache()
            paths = self._filesystem.find(self._root)
        except FileNotFoundError:
            return []
        found = (str(path) for path in paths if str(path).endswith(".parquet"))
        return _shown(path.removeprefix(f"{self._root}/") for path in found)

    def read(self, name: str) -> bytes:
        content: bytes = self._filesystem.cat_file(f"{self._root}/{name}")
        return content


def _shown(names: Iterator[str]) -> list[str]:
    # What begins with a dot is still being written.
    return sorted(name for name in names if not any(part.startswith(".") for part in name.split("/")))


def read_events(files: EventFiles, name: str, *, place: str) -> Iterator[pa.Table]:
    """Yield a file's events as tables of the receiver's schema, each of bounded size.

    Raises UnusableFileError for a file that is torn or is none of ours, before anything of it is yielded, and
    DestinationError where the place itself fails.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        # No column holds such a name, so nothing could note that it was loaded.
        raise UnusableFileError("its name is not valid UTF-8; rename it") from None
    try:
        content = files.read(name)
    except FileNotFoundError:
        raise UnusableFileError("it went away before it was read") from None
    except OSError as error:
        raise DestinationError(
            f"The events in {place} cannot be read: {error.strerror or type(error).__name__}."
        ) from None
    try:
        file = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
        _check(file.schema_arrow)
        _check_size(file.metadata)
        # To the last byte before the first row is used: a file is loaded whole or not at all.
        tables, size = [], 0
        for batch in file.iter_batches(_BATCH_ROWS):
            size += batch.nbytes  # What a footer says need not be so, and a dictionary's texts count there once.
            if size > MAX_INFLATED_BYTES:
                raise _too_large()
            tables.append(_checked(pa.Table.from_batches([batch])))
    except (pa.ArrowException, OSError, ValueError):  # a null where none may be is no ArrowException
        raise UnusableFileError("it is torn, or no Parquet file") from None
    yield from tables


def _checked(found: pa.Table) -> pa.Table:
    """Return a table in the receiver's schema; raises ValueError where it holds what no receiver writes."""
    table = found.select(SCHEMA.names).cast(SCHEMA)
    table.validate(full=True)
    if not all(fits_python(table[name]) for name in ("created_at", "received_at")):
        raise ValueError("a time beyond the year 9999")
    return table


def _check_size(footer: pq.FileMetaData) -> None:
    groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
    if sum(each.column(at).total_uncompressed_size for each in groups for at in range(each.num_columns)) > (
        MAX_INFLATED_BYTES
    ):
        raise _too_large()


def _too_large() -> UnusableFileError:
    return UnusableFileError("it holds more than a receiver writes into one file")


def _check(found: pa.Schema) -> None:
    version = (found.metadata or {}).get(_VERSION)
    if version is None:
        raise UnusableFileError("webhook_to_parquet.py did not write it")
    wanted = (SCHEMA.metadata or {})[_VERSION]
    if version != wanted or any(
        found.names.count(name) != 1 or found.field(name).type != SCHEMA.field(name).type for name in SCHEMA.names
    ):
        raise UnusableFileError("another version wrote it; update linq_source")
