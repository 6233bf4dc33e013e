"""Everything in a Linq account (iMessage, RCS, SMS), exactly, in DuckDB or any warehouse that dlt loads.

PULL  settings -> source -> client -> pages -> plan (which chats, from when) -> rows (Arrow) -> dlt -> destination

import dlt
from linq_source import linq_source

pipeline = dlt.pipeline("linq", destination="duckdb", dataset_name="linq_data")
pipeline.run(linq_source())
"""

from typing import TYPE_CHECKING, Any

from linq_source.errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    DestinationError,
    LinqError,
    LockedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from linq_source.source import linq_source

__all__ = [
    "ApiError",
    "AuthenticationError",
    "ConfigurationError",
    "DestinationError",
    "LinqError",
    "LockedError",
    "UnavailableError",
    "linq_source",
]


def __getattr__(name: str) -> Any:
    # dlt takes a second to import, which --help and the simulator need not wait for.
    if name == "linq_source":
        from linq_source.source import linq_source

        return linq_source
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
