"""How dlt loads: one commit after another into a target, and what went wrong as an error with a sentence."""

import copy
import errno
import logging
import os
import random
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.extract.source import DltSource
from dlt.pipeline.helpers import retry_schema_update

from linq_source import settings
from linq_source.analytics.views import create_views
from linq_source.comments import comment
from linq_source.destination_errors import first_line, unusable, without_texts
from linq_source.errors import ConfigurationError, DestinationError, LinqError
from linq_source.files import files_of
from linq_source.shards import Shard
from linq_source.sync import Sync
from linq_source.webhook.event_loader import EventLoader
from linq_source.whole_files import with_whole_files

logger = logging.getLogger(__name__)

_RACES = 8
"""How often the creation of tables may meet another process that creates them too."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a sync writes, and how it commits."""

    destination: Any
    """A dlt destination."""
    lock_path: Path
    hold: Callable[[], AbstractContextManager[None]] = nullcontext
    """Entered under the lock, before any request, until the run ends. Raises DestinationError when the destination
    cannot be used."""
    check: Callable[[], None] = lambda: None
    """Called before the lock is taken, whose file stays. Raises ConfigurationError for what is no place to write."""
    after_commit: Callable[[], None] = lambda: None
    """Called after each commit of the run."""
    dataset_name: str = settings.DATASET_NAME
    shard: Shard | None = None
    """The shard that is written, where several processes write at once."""
    pipeline_name: str = settings.PIPELINE_NAME
    table_format: str | None = None
    """dlt's name of how tables are kept in files, like delta; None where they are plain, or in a database."""
    commit_every: int = settings.COMMIT_EVERY
    """Messages that a killed run repeats at most; about two fifths as many make one commit."""
    max_minutes: float | None = None


def load(
    work: Sync | EventLoader, target: Target, folder: Path, loads: list[str], make_source: Callable[[], DltSource]
) -> None:
    """Run a source again and again until its work is finished; each run is one commit.

    Raises what `plain` makes of an error: DestinationError, ConfigurationError, or the source's own.
    """
    if target.shard:
        target = apart(target, target.shard.name)
    failure: LinqError | None = None
    try:
        pipeline = dlt.pipeline(
            target.pipeline_name,
            destination=with_whole_files(_configured_once(target.destination)),
            dataset_name=target.dataset_name,
            pipelines_dir=str(folder),
        )
        if files := files_of(pipeline):
            files.remove_torn_files()
        while not work.is_finished:
            loads += _commit(pipeline, make_source(), target)
            target.after_commit()
        if work.needs_views:
            work.summary.skipped += _make_views(pipeline)
    except Exception as error:  # noqa: BLE001  # whatever a driver raises
        failure = plain(error, folder, target.destination.destination_name)
        logger.debug("The load failed: %s", without_texts(_causes(error)))
    if failure:
        # Not in the handler: a traceback that shows what was handled shows what a driver said, and it quotes rows.
        raise failure


def _make_views(pipeline: dlt.Pipeline) -> list[str]:
    if files := files_of(pipeline):
        files.write_views()
        return []
    dialect = pipeline.destination.capabilities().sqlglot_dialect
    with pipeline.sql_client() as client:
        skipped = create_views(client, dialect or "")
        comment(client, dialect)
    return skipped


def apart(target: Target, name: str) -> Target:
    """Return a target with a pipeline and staging tables of its own.

    Two pipelines that share a staging dataset empty it under each other's hands, and lose rows in silence.
    """
    destination = copy.copy(target.destination)
    destination.config_params = destination.config_params | {"staging_dataset_name_layout": f"%s_staging_{name}"}
    return replace(target, destination=destination, pipeline_name=f"{target.pipeline_name}_{name}")


def _commit(pipeline: dlt.Pipeline, source: DltSource, target: Target) -> list[str]:
    """Run a source once. A race with another process that creates the same tables or columns is run again."""
    how: dict[str, Any] = {
        "loader_file_format": _file_format(target.destination),
        "table_format": target.table_format,
    }
    step: Callable[[], Any] = partial(pipeline.run, source, **how)
    is_race = retry_schema_update()
    for attempt in range(_RACES):
        try:
            return list(step().loads_ids)
        except Exception as error:
            if not is_race(error) or attempt == _RACES - 1:
                raise
        logger.info("Another process changed the same tables: trying again.")
        time.sleep(random.uniform(0.2, 1.0) * (attempt + 1))  # noqa: S311  # spreads retries, no secret
        step = pipeline.load  # what was extracted waits there
    raise AssertionError


