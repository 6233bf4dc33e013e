"""Where Parquet files go: a local folder or any URL that fsspec opens. A file appears whole or not at all."""

import os
import re
import threading
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from linq_source.errors import ConfigurationError, DestinationError
from linq_source.paths import usable_path
from linq_source.webhook.store import make_private_folder, sync_folder

_ATOMIC_PROTOCOLS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "azure", "memory"}
"""Stores in which an object is not there before all of it is."""


class Target(Protocol):
    """A place for files."""

    name: str
    """What may be shown of it."""

    def put(self, name: str, content: bytes) -> None:
        """Make `content` the file `name` (with `/` between folders), durably, in place of any other."""


def open_target(directory: str, option: str = "--directory") -> Target:
    """Return the target that `option` names; opens nothing on disk or network.

    Raises ConfigurationError for what can be neither a folder nor a URL.
    """
    if not _is_url(directory):
        wanted = "a folder or a URL, like webhook_events or s3://bucket/events"
        return LocalFolder(usable_path(directory, option, wanted, is_folder=True))
    try:
        parts = urlsplit(directory)
    except ValueError:
        # Not quoted: it may hold a password.
        raise ConfigurationError(f"{option} is not a URL: write it like s3://bucket/events.") from None
    if not (parts.netloc or parts.path):
        raise ConfigurationError(f"{option} {parts.scheme}:// names no bucket: write it like s3://bucket/events.")
    if parts.scheme == "file":
        return LocalFolder(usable_path(parts.path, option, "a folder, like file:///srv/events", is_folder=True))
    return ObjectStore(directory)


def journal_of(target: Target) -> Path:
    """Return the folder of the journal of a receiver that writes to a target, unless it is told another."""
    return target.folder / "journal" if isinstance(target, LocalFolder) else Path("webhook_journal")


def place_of(directory: str) -> str:
    """Return a folder's path, or of a URL the part that can hold no secret."""
    if not _is_url(directory):
        return directory
    parts = urlsplit(directory)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def _is_url(directory: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", directory) is not None


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
    except (MissingDependencyException, ImportError) as error:
        raise ConfigurationError(
            f"The folder of events {scheme}://... cannot be opened: what reads {scheme} is not installed "
            f"({type(error).__name__}). For S3 install linq-source[s3]."
        ) from None
    except ConfigurationException as error:
        raise ConfigurationError(
            f"The folder of events {scheme}://... needs credentials: set DESTINATION__FILESYSTEM__CREDENTIALS__... "
            f"or the section destination.filesystem.credentials of .dlt/secrets.toml ({type(error).__name__})."
        ) from None
    except ValueError as error:
        raise ConfigurationError(
            f"The folder of events {scheme}://... cannot be opened: nothing here reads {scheme}, or a part of the "
            f"URL cannot be used ({type(error).__name__}). Check how it is written."
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DestinationError(f"The folder of events {scheme}://... cannot be opened: {reason}.") from None
    return filesystem, str(root)
