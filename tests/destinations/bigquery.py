"""BigQuery, as bqemulator plays it: its REST API before a DuckDB, in a process of its own."""

import io
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import count
from typing import Any
from unittest.mock import patch

from linq_source.loading import Target
from tests.destinations.store import DATASET, Environment, Store

PROJECT = "linq-test"

_datasets = count(1)


class Bigquery(Store):
    """A dataset of a project that all stores share."""

    destination = "bigquery"
    packages = ("bqemulator", "google.cloud.bigquery", "duckdb_extensions", "duckdb_extension_spatial", "numpy")

    is_played = True

    @classmethod
    def prepared(cls) -> AbstractContextManager[object]:
        return _emulator()

    @classmethod
    def stand_in(cls) -> AbstractContextManager[object]:
        return _led_there()

    def environment(self) -> Environment:
        self.dataset = f"{DATASET}_{next(_datasets)}"
        return {
            "DESTINATION__BIGQUERY__CREDENTIALS__PROJECT_ID": PROJECT,
            # The emulator does not unpack what it is sent.
            "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
        }

    @classmethod
    def adapted(cls, target: Target) -> Target:
        # The emulator has one connection, on which all sessions' transactions meet.
        target.destination.caps_params["supports_transactions"] = False
        target.destination.caps_params["alter_add_multi_column"] = False  # nor does it take two columns at once
        return target

    def _run(self, sql: str) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import bigquery

        how = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{self.dataset}")
        client = bigquery.Client(project=PROJECT, credentials=AnonymousCredentials(), default_query_job_config=how)
        try:
            return list(client.query_and_wait(sql))
        finally:
            client.close()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self._run(sql)]

    def table_names(self) -> list[str]:
        sql = f"select table_name from `{self.dataset}`.INFORMATION_SCHEMA.TABLES where table_type = 'BASE TABLE'"
        return [name for (name,) in self.query(sql)]

    def read(self, name: str) -> list[dict[str, Any]]:
        return [dict(row.items()) for row in self._run(f"select * from `{self.dataset}`.`{name}`")]


@contextmanager
def _emulator() -> Iterator[None]:
    from duckdb_extensions import import_extension

    import_extension("spatial")  # which the emulator would download
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    env = os.environ | {
        "BQEMU_REST_PORT": str(port),
        "BQEMU_GRPC_PORT": str(_free_port()),
        "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false",
        "BQEMU_DEFAULT_PROJECT_ID": PROJECT,
    }
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen([sys.executable, "-m", "bqemulator", "start"], env=env, stdout=log, stderr=log)
        try:
            _wait(server, url, log)
            with patch.dict(os.environ, {"BIGQUERY_EMULATOR_HOST": url}), _led_there():
                yield
        finally:
            server.terminate()
            server.wait(30)


@contextmanager
def _led_there() -> Iterator[None]:
    """Have Google's client talk to the emulator, and understand it."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.bigquery import Client

    with (
        patch("google.auth.default", lambda **_: (AnonymousCredentials(), PROJECT)),
        patch.object(Client, "_call_api", _raising(Client._call_api)),
        patch.object(Client, "load_table_from_file", _never_empty(Client.load_table_from_file)),
    ):
        yield


def _raising(call: Callable[..., Any]) -> Callable[..., Any]:
    """Have the client raise what the emulator tells of a failed query with the status 200."""
    from google.api_core.exceptions import from_http_status

    def called(client: Any, *args: Any, **how: Any) -> Any:
        data = how.get("data") or {}
        if "BQ.ABORT_SESSION" in str(data.get("query")):
            data["query"] = "select 1"  # the emulator has no sessions to end
        answer = call(client, *args, **how)
        if str(how.get("path", "")).endswith("/queries") and (errors := answer.get("errors")):
            status = 404 if errors[0]["reason"] == "notFound" else 400
            raise from_http_status(status, errors[0]["message"], errors=errors)
        return answer

    return called


def _never_empty(load: Callable[..., Any]) -> Callable[..., Any]:
    """Have the client send an empty line where a file is empty: the emulator takes no upload of nothing."""

    def loaded(client: Any, file: Any, *args: Any, **how: Any) -> Any:
        is_empty = not file.read(1)
        file.seek(0)
        return load(client, io.BytesIO(b"\n") if is_empty else file, *args, **how)

    return loaded


def _wait(server: "subprocess.Popen[bytes]", url: str, log: Any) -> None:
    for _ in range(600):
        with suppress(OSError), urllib.request.urlopen(f"{url}/bigquery/v2/projects/{PROJECT}/datasets") as answer:
            assert answer.status == 200
            return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    log.seek(0)
    raise AssertionError(f"bqemulator does not answer: {log.read().decode()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
