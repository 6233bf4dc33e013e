"""What destinations raise, as it may be told: without values and passwords, and with the setting that is at fault.

A driver's error may quote what it could not store, which is what somebody wrote, and what it could not read, which
may be half a password.
"""

import errno
import re
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from dlt.common.configuration.exceptions import InvalidNativeValue
from dlt.common.configuration.specs import ConnectionStringCredentials
from dlt.pipeline.exceptions import PipelineStepFailed

from linq_source import settings
from linq_source.errors import ConfigurationError, DestinationError, LinqError
from linq_source.event_tables import ALL_TABLES
from linq_source.paths import is_refused

_NAMES = frozenset({settings.DATASET_NAME, *ALL_TABLES}).union(
    *({column.name for column in table.columns} for table in ALL_TABLES.values())
)
_QUOTED = re.compile(r"(?<!\w)([\"'`])(?:([A-Za-z_][\w.]{0,127})\1(?!\w))?")
_LIKE_VALUES = re.compile(r"\S+(?:@|://)\S+|\+?\d(?:[^A-Za-z\d]{0,3}\d){6,}")
_OF_LIBPQ = re.compile(r"connection to server (?:at|on) \"|could not translate host name \"")
_WITH_USER = re.compile(r"[\"'].*@[^\s\"']*[\"']?|\S*(?:@|://)\S*")


def unusable(chain: Sequence[BaseException], name: str, folder: Path) -> LinqError | None:
    """Return the error for a chain of causes that end in settings of the destination `name`; None for any other.

    `folder` is dlt's own, in which nothing is a setting's fault.
    """
    section = f"DESTINATION__{name.upper()}__"
    setting, cause = f"{section}CREDENTIALS", chain[-1]
    is_first = any(isinstance(each, PipelineStepFailed) and each.step == "sync" for each in chain)
    found = next((each for each in chain if isinstance(each, InvalidNativeValue)), None)
    if found or (is_first and "invalid dsn" in str(cause)):
        return ConfigurationError(f"{setting} cannot be read. {_advice(found, name, setting)}")
    if name == "filesystem":
        return _unusable_folder(cause, f"{section}BUCKET_URL", folder)
    if is_first and (type(cause).__name__ == "OperationalError" or isinstance(cause, OSError)):
        return DestinationError(
            f"The destination {name} cannot be reached: {_of_connecting(cause)}. See that it is up, and that "
            f"{setting} names its host, port, user and password; then run the command again."
        )
    return None


def _advice(error: InvalidNativeValue | None, name: str, setting: str) -> str:
    if error and not issubclass(error.spec, ConnectionStringCredentials):
        return "Set its parts one by one, as docs/warehouses.md shows."
    scheme = "postgresql" if name == "postgres" else name
    return (
        f"Write it as a URL, like {scheme}://user:password@host/database, or set its parts one by one, as in "
        f"{setting}__HOST."
    )


def _unusable_folder(cause: BaseException, setting: str, folder: Path) -> LinqError | None:
    if isinstance(cause, ValueError) and "Protocol not known" in str(cause):
        return ConfigurationError(
            f"{setting} begins with a protocol that is not known ({first_line(cause)}). Write it like "
            "file:///srv/lake or s3://bucket/prefix."
        )
    if not isinstance(cause, OSError) or not cause.filename or str(folder) in str(cause.filename):
        return None
    sentence = (
        f"The folder that {setting} names cannot be used: {cause.filename}: {cause.strerror}. Name another one, or "
        "let this user write there."
    )
    if cause.errno == errno.ENOENT:  # or a file that somebody removed meanwhile
        return DestinationError(sentence)
    return ConfigurationError(sentence) if is_refused(cause) else None


def first_line(error: BaseException) -> str:
    """Return the beginning of what an error says, without its full stop, up to where it quotes what may be a value.

    Names of our own tables and columns are none, nor are the paths that the system names.
    """
    text = str(error).strip()
    if _OF_LIBPQ.match(text):
        return _of_connecting(error)
    if not isinstance(error, OSError) and type(error).__name__ != "IOException":
        values = (found.start() for found in _QUOTED.finditer(text) if not _is_ours(found[2]))
        end = next(values, len(text))
        text = text[:end] + ("…" if end < len(text) else "")
    return _LIKE_VALUES.sub("***", _beginning(text))


def _is_ours(name: str | None) -> bool:
    return name is not None and set(name.split(".")) <= _NAMES


def _of_connecting(error: BaseException) -> str:
    """Return the same of an attempt to connect, which has no value to quote, but parts of a URL."""
    return _WITH_USER.sub("…", _beginning(str(error)))


def _beginning(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")[:300].rstrip(".")


def without_texts(chain: Iterable[BaseException]) -> str:
    """Return of which kind errors are and where each was raised, and nothing of what they say."""
    frames = [(each, "".join(traceback.format_tb(each.__traceback__))) for each in chain]
    return "".join(f"{type(each).__name__}, raised here:\n{where}" for each, where in frames)
