"""What ends a sync, and what is kept: a wrong or revoked token, an outage, a limit, a redirect, an endless list."""

from collections.abc import Callable
from typing import Any

import pytest

from linq_source import settings
from linq_source.runner import Result
from linq_source.simulator import Quirks, Simulator, World
from linq_source.simulator.faults import Fault
from tests.support import TOKEN, Warehouse, assert_mirrors, chats_asked_for, small_world, tiny_world, with_limits
from tests.tables import assert_complete_chats_are_kept, check_rows, snapshot

pytestmark = pytest.mark.without_dlt

Serve = Callable[..., Simulator]
Known = Callable[..., tuple[World, Simulator]]

SETTING = "SOURCES__LINQ__INTEGRATION_TOKEN"


def test_a_wrong_token_is_said_at_once_and_asked_once(serve: Serve, warehouse: Warehouse) -> None:
    linq = serve(tiny_world())
    result = warehouse.sync(linq, integration_token="not-the-token")
    assert (result.exit_code, result.requests, result.retries) == (2, 1, 0)
    assert SETTING in str(result.summary.failure)
    assert "not-the-token" not in str(result.summary.failure)


@pytest.mark.parametrize("request_number", [2, 4, 12])
def test_a_token_revoked_midway_ends_the_sync_and_marks_nothing_as_deleted(
    request_number: int, known: Known, warehouse: Warehouse
) -> None:
    world, linq = known(messages=60, contacts=12)
    world.delete_contact(world.listed()["contacts"][0]["id"])
    before = snapshot(warehouse)
    linq.faults = [Fault(status=401, occurrence=request_number, times=10_000)]
    result = warehouse.sync(linq, recheck_hours=0)
    assert (result.exit_code, result.retries) == (2, 0)
    assert SETTING in str(result.summary.failure)
    check_rows(before, snapshot(warehouse), world.listed())
    linq.faults = []
    assert warehouse.sync(linq, recheck_hours=0).exit_code == 0
    assert_mirrors(warehouse, world)


def test_an_organisation_that_is_refused_everything_is_told_which_token_to_ask_about(
    known: Known, warehouse: Warehouse
) -> None:
    _, linq = known(messages=60, contacts=12)
    before = warehouse.everything()
    linq.faults = [Fault(status=403)]
    result = warehouse.sync(linq)
    assert (result.exit_code, result.requests) == (2, 1)
    assert SETTING in str(result.summary.failure)
    assert warehouse.everything() == before


@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_request_is_told_with_linqs_reason_but_no_secret_in_it(
    status: int, serve: Serve, warehouse: Warehouse
) -> None:
    linq = serve(tiny_world())
    told = f"page {{}} is too far for {TOKEN} of +1 (202) 555-0100, ann@example.com"
    body = f'{{"errors":[{{"status":{status},"title":"No","detail":"{told}"}}]}}'
    linq.faults = [Fault(path=f"{settings.CONTACTS}$", status=status, body=body)]
    result = warehouse.sync(linq)
    sentence = str(result.summary.failure)
    assert result.exit_code == 1
    assert f"GET {settings.CONTACTS}: status {status} (page" in sentence
    assert not [secret for secret in (TOKEN, "555", "ann@") if secret in sentence]


@pytest.mark.parametrize("kind", [{"status": 503}, {"kind": "reset"}], ids=["503", "reset"])
def test_an_outage_midway_keeps_the_chats_that_were_complete_and_the_next_sync_reads_the_rest(
    kind: dict[str, Any], serve: Serve, warehouse: Warehouse
) -> None:
    world = small_world(chats=40, messages=200)
    linq = serve(world)
    linq.faults = [Fault(path="/chat_messages$", occurrence=21, times=10_000, **kind)]
    result = warehouse.sync(linq, limits=with_limits(concurrency=4))
    assert result.exit_code == 1
    said = str(result.summary.failure)
    assert "/chat_messages " in said
    assert " after 4 attempts: " in said
    assert result.requests < 70, "it gives up soon, instead of asking for every chat"
    complete = assert_complete_chats_are_kept(warehouse, world)
    assert complete >= 15
    linq.faults = []
    linq.clear_requests()
    assert warehouse.sync(linq).exit_code == 0
    assert chats_asked_for(linq) == 40 - complete
    assert_mirrors(warehouse, world)


