"""The receiver's answers: what a delivery must be, what is kept of it, and which status tells so.

| status | when |
|---|---|
| 200 | the event is durable; also for one that was known already |
| 400 | signed, but not a JSON object or without type: kept among the rejects |
| 401 | not signed with one of the secrets, or not in the documented form |
| 404, 405 | another path or method |
| 408, 413, 415, 431 | too slow, too large, compressed, or headers too large |
| 503 | it could not be made durable now, or forged ones left no time to tell it from them; with Retry-After |
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from linq_source.redact import Redactor
from linq_source.webhook import signature
from linq_source.webhook.allowance import Allowance
from linq_source.webhook.event import Event, UnreadableEventError, read_event, redacted, shape_of
from linq_source.webhook.http_messages import BUSY, Answer, Head, Response
from linq_source.webhook.journal import Journal
from linq_source.webhook.store import Outcome, Received

WEBHOOK_PATH = "/webhooks/linq"
HEALTH_PATH = "/healthz"

CHECK_BODY = b'{"linq_source":"check"}'
"""What `webhook_subscribe.py --check` sends; answered like an event, but nothing to keep."""

_SIGNATURE = signature.HEADER.lower().encode("ascii")
_UNSIGNED = Response(401, b'{"error":"not signed"}')
_NO_EVENT = Response(400, b'{"error":"not an event"}')
_CHECKED = Response(200, b'{"status":"checked"}')
_HEALTHY = Response(200, b'{"status":"ok"}')

ANSWERS = {
    Outcome.STORED: Response(200, b'{"status":"stored"}'),
    Outcome.DUPLICATE: Response(200, b'{"status":"duplicate"}'),
    Outcome.CONFLICT: Response(200, b'{"status":"conflict"}'),
    Outcome.REJECTED: _NO_EVENT,
    Outcome.REFUSED: BUSY,
}


class WebhookApp:
    """Answers deliveries. With no secrets every delivery is believed: for tests and tunnels on one machine.

    With a `redactor` nothing is handed to the journal but what it lets through.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        secrets: Sequence[bytes],
        redactor: Redactor | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        allowance: Allowance | None = None,
    ) -> None:
        self.spellings: Counter[tuple[str, int]] = Counter()
        """Accepted signatures by spelling and by which secret it was."""
        self._journal = journal
        self._secrets = tuple(secrets)
        self._redactor = redactor
        self._clock = clock
        self._allowance = allowance or Allowance()

    def check(self, head: Head) -> Response | None:
        """Refuse, before its body is read, what could not be accepted whatever the body is."""
        if head.path == HEALTH_PATH:
            return None if head.method in ("GET", "HEAD") else _method_not_allowed("GET, HEAD")
        if head.path != WEBHOOK_PATH:
            return Response(404, b'{"error":"not found"}')
        if head.method != "POST":
            return _method_not_allowed("POST")
        if any(value.strip().lower() not in (b"", b"identity") for value in head.values(b"content-encoding")):
            return Response(415, b'{"error":"compressed bodies are not read"}')
        if self._secrets and signature.parse_header(head.values(_SIGNATURE)) is None:
            return _UNSIGNED
        return None

    def respond(self, head: Head, body: bytes, answer: Answer) -> None:
        """Answer at once, or when the journal has the event."""
        if head.path == HEALTH_PATH:
            answer(_HEALTHY)
            return
        signed = self._signed(head, body)
        if isinstance(signed, Response):
            answer(signed)
            return
        if signed == CHECK_BODY and self._secrets:
            answer(_CHECKED)
            return
        event, reason = _event_in(signed)
        if event is None and not self._secrets:
            answer(_NO_EVENT)  # Anyone may have sent it: not worth keeping.
            return
        received = self._kept(Received(signed, self._clock(), event, reason))
        if not self._journal.submit(received, lambda outcome: answer(ANSWERS[outcome])):
            answer(BUSY)

    def _kept(self, received: Received) -> Received:
        """Return what may be kept of what was received."""
        if not self._redactor:
            return received
        if received.event is None:
            return replace(received, body=shape_of(received.body, self._redactor))
        event = redacted(received.event, self._redactor)
        return replace(received, body=(event.data or "").encode(), event=event)

    def _signed(self, head: Head, body: bytes) -> bytes | Response:
        """Return what of a body is signed, or the refusal."""
        if not self._secrets:
            return body
        digest = signature.parse_header(head.values(_SIGNATURE))
        if digest is None:
            return _UNSIGNED
        verified = signature.verify_raw(body, signature=digest, secrets=self._secrets)
        if verified is None and len(body) <= signature.MAX_CANONICAL_BYTES:
            # In this thread all the same: another one would hold the interpreter's lock for as long.
            if not self._allowance.covers(len(body)):
                return BUSY  # It may be genuine, and then it comes again.
            check = partial(signature.verify_canonical, body, signature=digest, secrets=self._secrets)
            verified = self._allowance.attempt(len(body), check)
        if verified is None:
            return _UNSIGNED
        self.spellings[verified.spelling, verified.secret_index] += 1
        return verified.signed


def _event_in(body: bytes) -> tuple[Event | None, str]:
    try:
        return read_event(body), ""
    except UnreadableEventError as error:
        return None, str(error)


def _method_not_allowed(allowed: str) -> Response:
    return Response(405, b'{"error":"method not allowed"}', {"Allow": allowed})
