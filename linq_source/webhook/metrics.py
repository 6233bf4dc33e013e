"""The receiver's figures in Prometheus' text format, for a bind of their own: counts, and nothing of any event."""

from collections.abc import Iterator, Mapping

from linq_source.webhook.app import WebhookApp
from linq_source.webhook.http_messages import Answer, Head, Response
from linq_source.webhook.http_server import HttpServer
from linq_source.webhook.journal import Journal
from linq_source.webhook.parquet import Roller
from linq_source.webhook.store import Outcome

METRICS_PATH = "/metrics"


class MetricsApp:
    """Answers `GET /metrics`."""

    def __init__(self, server: HttpServer, app: WebhookApp, journal: Journal, roller: Roller) -> None:
        self._server = server
        self._app = app
        self._journal = journal
        self._roller = roller

    def check(self, head: Head) -> Response | None:
        """Refuse all but the one path and method."""
        if head.path != METRICS_PATH:
            return Response(404, b'{"error":"not found"}')
        return None if head.method in ("GET", "HEAD") else Response(405, b"{}", {"Allow": "GET, HEAD"})

    def respond(self, head: Head, body: bytes, answer: Answer) -> None:
        """Answer with the figures of this moment."""
        del head, body
        answer(Response(200, self.text().encode(), {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}))

    def text(self) -> str:
        """Return the whole page."""
        return "".join(self._metrics())

    def _metrics(self) -> Iterator[str]:
        outcomes, rolls = self._journal.counters.outcomes, self._roller.counters
        by_status = {f'status="{status}"': count for status, count in sorted(self._server.statuses.items())}
        by_outcome = {f'outcome="{each.value}"': outcomes[each] for each in Outcome}
        by_spelling = {
            f'spelling="{spelling}",secret="{index}"': count
            for (spelling, index), count in sorted(self._app.spellings.items())
        }
        yield _metric("answers_total", "counter", "Answers given, by status.", by_status)
        yield _metric("deliveries_total", "counter", "Signed deliveries, by what became of them.", by_outcome)
        yield _metric("signatures_total", "counter", "Accepted signatures, by spelling and secret.", by_spelling)
        yield _metric("connections", "gauge", "Open connections.", len(self._server.connections))
        yield _metric("queued_events", "gauge", "Events waiting for the journal.", self._journal.waiting)
        yield _metric("commits_total", "counter", "Transactions of the journal.", self._journal.counters.commits)
        yield _metric("journal_failures_total", "counter", "Failures to write.", self._journal.counters.failures)
        yield _metric("unrolled_events", "gauge", "Events that no Parquet file holds yet.", rolls.unrolled)
        yield _metric("files_total", "counter", "Parquet files written.", rolls.files)
        yield _metric("file_rows_total", "counter", "Events written into them.", rolls.rows)
        yield _metric("file_failures_total", "counter", "Failures to write a file.", rolls.failures)


def _metric(name: str, kind: str, help_text: str, values: int | Mapping[str, int]) -> str:
    name = f"linq_webhook_{name}"
    labelled = {"": values} if isinstance(values, int) else values
    rows = (f"{name}{{{labels}}} {value}\n" if labels else f"{name} {value}\n" for labels, value in labelled.items())
    return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n{''.join(rows)}"
