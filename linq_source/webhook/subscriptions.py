"""Webhook subscriptions at Linq: listed, made, repaired and removed. The only code that changes anything there."""

import secrets as random_secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlunsplit

import httpx

from linq_source import settings
from linq_source.access import check_base_url, check_token, split_url
from linq_source.answers import ENCODINGS, Action, action_for, describe
from linq_source.connection import log_no_answers, proxy_named
from linq_source.errors import ApiError, AuthenticationError, ConfigurationError, UnavailableError
from linq_source.hosts import is_loopback
from linq_source.limits import Limits
from linq_source.strict_json import BrokenBodyError, decode
from linq_source.times import parse_time
from linq_source.webhook.event import EVENT_TYPES

VERSION = 2

_ATTEMPTS = 4
_IDEMPOTENT = {"GET", "PUT", "DELETE"}


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """A subscription as Linq lists it; the secret itself is never shown."""

    id: int
    url: str
    events: tuple[str, ...]
    version: int | None
    is_active: bool
    has_secret: bool
    delivery_attempts: int
    last_delivered_at: datetime | None


@dataclass
class Result:
    """What was done, in sentences, and the secret where a new one was made: it is shown this one time."""

    subscription_id: int | None = None
    done: list[str] = field(default_factory=list)
    secret: str | None = None


class SubscriptionsClient:
    """Speaks to `/webhook_subscriptions`. Building it makes no request.

    Raises ConfigurationError where the proxy of the environment cannot be used; its methods AuthenticationError
    (401), UnavailableError after repeated failures, and other ApiErrors. A creation is never sent twice, since two
    equal subscriptions would double every event.
    """

    def __init__(
        self,
        integration_token: str,
        *,
        base_url: str = settings.BASE_URL,
        max_body_bytes: int = Limits.max_body_bytes,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        base, token = check_base_url(base_url), check_token(integration_token)
        self._sleep = sleep
        self._max_body_bytes = max_body_bytes
        log_no_answers()
        with proxy_named():
            self._http = httpx.Client(
                base_url=base,
                headers={
                    settings.TOKEN_HEADER: token,
                    "User-Agent": "linq-source",
                    "Accept-Encoding": ", ".join(ENCODINGS),
                },
                timeout=30.0,
                follow_redirects=False,  # httpx would send the token's header on to the other host
                trust_env=base.startswith("https://"),
                transport=transport,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def list(self) -> list[Subscription]:
        """Return all subscriptions of the organisation, the oldest first."""
        # Null may be a slip, for which a second subscription would be made, and every event come twice.
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(2.0 ** (attempt - 1))
            if (rows := self._rows()) is not None:
                break
        rows = [] if rows is None else rows
        try:
            return sorted(map(_subscription, rows), key=lambda each: each.id)
        except (TypeError, KeyError, ValueError):
            path = settings.WEBHOOK_SUBSCRIPTIONS
            raise UnavailableError(f"Linq's answer to GET {path} is no list of subscriptions.", path=path) from None

    def _rows(self) -> Any:
        """Return what Linq gives for the list: None where it is null, something unusable where there is none."""
        document = self._send("GET", settings.WEBHOOK_SUBSCRIPTIONS)
        return document.get("webhook_subscriptions", 0) if isinstance(document, dict) else 0

    def create(self, *, url: str, events: Sequence[str], secret: str) -> None:
        """Make a subscription; sent once, so look whether it is there when this raises UnavailableError."""
        self._send("POST", settings.WEBHOOK_SUBSCRIPTIONS, _fields(url, events, secret))

    def update(self, subscription_id: int, *, url: str, events: Sequence[str], secret: str | None) -> None:
        """Make a subscription what it should be; without `secret` it keeps the one it has."""
        self._send("PUT", f"{settings.WEBHOOK_SUBSCRIPTIONS}/{subscription_id}", _fields(url, events, secret))

    def delete(self, subscription_id: int) -> None:
        """Remove a subscription."""
        self._send("DELETE", f"{settings.WEBHOOK_SUBSCRIPTIONS}/{subscription_id}")

    def _send(self, method: str, path: str, fields: dict[str, Any] | None = None) -> Any:
        attempts = _ATTEMPTS if method in _IDEMPOTENT else 1
        for attempt in range(1, attempts + 1):
            try:
                return self._attempt(method, path, fields)
            except UnavailableError:
                if attempt == attempts:
                    raise
                self._sleep(2.0 ** (attempt - 1))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _attempt(self, method: str, path: str, fields: dict[str, Any] | None) -> Any:
        body = {"webhook_subscription": fields} if fields else None
        try:
            with self._http.stream(method, path, json=body) as response:
                content = self._content(response, f"{method} {path}")
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"Linq gave no answer to {method} {path}: {describe(error)}. Try again later.", path=path
            ) from None
        status = response.status_code
        if status == 401:
            raise AuthenticationError(
                "Linq refused the integration token (401). Put a valid one into SOURCES__LINQ__INTEGRATION_TOKEN or "
                ".dlt/secrets.toml."
            )
        action, kind = action_for(status)
        if action is not Action.ACCEPT:
            # What Linq says is not quoted: it may repeat the secret that was sent.
            raise kind(f"Linq answered {status} to {method} {path}.", path=path, status=status)
        try:
            return decode(content) if content.strip() else None
        except BrokenBodyError:
            raise UnavailableError(
                f"Linq's answer to {method} {path} is no JSON.", path=path, status=status
            ) from None

    def _content(self, response: httpx.Response, request: str) -> bytes:
        content, path = bytearray(), response.url.path
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ENCODINGS:
            raise UnavailableError(f"Linq's answer to {request} is in an encoding not asked for.", path=path)
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > self._max_body_bytes:
                raise UnavailableError(
                    f"Linq's answer to {request} has over {self._max_body_bytes} bytes.", path=path
                )
        return bytes(content)


def check_url(url: str) -> str:
    """Return a webhook's URL in one spelling; raises ConfigurationError unless Linq could deliver to it safely."""
    parts = split_url(url.strip())
    if not parts or parts.username or parts.fragment:
        raise ConfigurationError("--url needs the address of the receiver, like https://example.com/webhooks/linq.")
    host, port = parts.hostname or "", parts.port
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ConfigurationError("--url must begin with https://, or messages would travel unencrypted.")
    name = f"[{host}]" if ":" in host else host
    netloc = name if port in (None, {"https": 443, "http": 80}[parts.scheme]) else f"{name}:{port}"
    return urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))


