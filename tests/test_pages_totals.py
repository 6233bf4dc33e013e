"""Paged lists whose totals are missing or wrong: no row is lost, no wrong total is proof, no reading is endless."""

from collections.abc import Callable
from typing import Any

import pytest

from linq_source.errors import UnavailableError, UnprovenListError
from tests.rolls import Json, Roll, ids, on_page


def with_totals(**totals: Any) -> Callable[[Json, int, int], Json]:
    """Spoils the totals of every page."""
    return lambda body, _page, _number: {**body, "pagination": totals}


def without_totals(body: Json, _page: int, _number: int) -> Json:
    return {"contacts": body["contacts"]}


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_page_without_its_totals_does_no_harm_beside_others_that_have_them(page: int) -> None:
    for concurrency in (1, 16):
        roll = Roll(250, spoil=on_page(page, lambda body: {"contacts": body["contacts"]}))
        listed = roll.read(concurrency=concurrency)
        assert (ids(listed), listed.is_clean) == (roll.ids, True)
        assert len(roll.pages) <= 4


@pytest.mark.parametrize(
    ("count", "pages"),
    [(0, [1] * 2), (1, [1, 2]), (99, [1, 2]), (100, [1, 2] * 2), (101, [1, 2, 3] * 2), (300, [1, 2, 3, 4] * 2)],
)
def test_a_list_without_totals_is_read_until_an_empty_page_and_once_more(count: int, pages: list[int]) -> None:
    roll = Roll(count, spoil=without_totals)
    listed = roll.read()
    assert (ids(listed), listed.is_clean, roll.pages) == (roll.ids, True, pages)


def test_a_list_without_totals_that_came_out_short_once_is_not_believed() -> None:
    roll = Roll(300, spoil=lambda body, _page, number: {"contacts": [] if number == 2 else body["contacts"]})
    listed = roll.read()
    assert (ids(listed), listed.is_clean) == (roll.ids, True)


@pytest.mark.parametrize("total_pages", [0, 1, 2, 3, "3", 4, 99, 10**9, -1, None, "many", 2.5])
def test_a_wrong_number_of_pages_does_no_harm_beside_the_right_number_of_rows(total_pages: object) -> None:
    roll = Roll(250, spoil=with_totals(total_count=250, total_pages=total_pages))
    listed = roll.read()
    assert (ids(listed), listed.is_clean) == (roll.ids, True)
    assert roll.pages == ([1, 2, 3] if total_pages in (3, "3", None, -1, "many", 2.5) else [1, 2, 3, 4])


@pytest.mark.parametrize("total_pages", [0, 1, 2, 3, "3", 4, 99, 10**9, -1, None, "many"])
def test_a_number_of_pages_alone_is_read_on_to_an_empty_page(total_pages: object) -> None:
    roll = Roll(250, spoil=with_totals(total_pages=total_pages))
    listed = roll.read()
    assert (sorted(ids(listed)), listed.is_clean) == (roll.ids, True)
    assert len(roll.pages) < 50


@pytest.mark.parametrize("total_count", [250, "250", " 250 "])
def test_totals_may_be_texts(total_count: object) -> None:
    roll = Roll(250, spoil=with_totals(total_count=total_count, total_pages="3"))
    assert (ids(roll.read()), len(roll.pages)) == (roll.ids, 3)


@pytest.mark.parametrize("total_pages", [0, 3, 99, None])
@pytest.mark.parametrize("total_count", [0, 1, 99, 101, 150, 199, 249, 251, 260, 300])
def test_a_wrong_number_of_rows_is_never_believed_and_loses_none(total_count: int, total_pages: object) -> None:
    roll = Roll(250, spoil=with_totals(total_count=total_count, total_pages=total_pages))
    listed = roll.read()
    assert (ids(listed), listed.is_clean) == (roll.ids, False)


@pytest.mark.parametrize(("total_count", "total_pages"), [(100, 0), (100, 3), (200, 1), (200, 3), (200, 99)])
def test_two_totals_that_disagree_are_read_past(total_count: int, total_pages: int) -> None:
    roll = Roll(250, spoil=with_totals(total_count=total_count, total_pages=total_pages))
    listed = roll.read()
    assert (ids(listed), listed.is_clean) == (roll.ids, False)


@pytest.mark.parametrize("total_count", [301, 5_000, 10**18])
def test_totals_far_beyond_the_rows_are_an_error(total_count: int) -> None:
    with pytest.raises(UnavailableError, match="is empty although the list has"):
        Roll(250, spoil=with_totals(total_count=total_count, total_pages=3)).read()


def test_a_total_that_grows_for_ever_is_an_error_after_a_bounded_number_of_requests() -> None:
    roll = Roll(100)
    roll._change = lambda _number: roll.ids.extend(range(len(roll.ids), len(roll.ids) + 200))
    with pytest.raises(UnprovenListError, match="never ends"):
        roll.read()
    assert len(roll.pages) < 200
