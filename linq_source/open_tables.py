"""Tables that files alone make up, with a log that tells which of the files count: Delta and Iceberg."""

from collections.abc import Callable
from importlib import metadata
from typing import Any
from urllib.parse import unquote

from packaging.version import Version

from linq_source.errors import ConfigurationError, DestinationError

MARKS = {"delta": "_delta_log/*.json", "iceberg": "metadata/*.metadata.json"}
"""Where a table of a format has files, below its folder."""

SETTINGS = {"iceberg": "set unsafe_enable_version_guessing = true"}
"""What DuckDB must be told first: without a catalog, the newest file of metadata is the one that counts."""


def check_format(table_format: str | None, version_of: Callable[[str], str] = metadata.version) -> None:
    """Raise ConfigurationError where what writes tables of a format is not installed, or is known to fail."""
    if table_format not in _PACKAGES:
        return
    package, extra, limit = _PACKAGES[table_format]
    try:
        version = Version(version_of(package))
    except metadata.PackageNotFoundError:
        version = None
    if version is None or (limit and version >= Version(limit)):
        found = f"{package} {version} fails where a column comes later" if version else f"{package} is not installed"
        wanted = f" '{package}<{limit}'" if limit else ""
        raise ConfigurationError(f"--table-format {table_format}: {found}: pip install 'dlt[{extra}]'{wanted}.")


_PACKAGES = {"delta": ("deltalake", "deltalake", None), "iceberg": ("pyiceberg", "pyiceberg", "0.10")}
"""What writes a format, dlt's extra of it, and the version from which on an upsert fails that also adds a column."""


def scan(table_format: str, table_name: str) -> str:
    """Return how DuckDB reads a table of the dataset, with its extension for the format."""
    options = ", version = '?'" if table_format == "iceberg" else ""
    return f"{table_format}_scan(getvariable('linq_dataset') || '/{table_name}'{options})"


def parquet_files(table_format: str, location: str, client: Any) -> list[str]:
    """Return the Parquet files that make up a table now; `client` is dlt's, of the destination.

    They can be read without DuckDB's extension, since those that write here never delete rows in files.
    """
    uris = _of_delta(location, client) if table_format == "delta" else _of_iceberg(location, client)
    return [uri.removeprefix("file://") for uri in uris]


def _of_delta(location: str, client: Any) -> list[str]:
    from deltalake import DeltaTable
    from dlt.common.libs.deltalake import deltalake_storage_options

    options = deltalake_storage_options(client.config.credentials, client.config.deltalake_storage_options)
    table = DeltaTable(location, storage_options=options)
    if features := table.protocol().reader_features:
        raise DestinationError(_CHANGED.format(location=location, what=", ".join(features)))
    uris: list[str] = table.file_uris()
    # Paths on a local disk come without a scheme, and yet as in a URL.
    return [uri if "://" in uri else unquote(uri) for uri in uris]


def _of_iceberg(location: str, client: Any) -> list[str]:
    from dlt.common.libs.pyiceberg import _get_fileio_config, get_last_metadata_file
    from pyiceberg.table import StaticTable

    newest = get_last_metadata_file(f"{location}/metadata", client.fs_client, client.config)
    files = list(StaticTable.from_metadata(newest, _get_fileio_config(client.config.credentials)).scan().plan_files())
    if any(file.delete_files for file in files):
        raise DestinationError(_CHANGED.format(location=location, what="files of deletions"))
    return [file.file.file_path for file in files]


_CHANGED = (
    "The table at {location} has {what}, which another program has brought in: only what this package writes can be "
    "read here. Name another --dataset."
)
