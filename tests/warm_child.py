"""Runs commands in forks of itself, with all that they import loaded already: `python -m tests.warm_child SOCKET`.

Each connection to the socket brings one order, a JSON object with the descriptors of its output, and gets two
answers: the id of the process that carries it out, and at the end its wait status. Ends with its standard input.
"""

import array
import gc
import importlib
import importlib.machinery
import importlib.util
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from tests import frugal

LOADED = (
    "anyio._backends._asyncio", "dlt.destinations", "dlt.load.load", "filelock", "httpcore", "httpx", "orjson",
    "pendulum", "requests", "rich.progress", "sqlalchemy", "sqlglot",
)  # fmt: skip
"""What takes most of a start, without what starts threads: a process that has some cannot be forked safely."""


def main() -> None:
    """Fork for each connection until standard input ends."""
    check_installed(sys.path[1:])
    for name in LOADED:
        if importlib.util.find_spec(name.partition(".")[0]):
            importlib.import_module(name)
    frugal.begin()
    gc.freeze()  # so that forks copy no page only because their garbage is looked for
    tasks = Path("/proc/self/task")
    assert not tasks.exists() or len([*tasks.iterdir()]) == 1, "a process of several threads cannot be forked"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(sys.argv[1] + ".new")
        listening.listen()
        Path(sys.argv[1] + ".new").rename(sys.argv[1])
        while True:
            ready, _, _ = select.select([listening, 0], [], [])
            if 0 in ready:
                return
            connection, _ = listening.accept()
            if not os.fork():
                listening.close()
                supervise(connection)
            connection.close()


def check_installed(path: list[str]) -> None:
    """Raise RuntimeError where commands, for which `path` is looked through, would run another copy of the package.

    As they do in an environment that was copied from elsewhere: one half of a command would come from here, the other
    from wherever it was installed.
    """
    found = importlib.machinery.PathFinder.find_spec("linq_source", path)
    wanted = Path(__file__).parent.parent / "linq_source" / "__init__.py"
    if found is None or found.origin is None or not wanted.samefile(found.origin):
        raise RuntimeError(f"linq_source is installed from {found and found.origin}, not from here: pip install -e .")


def supervise(connection: socket.socket) -> NoReturn:
    """Have an order carried out, and tell how that ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size = array.array("i").itemsize
    data, ancillary, _, _ = connection.recvmsg(1_000_000, socket.CMSG_SPACE(2 * size))
    while not data.endswith(b"\n"):
        more = connection.recv(1_000_000)
        if not more:  # whoever began the order was killed
            os._exit(1)
        data += more
    descriptors = array.array("i", ancillary[0][2])
    child = os.fork()
    if not child:
        connection.close()
        carry_out(json.loads(data), *descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    connection.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    connection.sendall(f"{status}\n".encode())
    os._exit(0)


def carry_out(order: dict[str, Any], output: int, errors: int) -> NoReturn:
    """Become the command."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, name in ((nothing, 0), (output, 1), (errors, 2)):
        os.dup2(descriptor, name)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order["environment"])
    tempfile.tempdir = None
    sys.argv = [order["script"], *order["options"]]
    sys.path[0] = str(Path(order["script"]).parent)
    runpy.run_path(order["script"], run_name="__main__")
    sys.exit()


if __name__ == "__main__":
    main()