def _file_format(destination: Any) -> Any:
    # dlt 1.31 copies CSV into PostgreSQL such that an empty text becomes null, and a row with one always differs.
    return "insert_values" if destination.destination_type.rpartition(".")[2] == "postgres" else None


def _configured_once(destination: Any) -> Any:
    # dlt asks a destination for its capabilities some forty times a run, and looks up every setting in every
    # provider of configuration each time: a third of an idle sync.
    destination = copy.copy(destination)
    resolve = destination.configuration
    known: dict[str, Any] = {}

    def configuration(initial_config: Any, accept_partial: bool = False) -> Any:
        if not accept_partial:
            return resolve(initial_config)
        key = f"{type(initial_config)} {dict(initial_config or {})}"
        if key not in known:
            known[key] = resolve(initial_config, accept_partial)
        return known[key].copy()

    destination.configuration = configuration
    return destination


def plain(error: BaseException, folder: Path, name: str = "") -> LinqError:
    """Return what lies behind one of dlt's wrapped errors, as an error with a sentence of its own.

    `name` is the destination's, and `folder` the one that dlt works in.
    """
    chain = _causes(error)
    for each in chain:
        if isinstance(each, LinqError):
            return each
        if isinstance(each, ConfigFieldMissingException):
            names = " and ".join(sorted(_setting(each, field) for field in each.traces))
            in_file = names.lower().replace("__", ".")
            return ConfigurationError(
                f"The destination lacks settings: set {names} in the environment, or {in_file} in .dlt/secrets.toml."
            )
        if isinstance(each, ModuleNotFoundError):
            return ConfigurationError(
                f"The destination needs the package {each.name}, which is not installed here: install dlt's extra of "
                "that destination, like pip install 'dlt[postgres]'."
            )
    texts = "\n".join(map(str, chain))
    if (no_space := os.strerror(errno.ENOSPC)) in texts:
        file = re.search(rf'file "([^"]+)": {no_space}', texts)
        return DestinationError(
            f"The disk is full: {file[1] if file else folder} could not be written. What was committed before "
            "is kept; make room, and the next run goes on from there."
        )
    if name and (found := unusable(chain, name, folder)):
        return found
    cause = chain[-1]
    return DestinationError(
        f"The destination failed: {type(cause).__name__}: {first_line(cause)}. What was committed before is kept, "
        "and the next run goes on from there."
    )


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and what lies behind it, the first cause last."""
    chain = [error]
    while (deeper := chain[-1].__cause__ or chain[-1].__context__) and deeper not in chain:
        chain.append(deeper)
    return chain


def _setting(error: ConfigFieldMissingException, field: str) -> str:
    """Return the variable that sets a field which dlt looked for, like DESTINATION__POSTGRES__CREDENTIALS."""
    found = re.search(rf", (DESTINATION__\w+?__{field.upper()})(?:__|\))", str(error))
    return found[1] if found else field


@contextmanager
def quiet_dlt() -> Iterator[None]:
    """Keep out of dlt's log what comes back to us as an error as well, and is then said in a sentence.

    At any level: it quotes rows, and statements with rows in them.
    """
    dlt_logger = logging.getLogger("dlt")

    def is_wanted(record: logging.LogRecord) -> bool:
        if "native writer" in str(record.msg):
            return dlt_logger.level <= logging.INFO
        return record.exc_info is None and (record.module != "load" or record.levelno < logging.WARNING)

    dlt_logger.addFilter(is_wanted)
    try:
        with warnings.catch_warnings():
            # Of the SQL that dlt writes for a merge through SQLAlchemy.
            warnings.filterwarnings("ignore", "implicitly coercing SELECT object")
            yield
    finally:
        dlt_logger.removeFilter(is_wanted)
