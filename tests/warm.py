"""Commands in processes of their own that need not import everything anew: forks of one that has done so.

A cold start takes over a second, most of it dlt's. With `--long-way` (`make test-long-way`) every command is one.
"""

import array
import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parent.parent

Running: TypeAlias = "Command | subprocess.Popen[str]"


class Starts:
    """How commands are started."""

    are_cold = False


@contextmanager
def running(script: str, options: Sequence[str], environment: Mapping[str, str]) -> Iterator[Running]:
    """One of the commands in pipelines/ in a process of its own; killed at the end of the block if it still runs."""
    path = ROOT / "pipelines" / script
    if Starts.are_cold:
        with subprocess.Popen(
            [sys.executable, str(path), *options],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()
    else:
        command = Command(path, options, environment)
        try:
            yield command
        finally:
            command.kill()
            command.communicate(timeout=10)


class Command:
    """A command in work; as much of subprocess.Popen as the tests use."""

    def __init__(self, script: Path, options: Sequence[str], environment: Mapping[str, str]) -> None:
        self.args = [str(script), *options]
        self.returncode: int | None = None
        self._said: dict[str, str] = {}
        self._readers: list[threading.Thread] = []
        order = {"script": str(script), "options": list(options), "environment": dict(environment)}
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(_parent())
        output, errors = self._pipe("stdout"), self._pipe("stderr")
        ancillary = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [output, errors]))
        self._connection.sendmsg([json.dumps(order).encode() + b"\n"], [ancillary])
        os.close(output)
        os.close(errors)
        self._answers = self._connection.makefile("r")
        self.pid = int(self._answers.readline())
        self._ended = threading.Event()
        self._waiting = threading.Thread(target=self._wait, daemon=True)
        self._waiting.start()

    def poll(self) -> int | None:
        """The exit code, once there is one."""
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end, and return what was said."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self._said["stdout"], self._said["stderr"]

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit code."""
        self.communicate(timeout)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, if it still runs."""
        self.send_signal(signal.SIGKILL)

    def _pipe(self, name: str) -> int:
        reader, writer = os.pipe()
        thread = threading.Thread(target=self._read, args=(name, reader), daemon=True)
        thread.start()
        self._readers.append(thread)
        return writer

    def _read(self, name: str, reader: int) -> None:
        with os.fdopen(reader, "rb") as pipe:
            self._said[name] = pipe.read().decode().replace("\r\n", "\n")

    def _wait(self) -> None:
        status = int(self._answers.readline())
        self._answers.close()
        self._connection.close()
        for reader in self._readers:
            reader.join()
        self.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set()


@cache
def _parent() -> str:
    """Start the process that forks, once for each process of pytest; return the path of its socket."""
    # The path of a socket must be short, and a test's own temporary folder may not be.
    path = Path(tempfile.mkdtemp(prefix="linq_tests_", dir="/tmp")) / "socket"
    environment = dict(os.environ) | {"PYTHONWARNINGS": "default"}
    command = [sys.executable, "-m", "tests.warm_child", str(path)]
    parent = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE)

    def end() -> None:
        parent.communicate(timeout=10)
        shutil.rmtree(path.parent)

    atexit.register(end)
    while not path.exists():
        assert parent.poll() is None, "it did not start"
        time.sleep(0.01)
    return str(path)
