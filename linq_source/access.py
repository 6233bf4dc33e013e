"""Where Linq is and who we are: the token and the base URL, checked before any use."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

from linq_source import settings
from linq_source.errors import ConfigurationError


def check_token(token: object) -> str:
    """Return the token as a header can carry it, or raise ConfigurationError that names the setting."""
    text = token.strip() if isinstance(token, str) else ""
    if not text:
        raise ConfigurationError(
            "No Linq integration token: set SOURCES__LINQ__INTEGRATION_TOKEN, or integration_token under "
            "[sources.linq] in .dlt/secrets.toml. To look around without one: pipelines/linq_to_duckdb.py --demo."
        )
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationError(
            "integration_token holds characters that no token has (spaces, line ends or letters outside "
            "ASCII): copy it again into SOURCES__LINQ__INTEGRATION_TOKEN or .dlt/secrets.toml."
        )
    return text


def check_base_url(base_url: object) -> str:
    """Return the base URL, or raise ConfigurationError: https only, plain http for this machine alone."""
    text = base_url.strip().rstrip("/") if isinstance(base_url, str) else ""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")  # as a look-up does, which would fail with an error that is no network error
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        host = ""
    if not host or "%" in host or any(sign.isspace() for sign in text):
        # Not quoted: it may hold a password, or be the token in the wrong place.
        raise ConfigurationError(f"base_url is not a URL. Write it like {settings.BASE_URL}, which is the default.")
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise ConfigurationError("base_url must hold no user, password, query or fragment, only https://host.")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ConfigurationError(
            "base_url must begin with https:// so that the token travels encrypted (plain http is for this "
            "machine alone, like http://127.0.0.1)."
        )
    return text


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
