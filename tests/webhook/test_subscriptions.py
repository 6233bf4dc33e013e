"""Subscriptions: exactly one, signed, with every type; and a check that names what is wrong."""

import gzip
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from linq_source import settings
from linq_source.errors import AuthenticationError, ConfigurationError, RequestRefusedError, UnavailableError
from linq_source.simulator import Simulator, World
from linq_source.simulator.faults import Fault
from linq_source.webhook.event import EVENT_TYPES
from linq_source.webhook.subscription_check import check, probe
from linq_source.webhook.subscriptions import SubscriptionsClient, check_events, check_url, ensure, remove
from tests.support import TOKEN, Finished, run_pipeline
from tests.webhook.support import SECRET, Served, event

Serve = Callable[..., Simulator]
URL = "https://example.com/webhooks/linq"
OTHER = "https://example.com/other"


@pytest.fixture
def linq(serve: Serve) -> Simulator:
    return serve(World.empty())


@pytest.fixture
def client(linq: Simulator) -> Iterator[SubscriptionsClient]:
    with SubscriptionsClient(TOKEN, base_url=linq.base_url, sleep=lambda _: None) as made:
        yield made


def stored(linq: Simulator) -> list[Any]:
    return sorted(linq.world.webhook_subscriptions.values(), key=lambda each: each.id)


def test_a_new_one_has_every_type_and_a_secret_of_its_own(linq: Simulator, client: SubscriptionsClient) -> None:
    result = ensure(client, url=URL)
    (made,) = stored(linq)
    assert (made.webhook_url, made.version, made.active) == (URL, 2, True)
    assert sorted(made.events) == sorted(EVENT_TYPES)
    assert made.secret == result.secret
    assert result.secret
    assert len(result.secret) >= 32
    assert ensure(client, url=URL).done == []
    assert len(stored(linq)) == 1


def test_a_secret_of_the_configuration_is_used_and_not_shown(linq: Simulator, client: SubscriptionsClient) -> None:
    assert ensure(client, url=URL, secret=SECRET).secret is None
    assert stored(linq)[0].secret == SECRET


def test_what_is_wrong_is_repaired_and_what_is_right_stays(linq: Simulator, client: SubscriptionsClient) -> None:
    linq.world.add_webhook_subscription(webhook_url=OTHER, events=["message.sent"], version=2)
    ours = linq.world.add_webhook_subscription(
        webhook_url="https://EXAMPLE.com:443/webhooks/linq",
        events=["message.sent"],
        version=1,
        active=False,
        secret=None,
    )
    result = ensure(client, url=URL, secret=SECRET)
    other, repaired = stored(linq)
    assert (other.webhook_url, other.version, other.secret) == (OTHER, 2, None)
    assert (repaired.id, repaired.version, repaired.active, repaired.secret) == (ours.id, 2, True, SECRET)
    assert (list(repaired.events), repaired.webhook_url) == (["message.sent"], URL)
    assert result.subscription_id == ours.id
    ensure(client, url=URL, events=["message.sent", "message.read"])
    assert sorted(stored(linq)[1].events) == ["message.read", "message.sent"]
    assert stored(linq)[1].secret == SECRET


def test_several_for_one_url_become_one_that_has_the_types_of_all(
    linq: Simulator, client: SubscriptionsClient
) -> None:
    for events, secret in ((["message.sent"], None), (["message.read"], SECRET), (["contact.created"], None)):
        linq.world.add_webhook_subscription(webhook_url=URL, events=events, version=2, secret=secret)
    result = ensure(client, url=URL)
    (left,) = stored(linq)
    assert sorted(left.events) == ["contact.created", "message.read", "message.sent"]
    assert left.secret == SECRET
    assert len(result.done) == 3


def test_a_secret_is_replaced_only_when_asked_for(linq: Simulator, client: SubscriptionsClient) -> None:
    ensure(client, url=URL, secret="the-old-one-0000")
    ensure(client, url=URL, secret=SECRET)
    assert stored(linq)[0].secret == "the-old-one-0000"
    ensure(client, url=URL, secret=SECRET, sets_secret=True)
    assert stored(linq)[0].secret == SECRET


