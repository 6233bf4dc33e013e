"""The whole receiver as one process: settings checked, parts started, and an end in which nothing is lost."""

import asyncio
import errno
import json
import logging
import os
import resource
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from linq_source.errors import ConfigurationError
from linq_source.hosts import is_loopback
from linq_source.redact import Redactor
from linq_source.webhook.app import WebhookApp
from linq_source.webhook.http_messages import HttpLimits
from linq_source.webhook.http_server import HttpServer
from linq_source.webhook.journal import Journal
from linq_source.webhook.metrics import MetricsApp
from linq_source.webhook.parquet import Roller
from linq_source.webhook.targets import ObjectStore, journal_of, open_target

SECRET_SETTING = "SOURCES__LINQ__WEBHOOK_SECRET"  # noqa: S105  # a setting's name, not a secret
SHORT_SECRET = 16
LARGEST_BODY = 16 * 1024 * 1024

_REQUESTS_END_SECONDS = 5.0
_ROLL_END_SECONDS = 3.0
_SPARE_FILES = 64

log = logging.getLogger("linq_source.webhook")


@dataclass(frozen=True, kw_only=True)
class ReceiverSettings:
    """How a receiver is run. `port` and `metrics_port` may be 0: any that is free."""

    directory: str
    secrets: tuple[bytes, ...] = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8080
    journal: Path | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    flush_seconds: float = 60.0
    flush_events: int = 10_000
    max_body_bytes: int = 1024 * 1024
    allow_unsigned: bool = False
    redactor: Redactor | None = None
    """What goes over each event before it is kept; None for nothing."""


def read_secrets(setting: str | None) -> tuple[bytes, ...]:
    """Return the secrets in a setting: one, several with commas between, or a JSON list of texts.

    Raises ConfigurationError for what begins like a list and is none.
    """
    text = (setting or "").strip()
    if text.startswith("["):
        try:
            listed = json.loads(text)
        except ValueError:
            listed = None
        if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
            raise ConfigurationError(f"{SECRET_SETTING} begins like a JSON list but is not one of texts.")
    else:
        listed = text.split(",")
    return tuple(secret.encode("utf-8", "surrogateescape") for each in listed if (secret := each.strip()))


def configured_secrets() -> tuple[bytes, ...]:
    """Return the secrets of dlt's configuration: `webhook_secret` in the section `sources.linq`."""
    # The environment comes first for dlt too; importing dlt would take longer than all else of a start.
    if SECRET_SETTING in os.environ:
        return read_secrets(os.environ[SECRET_SETTING])

    import dlt

    return read_secrets(dlt.secrets.get("sources.linq.webhook_secret", str))


class Receiver:
    """Journal, roller and servers together. Building it checks the settings and touches neither disk nor network.

    Raises ConfigurationError where the settings would leave it open to anyone.
    """

    def __init__(self, settings: ReceiverSettings) -> None:
        _check_secrets(settings)
        if settings.max_body_bytes > LARGEST_BODY:
            raise ConfigurationError(f"--max-body-bytes: at most {LARGEST_BODY}, which the journal has room for.")
        self._settings = settings
        self._target = open_target(settings.directory)
        self.journal = Journal(settings.journal or journal_of(self._target))
        self.roller = Roller(
            self.journal,
            self._target,
            flush_seconds=settings.flush_seconds,
            flush_events=settings.flush_events,
        )
        self._stop: asyncio.Event | None = None

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then take nothing new, finish, write the files, and return.

        Raises LockedError, DestinationError, or ConfigurationError where the address is taken.
        """
        if isinstance(self._target, ObjectStore):
            self._target.check()
        self.journal.open()
        try:
            asyncio.run(self._serve())
        finally:
            # The roller writes through the journal, so it goes first.
            if not self.roller.stop(timeout_seconds=_ROLL_END_SECONDS):
                log.warning("Not every Parquet file could be written in time; the next start writes the rest")
            self.journal.close()

    async def _serve(self) -> None:
        settings, loop = self._settings, asyncio.get_running_loop()
        self._stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        self.journal.deliver, self.journal.gather = loop.call_soon_threadsafe, loop.call_soon
        app = WebhookApp(self.journal, secrets=settings.secrets, redactor=settings.redactor)
        limits = HttpLimits(body_bytes=settings.max_body_bytes, connections=_affordable_connections())
        server = HttpServer(app, limits)
        metrics = HttpServer(MetricsApp(server, app, self.journal, self.roller), HttpLimits(connections=32))
        await _listen(server, settings.host, settings.port, "--port")
        if settings.metrics_port is not None:
            await _listen(metrics, settings.metrics_host, settings.metrics_port, "--metrics-port")
            log.info("Metrics on http://%s:%d/metrics", settings.metrics_host, metrics.port)
        self.roller.start()
        log.info("Receiving on http://%s:%d/webhooks/linq into %s", settings.host, server.port, self._target.name)
        watch = loop.create_task(self._watch_journal())
        await self._stop.wait()
        log.info("Stopping: finishing what has begun")
        await server.stop(timeout_seconds=_REQUESTS_END_SECONDS)
        await metrics.stop(timeout_seconds=0.1)
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch

    async def _watch_journal(self) -> None:
        """Say once when the journal fails, and once when it works again."""
        seen, commits, is_failing = 0, 0, False
        while True:
            await asyncio.sleep(1.0)
            counters = self.journal.counters
            if counters.failures > seen and not is_failing:
                log.error("The journal cannot be written (%s): deliveries are answered 503", counters.last_failure)
                is_failing = True
            elif is_failing and counters.failures == seen and counters.commits > commits:
                log.info("The journal can be written again")
                is_failing = False
            seen, commits = counters.failures, counters.commits


def _check_secrets(settings: ReceiverSettings) -> None:
    if settings.secrets and settings.allow_unsigned:
        raise ConfigurationError(f"--allow-unsigned makes no sense while {SECRET_SETTING} is set: drop one of them.")
    if settings.allow_unsigned and not is_loopback(settings.host):
        raise ConfigurationError("--allow-unsigned believes anyone, so it needs --host 127.0.0.1.")
    if not settings.secrets and not settings.allow_unsigned:
        raise ConfigurationError(
            f"No webhook secret: set {SECRET_SETTING}, or webhook_secret under [sources.linq] in "
            ".dlt/secrets.toml, to the secret of your subscription (pipelines/webhook_subscribe.py makes one)."
        )
    if any(len(secret) < SHORT_SECRET for secret in settings.secrets):
        log.warning("A webhook secret has fewer than %d characters: it can be guessed", SHORT_SECRET)


async def _listen(server: HttpServer, host: str, port: int, option: str) -> None:
    try:
        await server.start(host, port)
    except (OSError, UnicodeError) as error:  # a name that no look-up can be made of
        number = error.errno if isinstance(error, OSError) else None
        at_fault = option if number in (errno.EADDRINUSE, errno.EACCES) else option.replace("port", "host")
        raise ConfigurationError(
            f"Cannot listen on {host}:{port} ({_strerror(number)}): name another with {at_fault}."
        ) from None


def _strerror(number: int | None) -> str:
    # Not error.strerror, into which asyncio puts the address; look-ups of names have numbers below 0.
    return os.strerror(number) if number and number > 0 else "no such address"


def _affordable_connections() -> int:
    """Return how many connections the limit of open files allows, after raising it as far as it goes."""
    wanted = HttpLimits().connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = wanted + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < enough:
        soft = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(16, min(wanted, soft - _SPARE_FILES))
