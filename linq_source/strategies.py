"""How rows are written where: what a destination can do decides it, never its name."""

from collections.abc import Sequence
from typing import Any, Literal

Strategy = Literal["delete-insert", "append"]
"""`delete-insert`: a row takes the place of the one with its key. `append`: it is added, and the newest counts."""


def strategy_of(destination: Any) -> Strategy | None:
    """Return how a destination of dlt's mirrors a list, or None for one that cannot."""
    if "delete-insert" in _merges(destination.capabilities()):
        return "delete-insert"
    return "append" if _keeps_files(destination) else None


def _merges(capabilities: Any) -> Sequence[str]:
    strategies: Sequence[str] = capabilities.supported_merge_strategies or []
    if select := capabilities.merge_strategies_selector:
        strategies = select(strategies, table_schema={"name": "table", "columns": {}})
    return strategies


def _keeps_files(destination: Any) -> bool:
    # Only there it can be told from the place of a row whether its load was completed.
    from dlt.destinations.fs_client import FSClientBase

    return issubclass(destination.client_class, FSClientBase)
