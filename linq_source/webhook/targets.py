"""Where Parquet files go: a local folder or any URL that fsspec opens. A file appears whole or not at all."""

import os
import re
import threading
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from linq_source.errors import ConfigurationError, DestinationError
from linq_source.webhook.store import make_private_folder, sync_folder

_ATOMIC_PROTOCOLS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "azure", "memory"}
"""Stores in which an object is not there before all of it is."""


class Target(Protocol):
    """A place for files."""

    name: str
    """What may be shown of it."""

    def put(self, name: str, content: bytes) -> None:
        """Make `content` the file `name` (with `/` between folders), durably, in place of any other."""


def open_target(directory: str) -> Target:
    """Return the target that `--directory` names; touches neither disk nor network.

    Raises ConfigurationError for a URL that nothing installed can open.
    """
    if not directory.strip() or "\0" in directory:
        raise ConfigurationError("--directory needs a folder or a URL, like webhook_events or s3://bucket/events.")
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", directory):
        return LocalFolder(Path(directory))
    if directory.startswith("file://"):
        return LocalFolder(Path(urlsplit(directory).path))
    return ObjectStore(directory)


def journal_of(target: Target) -> Path:
    """Return the folder of the journal of a receiver that writes to a target, unless it is told another."""
    return target.folder / "journal" if isinstance(target, LocalFolder) else Path("webhook_journal")


def place_of(directory: str) -> str:
    """Return a folder's path, or of a URL the part that can hold no secret."""
    parts = urlsplit(directory)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}" if "://" in directory else directory


class LocalFolder:
    """A folder of this machine; its files and folders are readable to their owner alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = str(folder)

    def put(self, name: str, content: bytes) -> None:
        """Write under a temporary name, sync, rename, sync the folder."""
        path = self.folder / name
        make_private_folder(path.parent)
        temporary = path.with_name(f".{path.name}.tmp")
        # What lies there was left by a killed process, or is a link or a readable file that another user laid there.
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


class ObjectStore:
    """A URL, like `s3://bucket/prefix`, with the credentials of dlt's section `destination.filesystem`."""

    def __init__(self, url: str) -> None:
        self.name = place_of(url)
        self._url = url
        self._opened: tuple[Any, str] | None = None
        self._lock = threading.Lock()

    def put(self, name: str, content: bytes) -> None:
        """Write, then ask how much arrived: less than all is an OSError."""
        filesystem, root = self.open()
        path = f"{root.rstrip('/')}/{name}"
        if urlsplit(self._url).scheme in _ATOMIC_PROTOCOLS:
            filesystem.pipe_file(path, content)
        else:
            filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            filesystem.pipe_file(f"{path}.tmp", content)
            filesystem.mv(f"{path}.tmp", path)
        filesystem.invalidate_cache()
        if filesystem.size(path) != len(content):
            raise OSError("the store kept another size than was sent")

    def check(self) -> None:
        """Raise ConfigurationError or DestinationError where the URL cannot be opened at all."""
        self.open()

    def open(self) -> tuple[Any, str]:
        """Return the file system and the path in it; raises ConfigurationError or DestinationError."""
        with self._lock:
            if self._opened is None:
                self._opened = _open_url(self._url)
        return self._opened


def _open_url(url: str) -> tuple[Any, str]:
    from dlt.common.configuration.exceptions import ConfigurationException
    from dlt.common.configuration.resolve import resolve_configuration
    from dlt.common.exceptions import MissingDependencyException
    from dlt.common.storages.configuration import FilesystemConfiguration
    from dlt.common.storages.fsspec_filesystem import fsspec_from_config

    scheme = urlsplit(url).scheme
    try:
        config = resolve_configuration(
            FilesystemConfiguration(bucket_url=url), sections=("destination", "filesystem")
        )
        filesystem, root = fsspec_from_config(config)
    except (MissingDependencyException, ImportError, ValueError) as error:
        raise ConfigurationError(
            f"The folder of events {scheme}://... cannot be opened: what reads {scheme} is not installed "
            f"({type(error).__name__}). For S3 install linq-source[s3]."
        ) from None
    except ConfigurationException as error:
        raise ConfigurationError(
            f"The folder of events {scheme}://... needs credentials: set DESTINATION__FILESYSTEM__CREDENTIALS__... "
            f"or the section destination.filesystem.credentials of .dlt/secrets.toml ({type(error).__name__})."
        ) from None
    except OSError as error:
        raise DestinationError(f"The folder of events {scheme}://... cannot be opened: {error.strerror}.") from None
    return filesystem, str(root)
