"""LinqClient: how long it waits, how often it tries again, and how much it takes in."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest

from linq_source.client import LinqClient
from linq_source.errors import UnavailableError
from linq_source.simulator import Fault, World
from tests.support import TOKEN as DEMO_TOKEN
from tests.support import with_limits
from tests.test_client import GOOD, Serve
from tests.virtual_time import PATH, FakeLinq, now, run

HOUR = 3600.0
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


def busy(status: int = 429, **headers: str) -> httpx.Response:
    """An answer that asks to come back later."""
    return httpx.Response(status, headers={name.replace("_", "-"): value for name, value in headers.items()})


def get_all(linq: FakeLinq, count: int, **limits: Any) -> tuple[list[Any], float, float]:
    """Send requests side by side; return their results or errors, the seconds it took and those counted as waited."""

    async def main() -> tuple[list[Any], float, float]:
        async with linq.client(**limits) as client:
            sent = (client.get(f"{PATH}/{number}", read=lambda body: body) for number in range(count))
            results = await asyncio.gather(*sent, return_exceptions=True)
            return results, round(now(), 3), round(client.counters.waited_seconds, 3)

    return run(main)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry_After": "7"}, 7, 7),
        ({"Retry_After": " 120 "}, 120, 120),
        ({"Retry_After": "1.5"}, 1.5, 1.5),
        ({"Retry_After": "0"}, 0.5, 0.5),
        ({"Retry_After": "Wed, 21 Oct 2015 07:28:09 GMT", "Date": DATE}, 9, 9),
        ({"Retry_After": "Wed, 21 Oct 2015 09:28:09 +0200", "Date": DATE}, 9, 9),
        ({"Retry_After": "Wed, 21 Oct 2015 07:28:09", "Date": DATE}, 9, 9),
        ({"Retry_After": DATE, "Date": "Wed, 21 Oct 2015 07:29:00 GMT"}, 0.5, 0.5),
        ({"Retry_After": DATE}, 0.5, 0.5),
        *[
            ({"Retry_After": nonsense, "Date": DATE}, 0.25, 0.5)
            for nonsense in (
                "", "-5", "soon", "1e3", "0x10", "99999999999", "1,5", "NaN", "inf", "1 2 3", "7 seconds",
                "Wed, 99999999999999999999 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 99999999999 07:28:00 GMT",
                "Wed, 21 Oct 2015 07:28:00 +99999999999999999999", "Wed, 32 Oct 2015 07:28:00 GMT", "x" * 10_000,
            )
        ],
        ({}, 0.25, 0.5),
    ],
)  # fmt: skip
def test_retry_after_is_honoured_and_nonsense_in_it_ignored(
    status: int, headers: dict[str, str], least: float, most: float
) -> None:
    linq = FakeLinq.of(busy(status, **headers), GOOD)
    assert linq.get() == {"data": [1]}
    first, second = linq.times
    assert least <= second - first <= most


def test_a_date_in_retry_after_is_taken_by_our_own_clock_where_linq_tells_no_time() -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    linq = FakeLinq.of(busy(Retry_After=format_datetime(later)), GOOD)
    linq.get(max_wait_seconds=2 * HOUR)
    assert HOUR - 60 < linq.times[1] <= HOUR


def test_one_429_pauses_every_request() -> None:
    linq = FakeLinq.of(busy(Retry_After="10"), GOOD)
    linq.latency = lambda _number: 0.125
    results, _, _ = get_all(linq, 9, concurrency=2)
    assert results == [{"data": [1]}] * 9
    assert linq.times[:2] == [0, 0], "the second was on its way already"
    assert min(linq.times[2:]) == 10.125


def test_a_429_also_pauses_requests_that_queue_for_the_pace() -> None:
    linq = FakeLinq.of(busy(Retry_After="10"), GOOD)
    get_all(linq, 9, concurrency=9, requests_per_second=10)
    assert [time for time in linq.times if 0.0 < time < 10.0] == []
    # Two turns that nobody could use are made up for, and no more.
    assert most_in_a_second(linq.times) <= 10 + 2.5


def most_in_a_second(times: list[float]) -> int:
    """How many requests were made in the second that had most."""
    return max(sum(begin <= time < begin + 1 for time in times) for begin in times)


def test_a_503_holds_back_only_its_own_request() -> None:
    linq = FakeLinq.of(busy(503, Retry_After="10"), GOOD)
    get_all(linq, 9, concurrency=2)
    assert [time for time in linq.times if time == 0] == [0] * 9
    assert linq.times[9:] == [10]


def test_a_pause_of_one_request_ends_after_the_longest_asked_for() -> None:
    linq = FakeLinq.of(busy(Retry_After="10"), busy(Retry_After="30"), busy(Retry_After="20"), GOOD)
    linq.latency = lambda number: number / 8
    _, seconds, waited = get_all(linq, 3, concurrency=3)
    assert linq.times == [0, 0, 0, 30.25, 30.25, 30.25]
    assert (seconds, waited) == (31, 30.125), "waits that overlap count once"


def test_retries_are_bounded_and_wait_longer_each_time() -> None:
    linq = FakeLinq.of(httpx.Response(500))
    with pytest.raises(UnavailableError, match="after 12 attempts: status 500"):
        linq.get(attempts=12)
    gaps = [later - sooner for sooner, later in pairwise(linq.times)]
    assert len(gaps) == 11
    assert all(0.25 * 2**n <= gap <= 0.5 * 2**n for n, gap in enumerate(gaps[:7]))
    assert all(30 <= gap <= 60 for gap in gaps[7:])


def test_being_asked_to_slow_down_uses_up_no_attempt() -> None:
    linq = FakeLinq.of(*[busy(Retry_After="1")] * 20, httpx.Response(500), GOOD)
    assert linq.get(attempts=2) == {"data": [1]}
    assert len(linq.requests) == 22


@pytest.mark.parametrize("answer", [busy(), busy(Retry_After="7"), busy(Retry_After="0"), busy(503, Retry_After="7")])
def test_the_whole_waiting_of_a_client_is_bounded(answer: httpx.Response) -> None:
    linq = FakeLinq.of(answer)
    results, seconds, waited = get_all(linq, 40, concurrency=4, attempts=1000, max_wait_seconds=100)
    assert all(isinstance(result, UnavailableError) for result in results)
    assert "max_wait_seconds" in str(results[0])
    assert 90 <= waited <= 100
    assert seconds <= 101


def test_a_wait_beyond_the_allowance_is_refused_at_once_and_uses_none_of_it() -> None:
    linq = FakeLinq.of(busy(503, Retry_After="86400"), busy(503, Retry_After="2"), GOOD)
    results, seconds, waited = get_all(linq, 2, concurrency=1, max_wait_seconds=10)
    assert isinstance(results[0], UnavailableError)
    assert results[1:] == [{"data": [1]}]
    assert (seconds, waited) == (2, 2)


def test_no_waiting_at_all_can_be_asked_for() -> None:
    linq = FakeLinq.of(busy(), GOOD)
    with pytest.raises(UnavailableError, match="max_wait_seconds"):
        linq.get(max_wait_seconds=0)
    assert linq.times == [0]


async def dripping() -> AsyncIterator[bytes]:
    """One byte each second for ever."""
    while True:
        await asyncio.sleep(1)
        yield b" "


def test_a_body_that_drips_meets_the_deadline_of_its_request() -> None:
    linq = FakeLinq(lambda _request, _number: httpx.Response(200, content=dripping()))
    with pytest.raises(UnavailableError, match="no whole answer within 120 s"):
        linq.get(attempts=3)
    assert len(linq.times) == 3
    assert all(120.25 <= later - sooner <= 121 for sooner, later in pairwise(linq.times))


def test_an_answer_that_never_begins_meets_the_same_deadline() -> None:
    async def silence() -> httpx.Response:
        await asyncio.sleep(1e9)
        return GOOD

    linq = FakeLinq(lambda _request, number: silence() if number == 1 else GOOD)
    linq.get(request_seconds=7)
    assert 7.25 <= linq.times[1] <= 7.5


def test_no_more_requests_than_allowed_are_in_flight() -> None:
    async def slow() -> httpx.Response:
        await asyncio.sleep(1)
        return httpx.Response(200, json={})

    linq = FakeLinq(lambda _request, number: slow() if number % 5 else httpx.Response(500))
    get_all(linq, 60, concurrency=7)
    assert linq.most_at_once == 7


@pytest.mark.parametrize("rate", [0.5, 3, 250])
def test_the_pace_is_kept_by_all_requests_together_and_by_retries(rate: float) -> None:
    linq = FakeLinq(lambda _request, number: httpx.Response(200, json={}) if number % 3 else httpx.Response(502))
    get_all(linq, 40, concurrency=16, requests_per_second=rate)
    assert len(linq.times) > 50
    assert most_in_a_second(linq.times) <= max(1, 1.25 * rate + 1)
    # Before the first of them waits to try again, there is nothing to make up for.
    assert all(later - sooner >= 0.99 / rate for sooner, later in pairwise(linq.times[:10]))


BODY = b'{"data": [1]}'
GZIP = gzip.compress(BODY, mtime=0)


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("", BODY), ("identity", BODY), ("gzip", GZIP), (" GZIP ", GZIP),
        ("deflate", zlib.compress(BODY)),
    ],
)  # fmt: skip
def test_plain_and_compressed_bodies_are_read(encoding: str, content: bytes) -> None:
    assert FakeLinq.of(lambda: raw(encoding, content)).get() == {"data": [1]}


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("gzip", BODY), ("gzip", GZIP[:-12]), ("gzip", b""), ("br", BODY), ("zstd", BODY),
        ("gzip, gzip", gzip.compress(GZIP, mtime=0)), ("compress", BODY), ("nonsense", BODY),
    ],
)  # fmt: skip
def test_other_encodings_and_broken_ones_are_refused(encoding: str, content: bytes) -> None:
    with pytest.raises(UnavailableError):
        FakeLinq.of(lambda: raw(encoding, content)).get(attempts=2)


def raw(encoding: str, content: bytes) -> httpx.Response:
    """An answer whose bytes go out as they are."""

    async def stream() -> AsyncIterator[bytes]:
        yield content

    headers = {"Content-Encoding": encoding} if encoding else {}
    return httpx.Response(200, headers=headers, content=stream())


def test_a_body_is_cut_off_at_the_cap_and_not_before() -> None:
    linq = FakeLinq.of(httpx.Response(200, content=BODY))
    assert linq.get(max_body_bytes=len(BODY)) == {"data": [1]}
    with pytest.raises(UnavailableError, match="a body of over 12 bytes"):
        linq.get(max_body_bytes=len(BODY) - 1, attempts=2)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "reset"}, {"kind": "reset", "after_headers": True}, {"kind": "hang"}, {"kind": "drip"},
        {"kind": "short_body"}, {"kind": "cut_json"}, {"kind": "html"}, {"kind": "html", "status": 502},
        {"kind": "nan"}, {"kind": "deep_nesting"}, {"kind": "huge", "size": 3_000_000}, {"kind": "gzip_bomb"},
        {"kind": "error_body_200"}, {"kind": "body", "body": ""}, {"kind": "body", "body": b"\xff"}, {"status": 503},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)  # fmt: skip
def test_what_breaks_once_is_asked_again_and_what_stays_broken_is_an_error(
    fault: dict[str, Any], serve: Serve
) -> None:
    linq = serve(World.empty())
    limits = with_limits(read_seconds=0.3, request_seconds=0.4, max_body_bytes=2_000_000, attempts=2)

    async def fetch() -> Any:
        async with LinqClient(DEMO_TOKEN, base_url=linq.base_url, limits=limits) as client:
            return await client.get(PATH, read=lambda body: body)

    linq.faults.append(Fault(**fault, occurrence=1))
    assert asyncio.run(fetch())["contacts"] == []
    assert len(linq.requests) == 2
    linq.faults.append(Fault(**fault))
    with pytest.raises(UnavailableError, match=f"GET {PATH} (could not be used|did not arrive) after 2 attempts"):
        asyncio.run(fetch())
    assert len(linq.requests) == 4


def test_nobody_listening_is_an_error_that_names_the_setting(serve: Serve) -> None:
    linq = serve(World.empty())
    linq.stop()

    async def fetch() -> Any:
        async with LinqClient(DEMO_TOKEN, base_url=linq.base_url, limits=with_limits()) as client:
            return await client.get(PATH, read=lambda body: body)

    with pytest.raises(UnavailableError, match="is base_url right"):
        asyncio.run(fetch())
