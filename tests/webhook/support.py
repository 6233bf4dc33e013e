"""Helpers of the webhook tests: a receiver in this process, one in its own, and events to send."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb

from linq_source.redact import Redactor
from linq_source.webhook.app import WEBHOOK_PATH, WebhookApp
from linq_source.webhook.http_messages import HttpLimits
from linq_source.webhook.http_server import HttpServer
from linq_source.webhook.journal import Journal
from linq_source.webhook.signature import sign
from linq_source.webhook.store import FILE_NAME
from tests.support import ROOT

SECRET = "a-test-secret-of-many-characters"
Answered = tuple[int, dict[str, str], bytes]


def event(number: int | str = 1, **changes: Any) -> dict[str, Any]:
    """An event as the reference shows it."""
    return {
        "api_version": "v2",
        "created_at": "2025-05-21T15:30:00-06:00",
        "data": {"id": str(number), "chat_id": "324324", "text": "Hello, how are you?", "is_read": False},
        "event_id": f"evt-{number}",
        "event_type": "message.received",
    } | changes


def encoded(document: Any) -> bytes:
    """The body of an event."""
    return json.dumps(document).encode()


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The headers of a delivery."""
    return {"X-Webhook-Signature": sign(body, secret=secret.encode())}


def request(port: int, method: str, path: str, body: bytes | None = None, headers: Any = None) -> Answered:
    """Send one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def deliver(port: int, document: Any, secret: str = SECRET) -> int:
    """Send one signed event and return the status."""
    body = document if isinstance(document, bytes) else encoded(document)
    return request(port, "POST", WEBHOOK_PATH, body, signed(body, secret))[0]


def exchange(port: int, data: bytes, *, timeout: float = 20) -> bytes:
    """Send bytes as they are and return all that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as raw:
        raw.sendall(data)
        received = b""
        try:
            while chunk := raw.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
        return received


class Served:
    """A journal and a server in this process, without a roller."""

    def __init__(
        self,
        folder: Path,
        *,
        secrets: tuple[str, ...] = (SECRET,),
        limits: HttpLimits | None = None,
        redactor: Redactor | None = None,
        **journal: Any,
    ) -> None:
        self.folder = folder
        self.journal = Journal(folder, **journal)
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        keys = [each.encode() for each in secrets]
        self.app = WebhookApp(self.journal, secrets=keys, redactor=redactor, clock=lambda: self.now)
        self._limits = limits
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self.problems: list[Any] = []

    def __enter__(self) -> Self:
        self.journal.open()
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(timeout_seconds=0.2), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.journal.close()
        assert not self.problems

    @property
    def port(self) -> int:
        return self.server.port

    def deliver(self, document: Any, secret: str = SECRET) -> int:
        return deliver(self.port, document, secret)

    def rows(self, sql: str = "select event_id from events order by seq") -> list[Any]:
        return journal_rows(self.folder, sql)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda _, context: self.problems.append(context))
        self.journal.deliver, self.journal.gather = self._loop.call_soon_threadsafe, self._loop.call_soon

        async def start() -> None:
            self.server = HttpServer(self.app, self._limits)
            await self.server.start("127.0.0.1", 0)
            self._ready.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()


def journal_rows(folder: Path, sql: str) -> list[Any]:
    """Rows of a journal; of one column, its values."""
    connection = sqlite3.connect(folder / FILE_NAME)
    try:
        rows = connection.execute(sql).fetchall()
    finally:
        connection.close()
    return [row[0] for row in rows] if rows and len(rows[0]) == 1 else rows


def parquet_rows(folder: Path | str, columns: str = "event_id") -> list[Any]:
    """Rows of all Parquet files, read by DuckDB in one glob."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        return connection.execute(f"select {columns} from '{folder}/**/*.parquet' order by receiver, seq").fetchall()


class Process:
    """The real command in a process of its own, on a port that it chose."""

    def __init__(
        self, directory: Path | str, *options: str, cwd: Path, secret: str | None = SECRET, **env: str
    ) -> None:
        defaults = {"PYTHONWARNINGS": "error::ResourceWarning", "SOURCES__LINQ__REDACT": ""}
        environment = defaults | dict(os.environ) | env
        if secret:
            environment["SOURCES__LINQ__WEBHOOK_SECRET"] = secret
        command = [sys.executable, str(ROOT / "pipelines" / "webhook_to_parquet.py"), "--directory", str(directory)]
        command += options if "--port" in options else ("--port", "0", *options)
        self.log = cwd / f"log-{os.urandom(4).hex()}.txt"
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(command, env=environment, cwd=cwd, stdout=log, stderr=log)

    def __enter__(self) -> Self:
        self.port = self._wait(r"Receiving on http://[^:]+:(\d+)/")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait(10)

    @property
    def metrics_port(self) -> int:
        return self._wait(r"Metrics on http://[^:]+:(\d+)/")

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()
        self.child.wait(10)

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(15)

    def said(self) -> str:
        """All it wrote."""
        return self.log.read_text()

    def says(self, text: str) -> bool:
        """Whether it writes this within ten seconds."""
        until = time.monotonic() + 10
        while text not in self.said() and time.monotonic() < until:
            time.sleep(0.02)
        return text in self.said()

    def _wait(self, pattern: str) -> int:
        until = datetime.now(UTC).timestamp() + 30
        while datetime.now(UTC).timestamp() < until:
            if match := re.search(pattern, self.said()):
                return int(match[1])
            assert self.child.poll() is None, self.said()
            threading.Event().wait(0.02)
        raise AssertionError(f"not ready in 30 s: {self.said()}")
