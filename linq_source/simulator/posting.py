"""Posts one body to one address; whatever goes wrong is no answer."""

import http.client
import socket
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit


class Post:
    """One attempt, which another thread may abort."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._socket: socket.socket | None = None
        self._is_aborted = False

    def status(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The answer's status, or 0 when there was none; `timeout_seconds` is the longest silence borne."""
        try:
            return self._answered(url, body, headers)
        except (OSError, http.client.HTTPException, ValueError):  # ValueError: an address that is none
            return 0

    def abort(self) -> None:
        """End it without an answer, unless it is still connecting."""
        self._is_aborted = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _answered(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self._timeout_seconds)
        try:
            connection.connect()
            self._socket = connection.sock
            # Looked at only now: either this thread sees the flag or `abort` sees the socket.
            if self._is_aborted:
                return 0
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, body, {**headers, "Connection": "close"})
            with connection.getresponse() as answer:
                return answer.status
        finally:
            self._socket = None
            connection.close()
