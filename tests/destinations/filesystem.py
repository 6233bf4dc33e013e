"""Plain Parquet files in a folder, read as an analyst does: through the file of views beside them."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import duckdb

from linq_source.event_tables import ALL_TABLES
from linq_source.files import VIEWS_FILE
from linq_source.loading import Target
from tests.destinations.store import DATASET, Environment, Store
from tests.s3_server import KEY, VALUE, filesystem, running_s3, settings

_buckets = count(1)


class Filesystem(Store):
    """A folder of this test's own."""

    destination = "filesystem"
    name = "filesystem"
    table_format: ClassVar[str | None] = None
    packages = ()
    is_tried_apart = True

    @classmethod
    def options(cls) -> list[str]:
        return ["--table-format", cls.table_format] if cls.table_format else []

    def target(self, **options: Any) -> Target:
        return super().target(**{"table_format": self.table_format} | options)

    def environment(self) -> Environment:
        return {"DESTINATION__FILESYSTEM__BUCKET_URL": self.folder.as_uri()}

    def files(self) -> dict[str, bytes]:
        """Every file below the dataset's folder, by its path there."""
        folder = self.folder / DATASET
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def views(self) -> str:
        """The text of the file of views."""
        return self.files()[VIEWS_FILE].decode()

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Give a new DuckDB what it needs to reach the files."""

    @contextmanager
    def opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            self.prepare(connection)
            connection.execute(self.views())
            yield connection

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.opened() as connection:
            return connection.execute(sql).fetchall()

    def table_names(self) -> list[str]:
        names = self.query("select table_name from information_schema.tables")
        return [name for (name,) in names if name in ALL_TABLES or name == "_dlt_loads"]

    def read(self, name: str) -> list[dict[str, Any]]:
        return self.tables(name)[name]

    def tables(self, *names: str) -> dict[str, list[dict[str, Any]]]:
        with self.opened() as connection:
            return {name: connection.table(name).to_arrow_table().to_pylist() for name in names}

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        return {path: [(hashlib.sha256(content).hexdigest(),)] for path, content in self.files().items()}


class S3(Filesystem):
    """A bucket of this test's own on an S3 server; DuckDB reads it with its own extension, as an analyst's does."""

    name = "filesystem-s3"
    packages = ("s3fs", "moto", "duckdb_extensions", "duckdb_extension_httpfs")
    url: ClassVar[str]

    @classmethod
    @contextmanager
    def prepared(cls) -> Iterator[None]:
        with running_s3("first") as cls.url:
            yield

    def environment(self) -> Environment:
        self.bucket = f"bucket-{next(_buckets)}"
        self._s3 = filesystem(self.url)
        self._s3.mkdir(self.bucket)
        return {"DESTINATION__FILESYSTEM__BUCKET_URL": f"s3://{self.bucket}/linq", **settings(self.url)}

    def files(self) -> dict[str, bytes]:
        folder = f"{self.bucket}/linq/{DATASET}/"
        return {path.removeprefix(folder): self._s3.cat_file(path) for path in self._s3.find(folder)}

    def views(self) -> str:
        text: str = self._s3.read_text(f"{self.bucket}/linq/{DATASET}/{VIEWS_FILE}")
        return text

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        from duckdb_extensions import import_extension

        import_extension("httpfs", con=connection)
        host = self.url.removeprefix("http://")
        connection.execute(
            f"create secret (type s3, key_id '{KEY}', secret '{VALUE}', endpoint '{host}', url_style 'path', "
            "use_ssl false, region 'us-east-1')"
        )


class Delta(Filesystem):
    """Delta tables in a folder, read with DuckDB's extension."""

    name = "filesystem-delta"
    packages = ("deltalake", "duckdb_extensions", "duckdb_extension_delta")
    table_format = "delta"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "the lake")  # Delta's log gives a space back as it is in a URL

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        from duckdb_extensions import import_extension

        super().prepare(connection)
        import_extension("delta", con=connection)


class DeltaS3(Delta, S3):
    """Delta tables in a bucket."""

    name = "filesystem-delta-s3"
    packages = (*Delta.packages, *S3.packages)


class Iceberg(Filesystem):
    """Iceberg tables in a folder, without a catalog, read with DuckDB's extension."""

    name = "filesystem-iceberg"
    packages = ("pyiceberg", "duckdb_extensions", "duckdb_extension_iceberg", "duckdb_extension_avro")
    table_format = "iceberg"

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        from duckdb_extensions import import_extension

        super().prepare(connection)
        import_extension("avro", con=connection)
        import_extension("iceberg", con=connection)


class IcebergS3(Iceberg, S3):
    """Iceberg tables in a bucket."""

    name = "filesystem-iceberg-s3"
    packages = (*Iceberg.packages, *S3.packages)
