"""The paths that options name: one that no file can have is refused before anything is looked for there."""

import errno
from pathlib import Path

from linq_source.errors import ConfigurationError

_LONGEST_SIBLING = ".{}.forget.wal"
"""Of the files that are made beside a file, that with the longest name."""

_IMPOSSIBLE = (errno.ENAMETOOLONG, errno.ELOOP)
_SHOWN = 60

_REFUSED = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, *_IMPOSSIBLE}
)


def is_refused(error: OSError) -> bool:
    """Whether a path is not to be used as it was, now or later: the user must name another, or change permissions."""
    return error.errno in _REFUSED


def usable_path(text: str, option: str, wanted: str, *, is_folder: bool = False) -> Path:
    """Return the path that `option` names; nothing need be there, and nothing is opened.

    Raises ConfigurationError where it is empty, too long, a link to itself, or no UTF-8.
    """
    if not text.strip() or "\0" in text:
        raise ConfigurationError(f"{option} needs {wanted}.")
    path = Path(text)
    beside = path.parent / _LONGEST_SIBLING.format(path.name)
    if problem := _problem(path) or (None if is_folder else _problem(beside)):
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise ConfigurationError(f"{option} {shown!a} cannot be used ({problem}): name another path.")
    return path


def _problem(path: Path) -> str | None:
    try:
        str(path).encode()
        path.stat()
    except UnicodeEncodeError:
        return "it is not UTF-8"
    except OSError as error:
        # Whatever else is wrong with it is said where it is opened.
        return error.strerror if error.errno in _IMPOSSIBLE else None
    return None
