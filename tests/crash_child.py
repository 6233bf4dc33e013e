"""Runs real syncs in forks of itself that die, or are frozen, at a given point: `python -m tests.crash_child`.

A point is just before or just after something that a crash could cut from the rest: opening or closing the
database, each statement that is not a query, each commit, each rename by which dlt passes a load package on.

Reads orders from standard input, one JSON object a line, and answers each on standard output:

    {"database": "a.duckdb", "base_url": "http://127.0.0.1:1", "commit_every": 60, "die_at": 17, "frozen_in": null}
    {"points": ["before connect", ...], "states": [0, 0, 1, ...], "status": -9}

With `die_at` the process kills itself at that point (SIGKILL). With `frozen_in` it is stopped at every point
(SIGSTOP, so all its threads stand still) while its files are copied to that folder: what it would leave behind if
it were killed there. `states` numbers the copies, the same number where not one byte differs.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from dlt.common.storages.file_storage import FileStorage

from linq_source.runner import run_sync
from linq_source.source import make_sync
from linq_source.warehouse import database_target
from tests import frugal
from tests.support import IMPATIENT, TOKEN

QUERIES = ("select", "set", "pragma", "describe", "show", "with", "from")


class Points:
    """Counts the points, names them to whoever listens, and dies or stands still there."""

    def __init__(self, order: dict[str, Any], names: int) -> None:
        self._die_at = order.get("die_at")
        self._freezes = bool(order.get("frozen_in"))
        self._names = names
        self._lock = threading.Lock()
        self._count = 0

    def around(self, name: str, work: Callable[..., Any], *given: Any) -> Any:
        """Do some work, with a point before it and a point after it."""
        self.reached(f"before {name}")
        result = work(*given)
        self.reached(f"after {name}")
        return result

    def reached(self, name: str) -> None:
        """Pass a point, or not."""
        with self._lock:
            self._count += 1
            os.write(self._names, (" ".join(name.split())[:150] + "\n").encode())
            if self._count == self._die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._freezes:
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def watch(points: Points) -> None:
    """Put points around everything that writes to the destination or passes a load package on."""
    connection: Any = duckdb.DuckDBPyConnection
    connect, execute = duckdb.connect, connection.execute

    def watched_connect(database: Any = ":memory:", *given: Any, **named: Any) -> Any:
        if database == ":memory:":
            return connect(database, *given, **named)
        return points.around("connect", lambda: connect(database, *given, **named))

    def watched_execute(self: Any, query: str, *given: Any) -> Any:
        if query.strip().lower().startswith(QUERIES):
            return execute(self, query, *given)
        # dlt gives DuckDB several statements at once, and between any two of them it can be killed.
        result = self
        parts = [query] if any(given) else [each.query for each in duckdb.extract_statements(query)]
        for statement in parts:
            result = points.around(statement, execute, self, statement, *given)
        return result

    duckdb.connect = watched_connect
    connection.execute = watched_execute
    for method in ("begin", "commit", "close"):
        setattr(connection, method, _watched(points, method, getattr(connection, method)))
    rename = FileStorage.atomic_rename

    def watched_rename(self: FileStorage, old: str, new: str) -> None:
        points.around(f"rename to {new}", rename, self, old, new)

    FileStorage.atomic_rename = watched_rename  # type: ignore[method-assign]


def _watched(points: Points, method: str, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda self: points.around(method, original, self)


def sync(order: dict[str, Any]) -> int:
    """Run one sync as the command does and return its exit code."""
    database = Path(order["database"])
    target = database_target(database, commit_every=order["commit_every"])
    linq_sync = make_sync(integration_token=TOKEN, base_url=order["base_url"], limits=IMPATIENT)
    return run_sync(linq_sync, target).exit_code


def fork(order: dict[str, Any], names: int) -> int:
    """Start a process that carries out an order; return its id."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        watch(Points(order, names))
        code = sync(order)
    finally:
        if code == 99:
            traceback.print_exc()
        os._exit(code)


def follow(child: int, order: dict[str, Any]) -> tuple[list[int], int]:
    """Wait for a process to end, and copy what it has written each time it stands still."""
    folder = Path(order.get("frozen_in") or ".")
    database = Path(order["database"])
    known: dict[bytes, int] = {}
    states: list[int] = []
    last: tuple[list[tuple[str, int, int]], int] = ([], 0)
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return states, os.waitstatus_to_exitcode(status)
        files = sorted(database.parent.glob(f"{database.name}*"))
        written = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        # The clock of files is coarse: what was written shortly before it was looked at may have been written since.
        if states and written == last[0] and all(at < last[1] - 30_000_000 for _, _, at in written):
            states.append(states[-1])
            os.kill(child, signal.SIGCONT)
            continue
        last = (written, time.time_ns())
        content = b"".join(hashlib.sha256(file.name.encode() + file.read_bytes()).digest() for file in files)
        if content not in known:
            known[content] = len(known)
            copies = folder / str(known[content])
            copies.mkdir()
            for file in files:
                shutil.copyfile(file, copies / file.name)
        states.append(known[content])
        os.kill(child, signal.SIGCONT)


def main() -> None:
    """Carry out orders until there are no more."""
    frugal.begin()
    for line in sys.stdin:
        order = json.loads(line)
        reader, writer = os.pipe()
        # Forked while there is one thread.
        child = fork(order, writer)
        os.close(writer)
        heard: list[bytes] = []
        listening = threading.Thread(target=_listen, args=(reader, heard))
        listening.start()
        states, status = follow(child, order)
        listening.join()
        points = b"".join(heard).decode(errors="replace").splitlines()
        sys.stdout.write(json.dumps({"points": points, "states": states, "status": status}) + "\n")
        sys.stdout.flush()


def _listen(reader: int, heard: list[bytes]) -> None:
    with os.fdopen(reader, "rb") as pipe:
        heard += iter(lambda: pipe.read1(65536), b"")


if __name__ == "__main__":
    main()
