"""The local disk for dlt, where several processes may write into one folder at once."""

import copy
from pathlib import Path
from typing import Any
from uuid import uuid4

from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]


class WholeFiles(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A disk on which a text is there whole or not at all, and a folder may be there already.

    dlt keeps its schemas and states as texts. Without this a process finds those half written that another is at
    work on, and of two that begin in an empty folder one fails.
    """

    def makedirs(self, path: str, exist_ok: bool = True) -> None:  # noqa: ARG002  # fsspec's signature
        """Make a folder, unless it is there."""
        super().makedirs(path, exist_ok=True)

    def write_text(self, path: str, value: str, encoding: str | None = None, *args: Any, **how: Any) -> None:
        """Write a text beside its place, and then have it take its place."""
        place = Path(self._strip_protocol(path))
        unfinished = place.with_name(f".{uuid4().hex}.tmp")  # a name that dlt takes for none of its own
        try:
            super().write_text(str(unfinished), value, encoding, *args, **how)
            unfinished.replace(place)
        finally:
            unfinished.unlink(missing_ok=True)


def with_whole_files(destination: Any) -> Any:
    """Return a destination of dlt's that writes so, if it writes to a local disk at all."""
    destination = copy.copy(destination)
    make = destination.client

    def client(*args: Any, **how: Any) -> Any:
        made = make(*args, **how)
        if getattr(made, "is_local_filesystem", False):
            made.fs_client = WholeFiles(*made.fs_client.storage_args, **made.fs_client.storage_options)
        return made

    destination.client = client
    return destination
