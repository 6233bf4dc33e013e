"""A PostgreSQL server of a test's own, in a temporary folder, stopped when the test is done."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

REQUIRED = "LINQ_REQUIRE_POSTGRES"
"""Set where the tests that need a server must run: without one they then fail and are not skipped."""


@contextmanager
def postgres() -> Iterator[dict[str, Any]]:
    """Run a server that trusts everybody on this machine; gives the arguments of `psycopg2.connect`."""
    binaries, run_as = _binaries(), _run_as()
    folder = Path(tempfile.mkdtemp(prefix="linq-pg-"))
    if run_as:
        os.chown(folder, run_as["user"], run_as["group"])
    log = folder / "log"
    server = None
    try:
        with log.open("wb") as output:
            options: dict[str, Any] = {"stdout": output, "stderr": output, "cwd": folder, **run_as}
            make = [binaries / "initdb", "--pgdata", folder / "data", "--username", "linq", "--auth", "trust"]
            made = subprocess.run([*make, "--encoding", "UTF8", "--no-locale", "--no-sync"], check=False, **options)
            assert made.returncode == 0, log.read_text()
            port = _free_port()
            settings = (
                "fsync=off",
                "listen_addresses=127.0.0.1",
                f"port={port}",
                f"unix_socket_directories={folder}",
            )
            command = [binaries / "postgres", "-D", folder / "data"]
            server = subprocess.Popen([*command, *(part for each in settings for part in ("-c", each))], **options)
        address = {"host": "127.0.0.1", "port": port, "user": "linq", "password": "none", "dbname": "postgres"}
        _wait(server, address, log)
        yield address
    finally:
        if server:
            # Without waiting for whoever is still connected.
            server.send_signal(signal.SIGINT)
            server.wait(30)
        shutil.rmtree(folder)


def _binaries() -> Path:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not installed:
        _do_without("PostgreSQL is not installed: no initdb in PATH or in /usr/lib/postgresql")
    return installed[-1].parent


def _run_as() -> dict[str, Any]:
    """The server refuses to be root's."""
    if os.getuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        _do_without("PostgreSQL does not run as root, and there is no user `postgres`")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _do_without(reason: str) -> NoReturn:
    if os.environ.get(REQUIRED):
        pytest.fail(f"{reason}; {REQUIRED} is set")
    pytest.skip(reason)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _wait(server: "subprocess.Popen[bytes]", address: dict[str, Any], log: Path) -> None:
    import psycopg2

    for _ in range(600):
        try:
            psycopg2.connect(**address).close()
        except psycopg2.OperationalError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"PostgreSQL does not answer: {log.read_text()}")
