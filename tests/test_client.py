"""LinqClient: where the token may go, by which settings and requests, and what no log may hold."""

import asyncio
import logging
import socketserver
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from linq_source import settings
from linq_source.access import check_base_url, check_token
from linq_source.client import LinqClient
from linq_source.errors import ApiError, ConfigurationError, NotFoundError, RequestRefusedError, UnavailableError
from linq_source.limits import Limits
from linq_source.simulator import Fault, Simulator, World
from tests.support import with_limits
from tests.virtual_time import PATH, TOKEN, FakeLinq

Serve = Callable[..., Simulator]
GOOD = httpx.Response(200, json={"data": [1]})


def fetch(linq: Simulator, path: str = PATH, token: str = "demo-token", **limits: Any) -> Any:
    """One GET over a real socket."""

    async def main() -> Any:
        async with LinqClient(token, base_url=linq.base_url, limits=with_limits(**limits)) as client:
            return await client.get(path, {"phone_number": "+12125550199"}, read=lambda body: body)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://api.linqapp.com", "https://api.linqapp.com"),
        ("https://api.linqapp.com/", "https://api.linqapp.com"),
        (" https://api.linqapp.com\n", "https://api.linqapp.com"),
        ("HTTPS://API.linqapp.com:8443/proxy/", "HTTPS://API.linqapp.com:8443/proxy"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_base_url_is_https_or_this_machine(given: str, used: str) -> None:
    assert check_base_url(given) == used
    assert LinqClient(TOKEN, base_url=given).counters.requests == 0


@pytest.mark.parametrize(
    "given",
    [
        "", " ", "api.linqapp.com", "https:", "https://", "https:api.linqapp.com", "//api.linqapp.com", None, 5, b"x",
        "http://api.linqapp.com", "http://10.0.0.1", "http://0.0.0.0", "http://localhost.evil.test", "http://127.1",
        "http://[::2]", "http://[::ffff:10.0.0.1]", "http://127.0.0.1.evil.test", "http://127.0.0.1%2eevil.test",
        "http://localhost\\.evil.test", "http://127.0.0.1@evil.test", "ftp://localhost", "file:///etc/passwd",
        "https://user@host.test", "https://:s3cret@host.test", "https://@host.test", "https://u:s3cret@host.test:99999",
        "https://host.test?x=s3cret", "https://host.test?", "https://host.test#", "https://host.test/#s3cret",
        "https://host.test:99999", "https://host.test:port", "https://[::1", "https://a..test", "https://" + "a" * 64,
        "https://exa mple.test", "https://exa\tmple.test", "https://host.test/\nx", "https://host%00.test", "s3cret",
        "https://xn--zz.com",
    ],
)  # fmt: skip
def test_any_other_base_url_is_refused_by_name_without_showing_it(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as refusal:
        LinqClient(TOKEN, base_url=given)
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("token", ["", "  ", None, 5, b"abc", "zq 12", "zq\nz", "zq\r\nX: y", "zq\tz", "zqü", "zq\0"])
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(token: Any) -> None:
    with pytest.raises(ConfigurationError, match="SOURCES__LINQ__INTEGRATION_TOKEN") as refusal:
        check_token(token)
    assert "zq" not in str(refusal.value)


def test_white_space_around_a_token_is_dropped() -> None:
    assert check_token(" abc\n") == "abc"


@pytest.mark.parametrize(
    "limits",
    [
        {"concurrency": 0}, {"attempts": 0}, {"requests_per_second": 0}, {"requests_per_second": -1},
        {"requests_per_second": float("nan")}, {"requests_per_second": float("inf")}, {"requests_per_second": 1e-320},
        {"max_wait_seconds": -1}, {"max_wait_seconds": float("nan")}, {"backoff_seconds": 0},
    ],
)  # fmt: skip
def test_limits_that_would_hang_or_never_end_are_refused_by_name(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(limits))):
        Limits(**limits)  # type: ignore[arg-type]


def test_every_request_is_a_get_with_the_token_and_the_exact_query() -> None:
    linq = FakeLinq.of(httpx.Response(500), GOOD)
    assert linq.get(params={"phone_number": "+12125550199", "page": 2, "per_page": 100}) == {"data": [1]}
    assert {request.method for request in linq.requests} == {"GET"}
    assert [request.headers[settings.TOKEN_HEADER] for request in linq.requests] == [TOKEN, TOKEN]
    assert linq.requests[1].url.raw_path == PATH.encode() + b"?phone_number=%2B12125550199&page=2&per_page=100"
    assert linq.requests[0].headers["Accept-Encoding"] == "identity, gzip, deflate"


def test_a_client_has_no_method_that_could_change_anything() -> None:
    assert {name for name in dir(LinqClient) if not name.startswith("_")} == {"get", "aclose"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_the_other_host_never_sees_the_token(status: int, serve: Serve) -> None:
    linq, canary = serve(World.empty()), serve(World.empty())
    linq.faults.append(
        Fault(kind="redirect", status=status, location=f"{canary.base_url}{PATH}", times=9, occurrence=1)
    )
    with pytest.raises(RequestRefusedError, match=f"GET {PATH}: status {status}"):
        fetch(linq)
    assert (len(linq.requests), canary.requests) == (1, [])


@pytest.mark.parametrize(
    "location", ["", "http://[::1", "http://host:port", "//", "\\", "http://\x80", "x" * 100_000]
)
def test_a_redirect_to_nowhere_is_an_error_like_any_other(location: str) -> None:
    linq = FakeLinq.of(httpx.Response(302, headers={"Location": location.encode("latin-1")}))
    with pytest.raises(ApiError):
        linq.get()


def test_no_log_line_holds_the_token_a_number_or_a_text(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    world = World.empty()
    chat = world.add_chat(["+12125550199"])
    world.receive(chat.id, "Dear Ann, the key is under the mat")
    linq = serve(world)
    linq.faults.append(Fault(status=500, occurrence=1))
    with caplog.at_level(logging.DEBUG):
        fetch(linq, settings.chat_messages_path(chat.id))
        with pytest.raises(NotFoundError):
            fetch(linq, settings.chat_path(987))
    assert caplog.text.count("GET /api/partner/v2/") >= 3
    for secret in ("demo-token", "12125550199", "2B1212", "Dear Ann"):
        assert secret not in caplog.text


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_linq_is_reached_through_the_proxy_of_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    class Refusing(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline())
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Refusing) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setenv(name, f"127.0.0.1:{proxy.server_address[1]}")
        with pytest.raises(UnavailableError, match="the proxy"):
            asyncio.run(get_from("https://api.linqapp.com"))
        proxy.shutdown()
    assert asked == [b"CONNECT api.linqapp.com:443 HTTP/1.1\r\n"]


def test_no_proxy_stands_between_us_and_this_machine(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert fetch(serve(World.empty())) is not None


@pytest.mark.parametrize(
    "proxy", ["ftp://:s3cret@127.0.0.1", "http://127.0.0.1:s3cret", "socks5://:s3cret@127.0.0.1"]
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_setting(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as failure:
        LinqClient(TOKEN)
    assert "s3cret" not in str(failure.value)


async def get_from(base_url: str) -> Any:
    """One GET that is tried once."""
    async with LinqClient(TOKEN, base_url=base_url, limits=with_limits(attempts=1)) as client:
        return await client.get(PATH, read=lambda body: body)
