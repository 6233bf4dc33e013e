"""What a destination that cannot be used at all raised, as an error that names its setting and what to do."""

import errno
from collections.abc import Sequence
from pathlib import Path

from dlt.common.configuration.exceptions import InvalidNativeValue
from dlt.common.configuration.specs import ConnectionStringCredentials
from dlt.pipeline.exceptions import PipelineStepFailed

from linq_source.errors import ConfigurationError, DestinationError, LinqError
from linq_source.paths import is_refused


def unusable(chain: Sequence[BaseException], name: str, folder: Path) -> LinqError | None:
    """Return the error for a chain of causes that end in settings of the destination `name`; None for any other.

    `folder` is dlt's own, in which nothing is a setting's fault.
    """
    section = f"DESTINATION__{name.upper()}__"
    setting, cause = f"{section}CREDENTIALS", chain[-1]
    if found := next((each for each in chain if isinstance(each, InvalidNativeValue)), None):
        return ConfigurationError(f"{setting} cannot be read. {_advice(found, name, setting)}")
    if name == "filesystem":
        return _unusable_folder(cause, f"{section}BUCKET_URL", folder)
    is_first = any(isinstance(each, PipelineStepFailed) and each.step == "sync" for each in chain)
    if is_first and (type(cause).__name__ == "OperationalError" or isinstance(cause, OSError)):
        return DestinationError(
            f"The destination {name} cannot be reached: {first_line(cause)}. See that it is up, and that {setting} "
            "names its host, port, user and password; then run the command again."
        )
    return None


def _advice(error: InvalidNativeValue, name: str, setting: str) -> str:
    if not issubclass(error.spec, ConnectionStringCredentials):
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
    """Return the beginning of what an error says, without its full stop."""
    return next(iter(str(error).strip().splitlines()), "")[:300].rstrip(".")