def limited(result: Result) -> None:
    assert result.exit_code == 1
    assert "max_wait_seconds" in str(result.summary.failure)


def test_a_limit_that_never_ends_is_waited_for_no_longer_than_the_option_allows(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = small_world(chats=40, messages=200)
    linq = serve(world)
    linq.faults = [Fault(path="/chat_messages$", occurrence=21, times=10_000, status=429)]
    limits = with_limits(concurrency=4, backoff_seconds=0.02, max_backoff_seconds=0.02, max_wait_seconds=0.2)
    result = warehouse.sync(linq, limits=limits)
    limited(result)
    assert result.retries < 4 * 0.2 / 0.01 + 4, "each wait is at least half of the backoff, for all four at once"
    complete = assert_complete_chats_are_kept(warehouse, world)
    assert complete >= 15
    linq.faults = []
    linq.clear_requests()
    assert warehouse.sync(linq).exit_code == 0
    assert chats_asked_for(linq) == 40 - complete
    assert_mirrors(warehouse, world)


@pytest.mark.parametrize("path", [settings.PHONE_NUMBERS, settings.CHATS, settings.CONTACTS])
def test_a_wait_that_is_longer_than_allowed_is_not_even_begun(path: str, serve: Serve, warehouse: Warehouse) -> None:
    linq = serve(tiny_world())
    linq.faults = [Fault(path=f"{path}$", status=429, headers={"Retry-After": "3600"})]
    result = warehouse.sync(linq, max_wait_seconds=60, limits=None)
    limited(result)
    assert f"GET {path}" in str(result.summary.failure)
    assert result.seconds < 30


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_not_followed_and_the_token_never_gets_there(
    status: int, serve: Serve, warehouse: Warehouse
) -> None:
    linq, elsewhere = serve(tiny_world()), serve(World.empty())
    location = f"{elsewhere.base_url}{settings.PHONE_NUMBERS}"
    linq.faults = [Fault(kind="redirect", status=status, location=location)]
    result = warehouse.sync(linq)
    assert result.exit_code == 1
    assert f"GET {settings.PHONE_NUMBERS}: status {status}" in str(result.summary.failure)
    assert elsewhere.requests == []


def endless(answer: dict[str, Any]) -> dict[str, Any]:
    """A page of rows never seen before, with totals that say there are many more."""
    key = "contacts" if "contacts" in answer else "data"
    envelope = answer["pagination" if key == "contacts" else "meta"]
    page = envelope.get("page") or envelope.get("current_page")
    answer[key] = [{**answer[key][0], "id": 1_000_000 + page}] if answer[key] else [{"id": 1_000_000 + page}]
    envelope.update(total_pages=page + 1_000, total_count=page + 1_000)
    return answer


def test_a_list_that_grows_as_fast_as_it_is_read_is_given_up(serve: Serve, warehouse: Warehouse) -> None:
    world = tiny_world()
    linq = serve(world)
    linq.faults = [Fault(path=f"{settings.CONTACTS}$", kind="mutate", mutate=endless)]
    result = warehouse.sync(linq)
    assert result.exit_code == 1
    assert f"GET {settings.CONTACTS} never ends" in str(result.summary.failure)
    assert result.requests < 5_000
    assert warehouse.rows("contacts") == []


def test_totals_that_one_page_lacks_do_not_make_a_long_list_endless(serve: Serve, warehouse: Warehouse) -> None:
    world = World.empty()
    for number in range(120):
        world.add_contact(first_name=f"Contact {number}")
    linq = serve(world, quirks=Quirks(page_size_cap=1))
    linq.faults = [Fault(path=f"{settings.CONTACTS}$", kind="missing_meta", page=1)]
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)
