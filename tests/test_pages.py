"""Paged lists: whole and proven, or said not to be; never short in silence."""

import asyncio
from typing import Any

import httpx
import pytest

from linq_source.errors import ApiError, ForbiddenError, UnavailableError
from linq_source.pages import MAX_PASSES, Walk, identity, read_page
from linq_source.strict_json import BrokenBodyError
from tests.rolls import Json, Roll, ids, on_page
from tests.virtual_time import PATH, now, run


@pytest.mark.parametrize("list_key", ["contacts", "data"])
@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 1), (99, 1), (100, 1), (101, 2), (200, 2), (1_234, 13)])
def test_a_list_that_stands_still_takes_a_request_for_each_hundred_rows(
    count: int, requests: int, list_key: str
) -> None:
    roll = Roll(count, list_key=list_key)
    listed = roll.read()
    assert (ids(listed), listed.is_clean) == (roll.ids, True)
    assert roll.pages == list(range(1, requests + 1))
    assert {request.url.params["per_page"] for request in roll.linq.requests} == {"100"}


@pytest.mark.parametrize("page_size", [1, 7, 25, 50])
def test_a_server_that_sends_fewer_rows_per_page_is_only_slower(page_size: int) -> None:
    roll = Roll(60, page_size=page_size)
    listed = roll.read()
    assert (ids(listed), listed.is_clean, len(roll.pages)) == (roll.ids, True, -(-60 // page_size))


@pytest.mark.parametrize("concurrency", [1, 2, 16])
def test_pages_are_asked_for_side_by_side_and_come_in_order(concurrency: int) -> None:
    roll = Roll(950)
    roll.linq.latency = lambda number: 1 / number
    listed = roll.read(concurrency=concurrency)
    assert (ids(listed), listed.is_clean) == (roll.ids, True)
    assert roll.linq.most_at_once == min(concurrency, 9)


@pytest.mark.parametrize("rows", [[], None])
def test_an_honest_empty_list_is_whole(rows: object) -> None:
    roll = Roll(spoil=lambda body, _page, _number: {**body, "contacts": rows})
    listed = roll.read()
    assert (listed.rows, listed.is_clean, roll.pages) == ([], True, [1])


BROKEN = {
    "empty": lambda body: {**body, "contacts": []},
    "empty without totals": lambda _body: {"contacts": []},
    "null": lambda body: {**body, "contacts": None},
    "null without totals": lambda _body: {"contacts": None},
    "missing": lambda body: {"pagination": body["pagination"]},
    "an object": lambda body: {**body, "contacts": {}},
    "a text": lambda body: {**body, "contacts": "none"},
    "under another name": lambda body: {"data": body["contacts"], "pagination": body["pagination"]},
    "a bare list": lambda body: body["contacts"],
    "a number": lambda _body: 5,
    "nothing": lambda _body: httpx.Response(200, content=b"null"),
    "html": lambda _body: httpx.Response(200, html="<p>We'll be right back</p>"),
    "cut": lambda body: httpx.Response(200, content=httpx.Response(200, json=body).content[:-9]),
    "an error": lambda _body: {"errors": [{"status": 500, "detail": "Oops"}]},
    "a standard error": lambda _body: {"status": "503", "error_code": "E", "message": "Oops", "errors": []},
}


@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_page_is_asked_again_and_then_an_error(page: int, name: str) -> None:
    if (page, name) == (1, "empty without totals"):
        page = 2  # as the first page it looks exactly like an honest empty list: see the next test
    made = BROKEN[name]
    for concurrency in (1, 16):
        roll = Roll(250, spoil=on_page(page, made, times=2))
        listed = roll.read(concurrency=concurrency)
        assert (ids(listed), listed.is_clean, len(roll.pages)) == (roll.ids, True, 5)
        with pytest.raises(UnavailableError, match=f"GET {PATH} could not be used after 3 attempts"):
            Roll(250, spoil=on_page(page, made)).read(concurrency=concurrency)


def test_a_first_page_that_is_empty_by_mistake_is_found_out_by_asking_twice() -> None:
    roll = Roll(250, spoil=on_page(1, {"contacts": []}, times=1))
    listed = roll.read()
    assert (sorted(ids(listed)), listed.is_clean) == (roll.ids, True)


@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_page_that_repeats_another_is_asked_again_and_then_an_error(concurrency: int) -> None:
    first: list[Json] = []

    def keep(body: Json, page: int, _number: int) -> Json:
        first.extend(body["contacts"] if page == 1 and not first else [])
        return {**body, "contacts": first} if page == 3 and failing[0] else body

    failing = [True]
    with pytest.raises(UnavailableError, match="page 3 repeats page 1"):
        Roll(300, spoil=keep).read(concurrency=concurrency)
    roll = Roll(300, spoil=keep, change=lambda number: failing.__setitem__(0, number < 5))
    listed = roll.read(concurrency=concurrency)
    assert (ids(listed), listed.is_clean) == (roll.ids, True)


def test_a_server_that_repeats_its_last_page_for_ever_is_an_error_and_no_loop() -> None:
    def clamp(body: Json, page: int, _number: int) -> Json:
        return {"contacts": body["contacts"] or [{"id": key} for key in range(200, 250)]}

    roll = Roll(250, spoil=clamp)
    with pytest.raises(UnavailableError, match="page 4 repeats page 3"):
        roll.read()
    assert len(roll.pages) == 6


def test_a_row_added_before_the_read_position_is_there_once_like_every_other() -> None:
    roll = Roll(250, change=lambda number: roll.ids.insert(0, 999) if number == 2 else None)
    listed = roll.read(concurrency=1)
    assert (ids(listed), listed.is_clean, len(roll.pages)) == ([999, *range(250)], True, 6)


def test_a_whole_page_of_rows_added_before_the_read_position_is_no_broken_answer() -> None:
    roll = Roll(
        250, change=lambda number: roll.ids.__setitem__(slice(0, 0), range(1000, 1100)) if number == 2 else None
    )
    listed = roll.read(concurrency=1)
    assert (ids(listed), listed.is_clean) == ([*range(1000, 1100), *range(250)], True)
    assert len(roll.pages) == 8


def test_a_row_deleted_before_the_read_position_hides_no_other() -> None:
    roll = Roll(250, change=lambda number: roll.ids.remove(5) if number == 2 else None)
    listed = roll.read(concurrency=1)
    assert (ids(listed), listed.is_clean, len(roll.pages)) == ([*range(5), *range(6, 250)], True, 6)


def test_a_list_that_shrinks_below_pages_already_asked_for_is_read_again() -> None:
    roll = Roll(500, change=lambda number: roll.ids.__delitem__(slice(120, None)) if number == 2 else None)
    listed = roll.read()
    assert (ids(listed), listed.is_clean) == (list(range(120)), True)


@pytest.mark.parametrize("when", [2, 3])
@pytest.mark.parametrize("more", [1, 49, 50, 51, 300])
def test_a_list_that_only_grew_at_its_end_takes_one_pass(more: int, when: int) -> None:
    roll = Roll(250)
    roll._change = lambda number: roll.ids.extend(range(250, 250 + more)) if number == when else None
    listed = roll.read()
    assert (ids(listed), listed.is_clean, len(roll.pages)) == (list(range(250 + more)), True, -(-(250 + more) // 100))


def test_a_list_that_never_stands_still_comes_whole_but_unproven() -> None:
    roll = Roll(250)
    roll._change = lambda number: roll.ids.insert(0, 1_000 + number)
    listed = roll.read(concurrency=1)
    assert not listed.is_clean
    assert set(ids(listed)) >= set(range(250))
    assert len(roll.pages) == 3 * MAX_PASSES


def test_a_row_that_changed_while_it_moved_is_taken_as_it_was_last_seen() -> None:
    def change(number: int) -> None:
        if number == 2:
            roll.ids.insert(0, 999)
            roll.versions[99] = 1

    roll = Roll(150, change=change)
    listed = roll.read(concurrency=1)
    assert next(row for row in listed.rows if row["id"] == 99)["version"] == 1


def test_rows_that_each_pass_lacks_another_of_are_all_in_the_union() -> None:
    def hide(body: Json, page: int, number: int) -> Json:
        return {**body, "contacts": body["contacts"][: 99 - number // 3]} if page == 1 else body

    listed = Roll(250, spoil=hide).read(concurrency=1)
    assert (sorted(ids(listed)), listed.is_clean) == ([*range(99), *range(100, 250)], False)


def test_one_refused_page_fails_the_list_and_ends_the_other_requests() -> None:
    roll = Roll(5_000, spoil=on_page(3, httpx.Response(403)))
    roll.linq.latency = lambda number: 1 if number <= 3 else 99

    async def main() -> float:
        with pytest.raises(ForbiddenError):
            await roll.reading(concurrency=4)
        return round(now(), 3)

    assert (run(main), len(roll.pages)) == (2, 5)


def test_whoever_stops_reading_leaves_no_request_behind() -> None:
    roll = Roll(5_000)
    roll.linq.latency = lambda number: 1 if number < 3 else 99

    async def main() -> tuple[float, int]:
        async with roll.linq.client(concurrency=4) as client:
            pages = aiter(Walk(client, PATH, {}, "contacts"))
            await anext(pages)
            await anext(pages)
            await pages.aclose()  # type: ignore[attr-defined]
            return round(now(), 3), len(asyncio.all_tasks())

    assert run(main) == (2, 1)


@pytest.mark.parametrize("row", [{"id": 7}, {"id": "7"}, {"id": " 007 "}, {"id": 7, "text": "other"}, {"id": "7\n"}])
def test_an_id_is_the_same_however_it_is_spelled(row: Json) -> None:
    assert identity(row) == "7"


def test_what_is_no_id_is_never_taken_for_one() -> None:
    odd: list[Any] = [
        {"id": True}, {"id": False}, {"id": None}, {"id": ""}, {"id": " "}, {"id": 7.0}, {"id": 7.5}, {"id": [7]},
        {"id": {"id": 7}}, {"id": "7a"}, {"id": "--7"}, {"id": "²"}, {"id": "0x7"}, {"id": "7.0"}, {"id": "1_0"},
        {"id": 2**70}, {"id": -(2**70)}, {"id": "9" * 5000}, {"id": "\ud83d"}, {}, {"Id": 7}, [7],
        7, "7", None, [], "", True, {"id": "{}"}, "7a", {"id": None, "a": 1}, {"id": "", "a": 1},
    ]  # fmt: skip
    found = [identity(row) for row in odd]
    assert len(set(found)) == len(odd)
    for each in found:
        assert not each.lstrip("-").isdigit() or not -(2**63) <= int(each) < 2**63


def test_rows_without_an_id_are_told_apart_by_all_they_hold() -> None:
    assert identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1}) != identity({"a": 1, "b": 3})
    roll = Roll(
        3, spoil=lambda body, _page, _number: {**body, "contacts": [{"id": ""}, {"id": "", "a": 1}, {"id": 3}]}
    )
    listed = roll.read()
    assert (len(listed.rows), listed.is_clean) == (3, True)


def test_no_error_of_a_page_quotes_it() -> None:
    body = {"contacts": "Dear Ann", "pagination": {"total_count": "Dear Ann"}, "Dear Ann": 1}
    for key in ("contacts", "data"):
        with pytest.raises(BrokenBodyError) as refusal:
            read_page(body, key, 1)
        assert "Ann" not in str(refusal.value)
    with pytest.raises(ApiError) as failure:
        Roll(5, spoil=lambda *_: body).read()
    assert "Ann" not in str(failure.value)
