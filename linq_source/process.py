"""What a run holds while it works: the lock of its destination, a folder of its own, the signals, the clock."""

import hashlib
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from linq_source.errors import ConfigurationError, DestinationError, LockedError
from linq_source.paths import is_refused


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a destination; raises LockedError when another run holds it.

    Raises ConfigurationError where its folder does not exist or the lock file may not be written, DestinationError
    where it cannot be for another reason.
    """
    if not path.parent.is_dir():  # filelock would create it
        raise ConfigurationError(f"The folder {path.parent} does not exist: create it, or name another place.")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(
            f"Another run is at work on the same destination: it holds {path}. Try again when it has ended."
        ) from None
    except OSError as error:
        sentence = f"The lock file {path} cannot be written ({error.strerror})"
        if is_refused(error):
            raise ConfigurationError(f"{sentence}: name another place, or let this user write there.") from None
        raise DestinationError(f"{sentence}.") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def fresh_folder(lock_path: Path) -> Iterator[Path]:
    """Make a folder for one run, and remove it afterwards; needs the lock.

    Raises DestinationError where no temporary folder can be made.
    """
    # dlt cannot always go on in the folder of a run that was killed; in a new one it always can, since
    # everything it needs to know is in the destination.
    prefix = f"linq_source_{hashlib.sha256(bytes(lock_path.resolve())).hexdigest()[:12]}_"
    try:
        # We hold the lock, so whoever made another folder for it was killed.
        for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise DestinationError(
            f"No temporary folder can be made: {error.strerror}. Set TMPDIR to a folder that can be written."
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Call `stop` at the first SIGTERM or Ctrl-C, and end the process at the second.

    A signal that is ignored stays so: Ctrl-C by what a shell runs in the background.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def handle(number: int, _: FrameType | None) -> None:
        if caught:
            os._exit(128 + number)
        caught.append(number)
        stop()

    taken = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, handle) for number in taken}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def deadline(minutes: float | None, at_end: Callable[[], None]) -> Iterator[None]:
    """Call `at_end` in a thread of its own after so many minutes; None for never."""
    if minutes is None:
        yield
        return
    timer = threading.Timer(minutes * 60, at_end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
