"""LinqClient: what each answer leads to, and what no error may hold."""

import json
import traceback
from typing import Any

import httpx
import pytest

from linq_source.errors import (
    ApiError,
    AuthenticationError,
    ForbiddenError,
    LinqError,
    NotFoundError,
    RequestRefusedError,
    UnavailableError,
)
from tests.virtual_time import PATH, TOKEN, FakeLinq


@pytest.mark.parametrize(
    ("error", "requests", "statuses"),
    [
        (AuthenticationError, 1, [401]),
        (ForbiddenError, 1, [403]),
        (NotFoundError, 1, [404]),
        (RequestRefusedError, 1, [300, 304, 400, 402, 405, 406, 409, 410, 418, 422, 431, 451]),
        (UnavailableError, 6, [408, 425, 500, 501, 502, 503, 504, 520, 599, 202, 204, 206]),
    ],
)
def test_each_status_leads_to_its_error_after_so_many_requests(
    error: type[LinqError], requests: int, statuses: list[int]
) -> None:
    for status in statuses:
        linq = FakeLinq.of(httpx.Response(status))
        with pytest.raises(error, match=f"GET {PATH}") as failure:
            linq.get()
        assert type(failure.value) is error
        assert len(linq.requests) == requests
        assert getattr(failure.value, "status", 401) == status
        assert getattr(failure.value, "path", PATH) == PATH


@pytest.mark.parametrize("status", [200, 201, 203, 206])
def test_a_good_body_counts_with_any_status_of_success(status: int) -> None:
    assert FakeLinq.of(httpx.Response(status, json={"data": []})).get() == {"data": []}


ERRORS = {"errors": [{"status": 422, "code": "E1", "title": "Bad", "detail": "phone_number is invalid."}]}
STANDARD = {"status": "422", "error_code": "E2", "message": "Too many pages.", "errors": ["per_page is too large"]}


@pytest.mark.parametrize(
    ("body", "excerpt"),
    [
        (ERRORS, "(phone_number is invalid)"),
        (STANDARD, "(Too many pages)"),
        ({"errors": ["Only a text"]}, "(Only a text)"),
        ({"errors": [{"title": "Bad"}]}, "(Bad)"),
        *[
            (body, "status 422.")
            for body in (
                {"errors": []}, {"errors": None}, {"errors": [[]]}, {"errors": {"detail": "x"}}, {"message": {}},
                [ERRORS], [], "text", "", None, 5, True,
            )
        ],
    ],
)  # fmt: skip
def test_both_error_formats_are_quoted_and_others_do_no_harm(body: Any, excerpt: str) -> None:
    with pytest.raises(RequestRefusedError) as failure:
        FakeLinq.of(httpx.Response(422, json=body)).get()
    assert excerpt in str(failure.value)


@pytest.mark.parametrize(
    ("body", "error", "requests"),
    [
        ({"errors": [{"status": 401}]}, AuthenticationError, 1),
        ({"status": "401", "error_code": "E"}, AuthenticationError, 1),
        ({"errors": [{"status": "403"}]}, ForbiddenError, 1),
        ({"errors": [{"status": 404}], "data": None}, NotFoundError, 1),
        (STANDARD, RequestRefusedError, 1),
        *[
            (body, UnavailableError, 3)
            for body in (
                {"status": "500", "error_code": "E", "message": "Oops", "errors": []}, {"errors": ["text"]},
                {"errors": [{"detail": "no status"}]}, {"errors": [{"status": 200}]}, {"errors": []},
                {"errors": [{"status": "9" * 5000}]}, {"errors": [{"status": 500}], "data": []},
                {"errors": ["text"], "contacts": [], "pagination": {"total_count": 0}},
            )
        ],
    ],
)  # fmt: skip
def test_an_error_body_with_status_200_is_the_error_that_it_names(
    body: Any, error: type[LinqError], requests: int
) -> None:
    linq = FakeLinq.of(httpx.Response(200, content=json.dumps(body)))
    with pytest.raises(error):
        linq.get(attempts=3)
    assert len(linq.requests) == requests


@pytest.mark.parametrize(
    "body",
    [
        {"data": [1], "errors": ["a warning"]}, {"data": [], "errors": []}, {"data": [1], "error_code": 1},
        {"phone_numbers": [], "error_code": None}, {"data": {"id": 5}, "errors": []}, {"errors": None, "data": []},
    ],
)  # fmt: skip
def test_a_list_with_a_field_named_like_an_error_is_still_a_list(body: Any) -> None:
    assert FakeLinq.of(httpx.Response(200, json=body)).get() == body


LEAKS = [
    "+12125550199", "(212) 555-0199", "212.555.0199", "212/555/0199", "212_555_0199", "+1 212 555 0199", "5550199",
    "+1\u00a0212\u2011555\u20110199", "ann.lee@example.com", "12125550199@example.com", "%2B12125550199",
    TOKEN, f"'{TOKEN}'", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x", "3f2b8c1e-9d47-4c55-8a61-0f2e6d9b7c10",
]  # fmt: skip


@pytest.mark.parametrize("leak", LEAKS)
def test_no_error_holds_a_number_an_address_or_a_token(leak: str) -> None:
    for status in (400, 403, 404, 429, 500):
        body = {"errors": [{"detail": f"Nothing for {leak} here", "meta": "Dear Ann, the key is under the mat"}]}
        linq = FakeLinq.of(httpx.Response(status, json=body))
        with pytest.raises(ApiError) as failure:
            linq.get(params={"phone_number": leak}, attempts=2, max_wait_seconds=5)
        shown = "".join(traceback.format_exception(failure.value)) + repr(failure.value) + repr(vars(failure.value))
        assert not [each for each in (leak, TOKEN, "555", "0199", "example.com", "Dear Ann") if each in shown]
        assert "Nothing for " in shown
        assert "*** here" in shown.replace("'", " ").replace("  ", " ")


def test_an_excerpt_is_short_whatever_the_body_holds() -> None:
    body = {"message": "word " * 1_000_000, "error_code": "x"}
    with pytest.raises(RequestRefusedError) as failure:
        FakeLinq.of(httpx.Response(400, json=body)).get()
    assert len(str(failure.value)) < 260


@pytest.mark.parametrize("before", [1985, 1990, 1999])
def test_a_token_where_an_excerpt_is_cut_is_masked_whole(before: int) -> None:
    body = {"message": f"{' ' * before}{TOKEN}"}
    with pytest.raises(RequestRefusedError) as failure:
        FakeLinq.of(httpx.Response(400, json=body)).get()
    assert TOKEN[:5] not in str(failure.value)


@pytest.mark.parametrize("number", ["+12125550199", "+1 (212) 555-0199", "someone@example.com"])
def test_half_a_number_or_address_where_an_excerpt_is_cut_is_left_out(number: str) -> None:
    for before in range(1980, 2000):
        body = {"message": f"No {'x' * (before - 4)} {number}"}
        with pytest.raises(RequestRefusedError) as failure:
            FakeLinq.of(httpx.Response(400, json=body)).get()
        assert "(No ***" in str(failure.value)
        assert not [part for part in ("12", "55", "some") if part in str(failure.value)]
