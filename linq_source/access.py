"""Where Linq is and who we are: the token and the base URL, checked before any use."""

from urllib.parse import SplitResult, urlsplit

import httpx

from linq_source import settings
from linq_source.errors import ConfigurationError
from linq_source.hosts import is_loopback


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
    parts = split_url(text)
    if not parts:
        # Not quoted: it may hold a password, or be the token in the wrong place.
        raise ConfigurationError(f"base_url is not a URL. Write it like {settings.BASE_URL}, which is the default.")
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise ConfigurationError("base_url must hold no user, password, query or fragment, only https://host.")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ConfigurationError(
            "base_url must begin with https:// so that the token travels encrypted (plain http is for this "
            "machine alone, like http://127.0.0.1)."
        )
    return text


def split_url(text: str) -> SplitResult | None:
    """Return the parts of a URL, or None where its host or port is none that could be asked."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
        # As a look-up does, and httpx for its headers; they would fail with errors that are no network errors.
        host.encode("idna")
        is_url = bool(httpx.URL(text).host)
    except (ValueError, httpx.InvalidURL):
        return None
    return parts if is_url and host and "%" not in host and not any(map(str.isspace, text)) else None
