"""What an answer of Linq means: pure functions of its status, headers and body."""

import re
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

import httpx

from linq_source.errors import ApiError, ForbiddenError, NotFoundError, RequestRefusedError, UnavailableError

ENCODINGS = ("identity", "gzip", "deflate")
"""What a body may be encoded in; a client asks for nothing else."""

_LIST_KEYS = ("data", "contacts", "phone_numbers", "webhook_subscriptions")

_MAX_EXCERPT = 2000
"""Characters of an error's text that are looked at."""


_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
"""What OpenSSL calls it, by its version, when the first bytes that come are none of TLS."""


class Action(Enum):
    """What to do about a status."""

    ACCEPT = "read the body"
    RETRY = "try again after a backoff"
    PAUSE = "make every request wait, then try again"
    REFUSE = "raise at once"


# Status -> (action, error). What is not listed here: 2xx are accepted, 5xx retried, the rest refused.
ACTIONS: dict[int, tuple[Action, type[ApiError]]] = {
    403: (Action.REFUSE, ForbiddenError),
    404: (Action.REFUSE, NotFoundError),
    408: (Action.RETRY, UnavailableError),
    425: (Action.RETRY, UnavailableError),
    429: (Action.PAUSE, UnavailableError),
}


def action_for(status: int) -> tuple[Action, type[ApiError]]:
    """Return what to do about `status`, and the error to raise when that does not help."""
    if status in ACTIONS:
        return ACTIONS[status]
    if 200 <= status < 300:
        return Action.ACCEPT, UnavailableError
    if status >= 500:
        return Action.RETRY, UnavailableError
    return Action.REFUSE, RequestRefusedError


def describe(error: Exception) -> str:
    """Return what kind of failure kept an answer from arriving."""
    # httpx's own texts may hold the URL, and with it a phone number: only the kind is safe to show.
    if isinstance(error, httpx.ConnectError) and (tls := _tls_cause(error)):
        if isinstance(tls, ssl.SSLCertVerificationError):
            return "its certificate is not trusted (is base_url right, and no proxy in between?)"
        if any(sign in str(tls) for sign in _NO_TLS):
            return "no TLS at that port (is base_url right? What begins with https:// must speak it)"
    kinds: list[tuple[type[Exception], str]] = [
        (httpx.ConnectTimeout, "no connection in time"),
        (httpx.ConnectError, "no connection (is base_url right, and the network up?)"),
        (httpx.TimeoutException, "no answer in time"),
        (httpx.ProxyError, "the proxy let nothing through (is HTTPS_PROXY right?)"),
        (httpx.DecodingError, "a body that does not decompress"),
        (httpx.NetworkError, "the connection broke"),
    ]
    return next((text for kind, text in kinds if isinstance(error, kind)), type(error).__name__)


def _tls_cause(error: BaseException | None) -> ssl.SSLError | None:
    """Return the TLS error that ended a connection. One that only asks for more to read or write has ended none."""
    while error is not None:
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLWantReadError | ssl.SSLWantWriteError):
            return error
        error = error.__cause__ or error.__context__
    return None


def status_in_body(decoded: Any) -> int | None:
    """Return the status that an error body names although it came with 200, in either error format."""
    if not isinstance(decoded, dict) or any(decoded.get(key) for key in _LIST_KEYS):
        return None
    errors = decoded.get("errors")
    has_list = any(key in decoded for key in _LIST_KEYS)
    if isinstance(errors, list) and (errors or not has_list):
        first = errors[0] if errors else None
        status: object = first.get("status") if isinstance(first, dict) else decoded.get("status")
    elif decoded.get("error_code"):
        status = decoded.get("status")
    else:
        return None
    try:
        number = int(str(status))
    except ValueError:
        number = 0
    return number if 400 <= number <= 599 else 500


def excerpt(decoded: Any, token: str) -> str:
    """Return the text of either error format, bounded, without the token and anything like a phone number."""
    texts: list[object] = []
    if isinstance(decoded, dict):
        errors = decoded.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else None
        texts = [first.get("detail"), first.get("title")] if isinstance(first, dict) else []
        texts += [decoded.get("message"), first]
    text = next((text for text in texts if isinstance(text, str) and text.strip()), "")
    # Masked before it is cut, or the first letters of a token at the cut would be left.
    text = re.sub(r"[^\x20-\x7e]+", " ", text.replace(token, "***")).strip()
    if len(text) > _MAX_EXCERPT:
        # What is cut in two is left out, since half a number does not look like one.
        text = text[:_MAX_EXCERPT].rpartition(" ")[0].rstrip("0123456789+-.() ")
    text = re.sub(r"\S+@\S+|\+?\d(?:[^A-Za-z\d]{0,3}\d){6,}|\S{33,}", "***", text).strip()
    return f" ({text[:160].rstrip('.')})" if text else ""


def retry_after(response: httpx.Response) -> float | None:
    """Return the seconds that Retry-After asks for (a number or a date), or None where it says nothing usable."""
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value):
        return float(value)
    until = _http_date(value)
    # The server's own clock, where it says it, so that ours may be wrong.
    now = _http_date(response.headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds()) if until else None


def _http_date(value: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