def test_removing_leaves_those_of_other_urls(linq: Simulator, client: SubscriptionsClient) -> None:
    linq.world.add_webhook_subscription(webhook_url=OTHER, events=["message.sent"], version=2)
    ensure(client, url=URL)
    assert len(remove(client, url=URL).done) == 1
    assert [each.webhook_url for each in stored(linq)] == [OTHER]
    assert remove(client, url=URL).done == []


def test_a_new_one_that_linq_does_not_list_is_to_be_looked_for_by_what_the_command_has() -> None:
    answers = transport(httpx.Response(200, json={"webhook_subscriptions": []}))
    with (
        SubscriptionsClient(TOKEN, transport=answers) as client,
        pytest.raises(UnavailableError, match="run the command without options later"),
    ):
        ensure(client, url=URL)


def test_a_creation_whose_answer_is_lost_is_found_again_and_never_sent_twice(
    linq: Simulator, client: SubscriptionsClient
) -> None:
    linq.faults.append(Fault(kind="short_body", method="POST", times=1))
    result = ensure(client, url=URL)
    (made,) = stored(linq)
    assert result.secret == made.secret
    assert linq.count("POST ") == 1


def test_failures_of_linq_are_errors_of_ours(linq: Simulator, client: SubscriptionsClient) -> None:
    with SubscriptionsClient("another-token", base_url=linq.base_url) as stranger, pytest.raises(AuthenticationError):
        stranger.list()
    with pytest.raises(RequestRefusedError) as caught:
        client.create(url="not a url", events=["message.sent"], secret=SECRET)
    assert SECRET not in str(caught.value)


def transport(*answers: httpx.Response) -> httpx.MockTransport:
    left = list(answers)
    return httpx.MockTransport(lambda _: left.pop(0) if len(left) > 1 else left[0])


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"webhook_subscriptions":{}}', b'{"webhook_subscriptions":[{}]}']
)
def test_an_answer_that_is_no_list_is_never_taken_for_an_empty_one(body: bytes) -> None:
    answer = httpx.Response(200, content=body)
    with (
        SubscriptionsClient(TOKEN, transport=transport(answer), sleep=lambda _: None) as client,
        pytest.raises(UnavailableError),
    ):
        ensure(client, url=URL)


NULL = b'{"webhook_subscriptions":null}'


def test_a_null_list_is_empty_only_when_linq_says_so_four_times_and_a_busy_linq_is_asked_again() -> None:
    null, busy = httpx.Response(200, content=NULL), httpx.Response(503)
    slept: list[float] = []
    answers = transport(busy, busy, null, null, null, null)
    with SubscriptionsClient(TOKEN, transport=answers, sleep=slept.append) as client:
        assert client.list() == []
    assert slept == [1.0, 2.0, 1.0, 2.0, 4.0]


def test_a_list_that_is_null_once_makes_no_second_subscription(linq: Simulator, client: SubscriptionsClient) -> None:
    ensure(client, url=URL)
    whole = httpx.get(
        f"{linq.base_url}{settings.WEBHOOK_SUBSCRIPTIONS}", headers={settings.TOKEN_HEADER: TOKEN}
    ).content
    answers = transport(httpx.Response(200, content=NULL), httpx.Response(200, content=whole))
    with SubscriptionsClient(TOKEN, transport=answers, sleep=lambda _: None) as again:
        assert ensure(again, url=URL).done == []


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "http://example.com/x", "https://a:b@example.com/", "https://", "https://x y/",
        "https://x:y/", "https://a..b/", "https://xn--zz.com/",
    ],
)  # fmt: skip
def test_a_url_that_linq_should_not_deliver_to_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="--url"):
        check_url(url)


