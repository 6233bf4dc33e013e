"""How rows are written where: what a destination can do decides it, never its name."""

from collections.abc import Sequence
from typing import Any, Literal

Strategy = Literal["delete-insert", "upsert", "append"]
"""`delete-insert` and `upsert`: a row takes the place of the one with its key. `append`: it is added, and the newest
counts."""


def strategy_of(destination: Any, table_format: str | None = None) -> Strategy | None:
    """Return how a destination of dlt's mirrors a list, or None for one that cannot.

    `table_format` is dlt's name of how tables are kept in files, like delta; None where files are plain.
    """
    capabilities = destination.capabilities()
    if table_format and table_format not in (capabilities.supported_table_formats or []):
        return None
    merges = _merges(capabilities, table_format)
    if "delete-insert" in merges:
        return "delete-insert"
    if not keeps_files(destination):
        return None
    if table_format:
        return "upsert" if "upsert" in merges else None
    return "append"


def keeps_files(destination: Any) -> bool:
    """Whether a destination is a file system, in which it can be seen what each load has left."""
    from dlt.destinations.fs_client import FSClientBase

    return issubclass(destination.client_class, FSClientBase)


def _merges(capabilities: Any, table_format: str | None) -> Sequence[str]:
    strategies: Sequence[str] = capabilities.supported_merge_strategies or []
    if select := capabilities.merge_strategies_selector:
        table = {"name": "table", "columns": {}} | ({"table_format": table_format} if table_format else {})
        strategies = select(strategies, table_schema=table)
    return strategies
