"""Why no events arrive: compares what Linq says of a subscription with what its URL answers and what was received."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from linq_source.connection import proxy_named
from linq_source.webhook.app import CHECK_BODY
from linq_source.webhook.signature import HEADER, sign
from linq_source.webhook.store import FILE_NAME, open_for_reading
from linq_source.webhook.subscriptions import VERSION, Subscription, of_url

_PROBE_SECONDS = 10.0
_SLACK = timedelta(minutes=5)


def check(
    subscriptions: Sequence[Subscription],
    *,
    url: str,
    events: Sequence[str] = (),
    secrets: Sequence[bytes] = (),
    journal: Path | None = None,
    transport: httpx.BaseTransport | None = None,
) -> list[str]:
    """Return every reason found why events do not arrive at `url`, as sentences; none when all looks right.

    `secrets` are those that this machine's configuration holds; `journal` is the folder of a receiver on it.
    """
    found = of_url(subscriptions, url)
    if not found:
        others = f" (other subscriptions: {len(subscriptions)})" if subscriptions else ""
        return [f"No subscription delivers to {url}{others}: run this command with --url alone to make it."]
    problems = [problem for each in found for problem in _of_subscription(each, events)]
    if len(found) > 1:
        ids = ", ".join(str(each.id) for each in found)
        problems.append(f"Subscriptions {ids} deliver to the same URL: each event comes several times.")
    problems += probe(url, secrets, transport=transport)
    if journal:
        problems += _of_journal(
            journal, max((each.last_delivered_at for each in found if each.last_delivered_at), default=None)
        )
    return problems


def _of_subscription(found: Subscription, events: Sequence[str]) -> list[str]:
    name = f"Subscription {found.id}"
    problems = []
    if not found.is_active:
        problems.append(f"{name} is not active: Linq sends nothing.")
    if found.version != VERSION:
        problems.append(f"{name} has version {found.version} instead of {VERSION}.")
    if missing := sorted(set(events) - set(found.events)):
        problems.append(f"{name} lacks the event types {', '.join(missing)}.")
    if not found.has_secret:
        problems.append(f"{name} has no secret: Linq signs nothing, and the receiver answers 401.")
    if not found.delivery_attempts:
        problems.append(f"{name}: Linq has tried no delivery yet. Nothing may have happened since it was made.")
    elif found.last_delivered_at is None:
        problems.append(
            f"{name}: no delivery of Linq's was accepted (tried: {found.delivery_attempts}): can the URL be reached "
            "from the internet?"
        )
    return problems


def probe(url: str, secrets: Sequence[bytes] = (), *, transport: httpx.BaseTransport | None = None) -> list[str]:
    """Ask the URL itself, unsigned and then signed with the first secret; nothing is stored.

    Raises ConfigurationError where the proxy of the environment cannot be used.
    """
    with proxy_named():
        client = httpx.Client(timeout=_PROBE_SECONDS, follow_redirects=False, transport=transport)
    with client as http:
        try:
            unsigned = http.post(url, content=CHECK_BODY)
            if unsigned.status_code != 401:
                return [_meaning(unsigned.status_code)]
            if not secrets:
                return []
            signed = http.post(url, content=CHECK_BODY, headers={HEADER: sign(CHECK_BODY, secret=secrets[0])})
        except httpx.HTTPError as error:
            return [f"The URL cannot be reached from here ({type(error).__name__}): is the receiver running?"]
    if signed.status_code == 401:
        return ["The receiver does not know the first secret of this machine's configuration: they must be the same."]
    return [] if signed.status_code == 200 else [_meaning(signed.status_code)]


def _meaning(status: int) -> str:
    if 300 <= status < 400:
        return f"The URL redirects ({status}): subscribe the address that it leads to."
    if status in (200, 400):
        return (
            f"The URL answers {status} to an unsigned request: the receiver believes anyone, or is another program."
        )
    if status in (404, 405):
        return f"The URL answers {status}: the path must be the receiver's, /webhooks/linq, or as the proxy maps it."
    if status >= 500:
        return f"The URL answers {status}: the receiver cannot store events, or the proxy does not reach it."
    return f"The URL answers {status} where an unsigned request should get 401: another program answers there."


def _of_journal(folder: Path, delivered_at: datetime | None) -> list[str]:
    path = folder / FILE_NAME
    if not path.is_file():
        return [f"There is no journal {path}: no receiver has run with this folder."]
    try:
        connection = open_for_reading(path)
        try:
            (micros,) = connection.execute("select max(received_at) from events").fetchone()
            (rejects,) = connection.execute("select count(*) from rejects").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        return [f"The journal {path} cannot be read: {error}."]
    problems = []
    received_at = datetime.fromtimestamp(micros / 1_000_000, UTC) if micros is not None else None
    if delivered_at and (received_at is None or received_at < delivered_at - _SLACK):
        last = f"{received_at:%Y-%m-%d %H:%M} UTC" if received_at else "none"
        problems.append(
            f"Linq delivered at {delivered_at:%Y-%m-%d %H:%M} UTC, but the newest event of this journal is "
            f"from {last}: something else answers in the receiver's place."
        )
    if rejects:
        problems.append(f"{rejects} signed deliveries were no events: see the table rejects in {path}.")
    return problems