@pytest.mark.parametrize(
    "proxy", ["ftp://:s3cret@127.0.0.1", "http://127.0.0.1:s3cret", "socks5://:s3cret@127.0.0.1"]
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_setting(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as refused:
        SubscriptionsClient(TOKEN)
    assert "s3cret" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY"):
        probe(URL)


def test_an_answer_that_inflates_beyond_the_limit_is_refused() -> None:
    bomb = gzip.compress(b" " * 2_000_000)

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(bomb))

    client = SubscriptionsClient(
        TOKEN, transport=httpx.MockTransport(answer), sleep=lambda _: None, max_body_bytes=1_000_000
    )
    with pytest.raises(UnavailableError, match="over 1000000 bytes"):
        client.list()


def test_what_is_logged_at_debug_holds_no_header_of_an_answer(
    linq: Simulator, client: SubscriptionsClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        client.list()
    assert "httpcore.http11" in {record.name for record in caplog.records}
    assert "content-length" not in caplog.text.lower()
    assert TOKEN not in caplog.text


def test_urls_and_events_in_one_spelling() -> None:
    assert check_url(" HTTPS://Example.COM:443/webhooks/linq ") == URL
    assert check_url("http://[::1]:8080/x") == "http://[::1]:8080/x"
    assert check_events(["message.sent", "message.read", "message.sent"]) == ("message.read", "message.sent")
    with pytest.raises(ConfigurationError, match=r"message\.edited"):
        check_events(["message.edited"])


def test_the_check_finds_nothing_where_all_is_right(
    linq: Simulator, client: SubscriptionsClient, tmp_path: Path
) -> None:
    with Served(tmp_path) as served:
        url = f"http://127.0.0.1:{served.port}/webhooks/linq"
        ensure(client, url=url, secret=SECRET)
        assert served.deliver(event(1)) == 200
        subscription = stored(linq)[0]
        subscription.delivery_attempts, subscription.last_delivered_at = 1, served.now
        found = check(client.list(), url=url, secrets=[SECRET.encode()], journal=tmp_path)
        assert found == []
        assert served.rows("select count(*) from rejects") == [0]
        assert served.rows() == ["evt-1"]
        assert probe(url, [b"another-secret-0000"])[0].startswith("The receiver does not know")
        subscription.last_delivered_at = served.now + timedelta(hours=1)
        assert "something else answers" in check(client.list(), url=url, journal=tmp_path)[0]
    assert "cannot be reached" in probe(url)[0]


def test_the_check_names_what_is_wrong_with_the_subscription(linq: Simulator, client: SubscriptionsClient) -> None:
    answers = httpx.MockTransport(lambda _: httpx.Response(401))
    assert "No subscription" in check(client.list(), url=URL, transport=answers)[0]
    for _ in range(2):
        linq.world.add_webhook_subscription(
            webhook_url=URL, events=["message.sent"], version=1, active=False, secret=None
        )
    text = " ".join(check(client.list(), url=URL, events=["message.read"], transport=answers))
    for problem in ("not active", "version 1", "the event types message.read", "no secret", "no delivery", "several"):
        assert problem in text
    for each in stored(linq):
        each.delivery_attempts = 7
    assert "accepted (tried: 7)" in " ".join(check(client.list(), url=URL, transport=answers))


@pytest.mark.parametrize(
    ("status", "meaning"),
    [(301, "redirects"), (200, "anyone"), (404, "path"), (502, "proxy"), (403, "another program")],
)
def test_the_check_says_what_the_answer_of_a_url_means(status: int, meaning: str) -> None:
    assert meaning in probe(URL, transport=httpx.MockTransport(lambda _: httpx.Response(status)))[0]


def command(linq: Simulator, *options: str) -> Finished:
    return run_pipeline("webhook_subscribe.py", *options, linq=linq)


def test_the_command_from_making_to_removing(linq: Simulator) -> None:
    made = command(linq, "--url", URL, "--events", "message.sent,message.read", "call.completed")
    secret = stored(linq)[0].secret
    assert (made.returncode, made.stderr) == (0, "")
    assert f"SOURCES__LINQ__WEBHOOK_SECRET={secret}" in made.stdout
    listed = json.loads(command(linq, "--json").stdout)["webhook_subscriptions"]
    assert listed[0]["events"] == ["call.completed", "message.read", "message.sent"]
    assert secret not in json.dumps(listed)
    assert command(linq, "--url", URL, "--remove").returncode == 0
    assert stored(linq) == []


def test_the_command_s_check_ends_with_code_3_when_something_is_wrong(linq: Simulator) -> None:
    checked = command(linq, "--url", "http://127.0.0.1:9/webhooks/linq", "--check")
    assert checked.returncode == 3
    assert "No subscription delivers" in checked.stdout


def test_the_command_names_what_is_missing(linq: Simulator) -> None:
    for options, said in ((["--check"], "--url"), (["--url", "http://a.b/"], "https")):
        finished = command(linq, *options)
        assert finished.returncode == 2
        assert said in finished.stderr
        assert len(finished.stderr.splitlines()) == 1
