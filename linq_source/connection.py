"""One connection to Linq, on httpx's transport.

What httpx's client adds to it, for cookies, redirects and logins, takes as long as the request itself.
"""

import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from linq_source import settings
from linq_source.answers import ENCODINGS
from linq_source.errors import ConfigurationError
from linq_source.hosts import is_loopback
from linq_source.limits import Limits

logger = logging.getLogger(__name__)


class Connection:
    """Sends one request after another to a base URL, over a connection that is kept. Follows no redirect.

    Raises httpx.HTTPError when an answer does not arrive.
    """

    def __init__(self, base_url: str, token: str, limits: Limits, transport: httpx.AsyncBaseTransport) -> None:
        self._base_url = base_url
        self._transport = transport
        self._headers = httpx.Headers(
            {
                "Host": httpx.URL(base_url).netloc.decode("ascii"),
                settings.TOKEN_HEADER: token,
                "Accept": "application/json",
                "Accept-Encoding": ", ".join(ENCODINGS),
                "User-Agent": "linq-source",
            }
        )
        timeout = httpx.Timeout(limits.read_seconds, connect=limits.connect_seconds, pool=None)
        self._extensions = {"timeout": timeout.as_dict()}

    @asynccontextmanager
    async def get(self, path: str, params: dict[str, str | int] | None = None) -> AsyncIterator[httpx.Response]:
        """GET `path`; the body of the response is still to be read."""
        query = f"?{urlencode(params)}" if params else ""
        url = f"{self._base_url}{path}{query}"
        request = httpx.Request("GET", url, headers=self._headers, extensions=self._extensions)
        response = await self._transport.handle_async_request(request)
        logger.debug("GET %s: %d", path, response.status_code)
        try:
            yield response
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._transport.aclose()


def connect(
    base_url: str, token: str, limits: Limits, transport: httpx.AsyncBaseTransport | None
) -> list[Connection]:
    """Return one connection for each request that may be in flight; none is open yet.

    A pool of all would look at every one of them at each request. `transport` takes the place of the network.
    Raises ConfigurationError where the proxy of the environment cannot be used.
    """
    log_no_answers()
    tls, proxy = _tls_context(base_url), _proxy(base_url)

    def own_transport() -> httpx.AsyncBaseTransport:
        with proxy_named():
            return httpx.AsyncHTTPTransport(verify=tls, limits=httpx.Limits(max_connections=1), proxy=proxy)

    return [Connection(base_url, token, limits, transport or own_transport()) for _ in range(limits.concurrency)]


def _proxy(base_url: str) -> str | None:
    """Return the proxy that the environment or the system names for Linq."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    return f"http://{found}" if found and "://" not in found else found


def _tls_context(base_url: str) -> ssl.SSLContext:
    # Loading the certificates takes longer than the whole idle sync of a local Linq, which needs none.
    is_plain = urlsplit(base_url).scheme == "http"
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_plain else ssl.create_default_context()


@contextmanager
def proxy_named() -> Iterator[None]:
    """Raise ConfigurationError, which names the setting, where httpx cannot use the proxy that it is given here."""
    try:
        yield
    except (ValueError, httpx.InvalidURL, ImportError):
        # Not quoted: it may hold a password.
        raise ConfigurationError(
            "The proxy that the environment names in HTTPS_PROXY or ALL_PROXY cannot be used: write it like "
            "http://host:port. For socks5://, install httpx[socks]."
        ) from None


def log_no_answers() -> None:
    """Keep what arrives from Linq out of httpcore's log, at any level."""
    logging.getLogger("httpcore.http11").addFilter(_tells_no_answer)


def _tells_no_answer(record: logging.LogRecord) -> bool:
    """Leave out what httpcore logs of how a step ended: headers, or an error that quotes what cannot be read as HTTP.

    Both may hold the token, where Linq repeats what was sent, and texts of messages.
    """
    step, _, outcome = record.getMessage().partition(" ")
    return step.endswith(".started") or not outcome
