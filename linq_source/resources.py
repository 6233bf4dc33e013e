"""The dlt resources: one for each table, all fed by one unselected parent that reads Linq once for all of them."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.configuration.container import Container
from dlt.common.exceptions import TerminalValueError
from dlt.common.schema.typing import TColumnSchema
from dlt.common.storages.load_package import LoadPackageStateInjectableContext
from dlt.extract.resource import DltResource

from linq_source.errors import ConfigurationError
from linq_source.event_tables import ALL_TABLES
from linq_source.extras import ARROW_TYPES, ExtraColumns
from linq_source.files import FileMemory, files_of
from linq_source.memory import Memory
from linq_source.open_tables import check_format
from linq_source.rows import Batch
from linq_source.strategies import Strategy, strategy_of
from linq_source.sync import Sync
from linq_source.tables import TABLES, TEXT, Departure, Table
from linq_source.times import TIMESTAMP

_DLT_TYPES = {
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "bool",
    TIMESTAMP: "timestamp",
    TEXT: "text",
}
_LOAD_ID = pa.field("_dlt_load_id", TEXT, nullable=False)


def build_resources(
    make_sync: Callable[[], Sync], *, commit_every: int | None, raises: bool
) -> tuple[DltResource, ...]:
    """Return the resources of a sync: the unselected parent, then a transformer for each table.

    `make_sync` returns the sync that a run of them writes, or the next slice of.
    """
    make_parent = dlt.resource(changes, name="changes", selected=False)
    parent = make_parent(make_sync, commit_every=commit_every, raises=raises)
    return with_tables(parent, TABLES.values())


def with_tables(parent: DltResource, tables: Iterable[Table]) -> tuple[DltResource, ...]:
    """Return a resource of batches, followed by a transformer for each table that they may hold."""
    logging.getLogger("dlt").addFilter(_drop_json_notice)
    return (parent, *(_transformer(table, parent) for table in tables))


def open_memory() -> Memory:
    """Return the memory of the pipeline that is running; its destination is written as it allows from now on.

    Raises ConfigurationError where the destination cannot keep tables that mirror Linq.
    """
    pipeline = dlt.current.pipeline()
    _prepare(pipeline.destination)
    resources = dlt.current.source().selected_resources
    formats = {resource.table_format for name, resource in resources.items() if name in ALL_TABLES}
    if len(formats) > 1:
        raise ConfigurationError("The tables are to be written in several formats: set one table_format for all.")
    table_format: Any = next(iter(formats), None)
    check_format(table_format)
    strategy = strategy_of(pipeline.destination, table_format)
    if strategy is None:
        kind = f"tables of the format {table_format}" if table_format else "rows"
        raise ConfigurationError(f"{pipeline.destination.destination_name} cannot replace {kind}: choose a database.")
    for name, resource in resources.items():
        if strategy != "delete-insert" and name in ALL_TABLES:
            resource.apply_hints(**_writing_hints(ALL_TABLES[name], strategy))
    memory = memory_of(pipeline)
    if isinstance(memory, FileMemory):
        memory.will_be_written(table_format)
    return memory


def memory_of(pipeline: dlt.Pipeline) -> Memory:
    """Return what the destination of a pipeline holds."""
    types = {
        name: {column: str(hints.get("data_type")) for column, hints in table["columns"].items()}
        for schema in pipeline.schemas.values()
        for name, table in schema.tables.items()
    }
    json_columns = {
        name: {column for column, kind in columns.items() if kind == "json"} for name, columns in types.items()
    }
    files = files_of(pipeline)
    if files:
        return FileMemory(files, json_columns, types)
    return Memory(lambda: pipeline.sql_client(), json_columns, types)


def changes(
    make_sync: Callable[[], Sync], *, commit_every: int | None = None, raises: bool = True
) -> Iterator[Batch]:
    """Everything that a sync has to write, as batches of Arrow tables by table name.

    With `raises`, a sync that gave up fails the run, so that a pipeline of anyone's own never succeeds in
    silence; without it the caller looks at `sync.summary.failure` after the load.
    """
    memory, sync = open_memory(), make_sync()
    selected = set(dlt.current.source().selected_resources)
    yield from sync.next_slice(memory, selected, _known_extras(), commit_every=commit_every)
    if raises and sync.summary.failure:
        raise sync.summary.failure


def _prepare(destination: Any) -> None:
    """Set the capabilities of a destination that dlt leaves unset, or as we cannot use them."""
    capabilities = destination.capabilities()
    # dlt 1.31 opens a transaction around the DELETE and the INSERT of a merge only where it is told that the
    # destination has transactions, or where the SQL happens to hold the letters "create" (as in `created_at`).
    # A run that is killed between the two would lose the rows that Linq no longer lists. Destinations without
    # transactions say so, and those that say nothing have them, but for Databricks, whose client begins none.
    if capabilities.supports_transactions is None:
        destination.caps_params.setdefault("supports_transactions", True)
    formats = capabilities.supported_loader_file_formats or []
    if "parquet" in formats and not _takes_json(capabilities, "parquet"):  # BigQuery, of the formats Arrow prefers
        others = [name for name in formats if name != "parquet"]
        destination.caps_params.setdefault("supported_loader_file_formats", others)
    if strategy_of(destination) == "append":
        destination.caps_params.setdefault("preferred_loader_file_format", "parquet")  # which tells the types
    if hasattr(capabilities.type_mapper, "db_type_from_json_type"):  # SQLAlchemy's
        from linq_source.json_columns import parsing

        destination.caps_params.setdefault("type_mapper", parsing(capabilities.type_mapper))


def _takes_json(capabilities: Any, file_format: str) -> bool:
    column: TColumnSchema = {"name": "column", "data_type": "json"}
    table = {"name": "table", "columns": {"column": column}}
    if capabilities.type_mapper is None:  # there are no types of its own, as in files
        return True
    try:
        capabilities.get_type_mapper().ensure_supported_type(column, table, file_format)
    except TerminalValueError:
        return False
    except KeyError:  # Databricks looks for more in a table than is there
        return True
    return True


def _transformer(table: Table, parent: DltResource) -> DltResource:
    seen: set[tuple[Any, ...]] = set()

    def rows(batch: Batch) -> Iterator[Any]:
        if (found := batch.get(table.name)) is not None:
            if _is_upserted(dlt.current.resource()):
                found = _once(found, table.key, seen)
            yield _with_load_id(found)

    rows.__doc__ = table.description
    resource: DltResource = dlt.transformer(
        rows,
        data_from=parent,
        name=table.name,
        primary_key=list(table.key),
        **_writing_hints(table, "delete-insert"),  # until the destination is known
        columns=column_hints(table),
    )
    return resource


def _is_upserted(resource: DltResource) -> bool:
    disposition: Any = resource.write_disposition
    return isinstance(disposition, dict) and disposition.get("strategy") == "upsert"


def _once(table: pa.Table, key: Sequence[str], seen: set[tuple[Any, ...]]) -> pa.Table:
    """Return the rows whose keys were not seen in this load: an upsert refuses a key that comes twice."""
    keys = zip(*(table[name].to_pylist() for name in key), strict=True)
    is_new = [each not in seen and not seen.add(each) for each in keys]  # type: ignore[func-returns-value]
    return table if all(is_new) else table.filter(pa.array(is_new, type=pa.bool_()))


def _writing_hints(table: Table, strategy: Strategy) -> dict[str, Any]:
    if strategy == "append":
        # A row that tells of a removal is appended as any other, and hides those before it.
        removal: TColumnSchema = {"name": "is_removed", "hard_delete": False}
        columns = {"is_removed": removal} if table.departure is Departure.REMOVED else {}
        return {"write_disposition": "append", "columns": columns}
    return {"write_disposition": {"disposition": "merge", "strategy": strategy}}


def column_hints(table: Table) -> dict[str, TColumnSchema]:
    """Return the columns of a table as dlt describes them: type, nullability, documentation."""
    hints: dict[str, TColumnSchema] = {}
    for column in table.columns:
        hint: TColumnSchema = {
            "name": column.name,
            "data_type": "json" if column.is_json else _DLT_TYPES[column.type],  # type: ignore[typeddict-item]
            "nullable": column.name not in table.key,
            "description": column.description,
        }
        if column.name == "is_removed" and table.departure is Departure.REMOVED:
            hint["hard_delete"] = True
        hints[column.name] = hint
    hints[_LOAD_ID.name] = {"name": _LOAD_ID.name, "data_type": "text", "nullable": False}
    return hints


def _with_load_id(table: pa.Table) -> Any:
    load_id = Container()[LoadPackageStateInjectableContext].load_id
    table = table.append_column(_LOAD_ID, pa.array([load_id] * table.num_rows, type=TEXT))
    extra_json = [field.name for field in table.schema if (field.metadata or {}).get(b"json")]
    if not extra_json:
        return table
    columns: dict[str, TColumnSchema] = {name: {"name": name, "data_type": "json"} for name in extra_json}
    return dlt.mark.with_hints(table, dlt.mark.make_hints(columns=columns))


def _known_extras() -> ExtraColumns:
    """Return the columns that earlier syncs added for fields unknown to us, from the restored schema."""
    known: dict[str, dict[str, str]] = {}
    schemas = dlt.current.pipeline().schemas
    stored = schemas["linq"].tables if "linq" in schemas else {}
    for table in TABLES.values():
        own = {column.name for column in table.columns}
        for name, column in stored.get(table.name, {}).get("columns", {}).items():
            if name not in own and not name.startswith("_dlt_") and column.get("data_type") in ARROW_TYPES:
                known.setdefault(table.name, {})[name] = str(column["data_type"])
    return ExtraColumns(known)


def _drop_json_notice(record: logging.LogRecord) -> bool:
    # dlt warns for each batch that a JSON column comes as text, which is how Arrow carries JSON.
    return "when merging arrow schema with dlt schema" not in record.getMessage()