def check_events(events: Sequence[str]) -> tuple[str, ...]:
    """Return event types, sorted; raises ConfigurationError for one that Linq does not document."""
    for event in events:
        if event not in EVENT_TYPES:
            raise ConfigurationError(f"--events names {event!r}, which Linq does not have: {', '.join(EVENT_TYPES)}.")
    return tuple(sorted(set(events)))


def of_url(subscriptions: Sequence[Subscription], url: str) -> list[Subscription]:
    """Return those that deliver to `url`, however it is spelled."""
    return [each for each in subscriptions if _spelled_alike(each.url) == url]


def ensure(
    client: SubscriptionsClient,
    *,
    url: str,
    events: Sequence[str] = (),
    secret: str | None = None,
    sets_secret: bool = False,
) -> Result:
    """Have exactly one subscription deliver to `url`, signed; what is right already is left alone.

    Without `events` a new one gets every type, and one that exists keeps its types. A subscription without secret
    gets `secret`, or one made here; `sets_secret` gives it to one that has another.
    """
    found = of_url(client.list(), url)
    if not found:
        return _create(client, url, events or EVENT_TYPES, secret)
    keep, *others = sorted(found, key=lambda each: (not each.has_secret, not each.is_active, each.id))
    wanted = tuple(sorted(events or {event for each in found for event in each.events} or EVENT_TYPES))
    result = Result(keep.id)
    needs_secret = sets_secret or not keep.has_secret
    wrong = _differences(keep, wanted)
    if wrong or needs_secret:
        given = (secret or _new_secret()) if needs_secret else None
        client.update(keep.id, url=url, events=wanted, secret=given)
        result.secret = given if not secret else None
        wrong += ["gave it the secret of the configuration" if secret else "gave it a new secret"] * needs_secret
        result.done.append(f"Repaired subscription {keep.id}: {', '.join(wrong)}")
    for each in others:
        client.delete(each.id)
        result.done.append(f"Removed subscription {each.id}, which delivered to the same URL")
    return result


def remove(client: SubscriptionsClient, *, url: str) -> Result:
    """Remove every subscription that delivers to `url`."""
    result = Result()
    for each in of_url(client.list(), url):
        client.delete(each.id)
        result.done.append(f"Removed subscription {each.id}")
    return result


def _new_secret() -> str:
    return random_secrets.token_urlsafe(32)


def _create(client: SubscriptionsClient, url: str, events: Sequence[str], secret: str | None) -> Result:
    given = secret or _new_secret()
    failure: ApiError | None = None
    try:
        client.create(url=url, events=sorted(events), secret=given)
    except UnavailableError as error:
        failure = error  # It may have been made all the same.
    made = of_url(client.list(), url)
    if not made:
        said = "Linq made the subscription but does not list it: run the command without options later."
        raise failure or UnavailableError(said, path=settings.WEBHOOK_SUBSCRIPTIONS)
    return Result(made[0].id, [f"Created subscription {made[0].id}"], None if secret else given)


def _differences(found: Subscription, events: tuple[str, ...]) -> list[str]:
    wrong = []
    if set(found.events) != set(events):
        wrong.append(f"it now has {len(events)} event types instead of {len(found.events)}")
    if not found.is_active:
        wrong.append("made it active")
    if found.version != VERSION:
        wrong.append(f"set its version to {VERSION}")
    return wrong


def _spelled_alike(url: str) -> str:
    try:
        return check_url(url)
    except ConfigurationError:
        return url


def _fields(url: str, events: Sequence[str], secret: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"webhook_url": url, "events": list(events), "version": VERSION, "active": True}
    return fields | ({"secret": secret} if secret else {})


def _subscription(row: dict[str, Any]) -> Subscription:
    events = row.get("events") or []
    return Subscription(
        id=int(row["id"]),
        url=str(row["webhook_url"]),
        events=tuple(sorted(map(str, events))),
        version=row.get("version"),
        is_active=row.get("active") is not False,
        has_secret=row.get("secret_configured") is True,
        delivery_attempts=int(row.get("delivery_attempts") or 0),
        last_delivered_at=parse_time(row.get("last_delivered_at")),
    )
