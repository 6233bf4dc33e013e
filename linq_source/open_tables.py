"""Tables that files alone make up, with a log that tells which of the files count: Delta."""

from typing import Any

from linq_source.errors import DestinationError

MARKS = {"delta": "_delta_log/*.json"}
"""Where a table of a format has files, below its folder."""


def scan(table_format: str, table_name: str) -> str:
    """Return how DuckDB reads a table of the dataset, with its extension for the format."""
    return f"{table_format}_scan(getvariable('linq_dataset') || '/{table_name}')"


def parquet_files(location: str, client: Any) -> list[str]:
    """Return the Parquet files that make up a Delta table now; `client` is dlt's, of the destination.

    They can be read without DuckDB's extension, since those that write here never delete rows in files.
    """
    from deltalake import DeltaTable
    from dlt.common.libs.deltalake import deltalake_storage_options

    options = deltalake_storage_options(client.config.credentials, client.config.deltalake_storage_options)
    table = DeltaTable(location, storage_options=options)
    if features := table.protocol().reader_features:
        raise DestinationError(
            f"The Delta table at {location} has {', '.join(features)}, which another program has switched on: only "
            "what this package writes can be read here. Name another --dataset."
        )
    return [uri.removeprefix("file://") for uri in table.file_uris()]
