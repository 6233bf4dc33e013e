"""What is left out, and what is kept: chats and numbers that are refused, outages, limits, a revoked token."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from linq_source import settings
from linq_source.runner import Result
from linq_source.simulator import Quirks, Simulator, World
from linq_source.simulator.faults import Fault
from tests.support import TOKEN, Warehouse, assert_mirrors, small_world, with_limits
from tests.tables import assert_equal, by_key, check_rows, snapshot

pytestmark = pytest.mark.without_dlt

Serve = Callable[..., Simulator]
Known = Callable[..., tuple[World, Simulator]]

SETTING = "SOURCES__LINQ__INTEGRATION_TOKEN"


def tiny_world(**sizes: Any) -> World:
    return small_world(**{"messages": 60, "contacts": 12} | sizes)


def messages_fail(chat_id: int, status: int = 500, **options: Any) -> Fault:
    return Fault(path=f"{settings.chat_messages_path(chat_id)}$", status=status, **options)


def chat_ids(world: World) -> list[int]:
    return [row["id"] for row in world.listed()["chats"]]


def chats_of(world: World, number: str) -> set[int]:
    return {row["chat_id"] for row in world.listed()["chat_phone_numbers"] if row["phone_number"] == number}


def chats_asked_for(linq: Simulator) -> int:
    return len({request.path for request in linq.requests if request.path.endswith("/chat_messages")})


def assert_nothing_marked(warehouse: Warehouse) -> None:
    rows = snapshot(warehouse)
    assert [row for table in rows.values() for row in table if row.get("deleted_at")] == []


def assert_complete_chats_are_kept(warehouse: Warehouse, world: World) -> int:
    """Every chat that has a cursor has all of its messages, and no row is wrong; returns how many chats."""
    rows, listed = snapshot(warehouse), world.listed()
    check_rows({name: [] for name in rows}, rows, listed)
    done = {row["chat_id"] for row in rows["chat_syncs"] if row["listing_hash"]}
    for table in (rows, listed):
        table["messages"] = [row for row in table["messages"] if row["chat_id"] in done]
    assert by_key("messages", rows["messages"]) == by_key("messages", listed["messages"])
    return len(done)


@pytest.mark.parametrize("status", [403, 404])
def test_a_chat_that_is_refused_is_skipped_and_named_and_read_by_the_next_sync(
    status: int, serve: Serve, warehouse: Warehouse
) -> None:
    world = tiny_world()
    linq = serve(world)
    refused = chat_ids(world)[3]
    linq.faults = [messages_fail(refused, status)]
    result = warehouse.sync(linq)
    assert (result.exit_code, result.summary.chats_read) == (3, 11)
    assert result.summary.skipped == [f"chat {refused}: Linq answered {status}; the next sync tries again"]
    assert {row["chat_id"] for row in warehouse.rows("messages")} == set(chat_ids(world)) - {refused}

    linq.faults = []
    linq.clear_requests()
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)
    read = {request.path for request in linq.requests if request.path.endswith("/chat_messages")}
    assert read == {settings.chat_messages_path(refused)}


def test_a_chat_that_is_gone_between_its_listing_and_its_reading_keeps_what_is_stored_of_it(
    known: Known, warehouse: Warehouse
) -> None:
    world, linq = known(messages=60, contacts=12)
    gone = chat_ids(world)[3]
    of_it = f"select * from messages where chat_id = {gone} order by id"
    stored = warehouse.query(of_it)
    linq.faults = [messages_fail(gone, 404)]
    result = warehouse.sync(linq, recheck_hours=0)
    assert result.exit_code == 3
    assert warehouse.query(of_it) == stored != []
    assert_nothing_marked(warehouse)


@pytest.mark.parametrize("is_known", [False, True], ids=["on a first sync", "on a later sync"])
def test_a_number_whose_chats_are_refused_is_skipped_and_named_and_its_chats_are_not_taken_for_deleted(
    is_known: bool, serve: Serve, warehouse: Warehouse
) -> None:
    world = tiny_world(phone_numbers=3)
    linq = serve(world)
    number = max(world.listed_numbers(), key=lambda one: len(chats_of(world, one.phone_number)))
    refused = chats_of(world, number.phone_number)
    if is_known:
        warehouse.sync(linq)
    linq.before_request = refuse_number(linq, number.phone_number)
    result = warehouse.sync(linq)
    assert result.exit_code == 3
    assert result.summary.skipped == [f"phone number {number.id} (its id): Linq refused its chats (403)"]
    assert_nothing_marked(warehouse)
    others = {row["phone_number"] for row in world.listed()["phone_numbers"]} - {number.phone_number}
    expected = set().union(*(chats_of(world, other) for other in others))
    assert refused - expected, "some chats are listed under that number alone"
    assert expected
    assert {row["id"] for row in warehouse.rows("chats")} == (set(chat_ids(world)) if is_known else expected)
    assert {row["chat_id"] for row in warehouse.rows("messages")} >= expected

    linq.before_request = None
    linq.faults = []
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)


def refuse_number(linq: Simulator, phone_number: str) -> Callable[[Any], None]:
    """Make every listing of a number's chats answer 403, and no other."""

    def before(request: Any) -> None:
        is_refused = request.path == settings.CHATS and request.query.get("phone_number") == phone_number
        linq.faults = [Fault(path=f"{settings.CHATS}$", status=403)] if is_refused else []

    return before


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


def test_some_broken_chats_stop_neither_the_others_nor_each_other(serve: Serve, warehouse: Warehouse) -> None:
    world = tiny_world()
    linq = serve(world)
    ids = chat_ids(world)
    linq.faults = [
        messages_fail(ids[0], 500),
        messages_fail(ids[2], kind="cut_json"),
        messages_fail(ids[4], kind="empty_page"),
        messages_fail(ids[6], 404),
        messages_fail(ids[8], 403),
    ]
    result = warehouse.sync(linq)
    assert (result.exit_code, result.summary.chats_read) == (1, 7)
    assert any(f"/{chat_id}/chat_messages" in str(result.summary.failure) for chat_id in ids[:5:2])
    assert len(result.summary.skipped) == 2
    assert assert_complete_chats_are_kept(warehouse, world) == 7
    linq.faults = []
    linq.clear_requests()
    assert warehouse.sync(linq).exit_code == 0
    assert chats_asked_for(linq) == 5
    assert_mirrors(warehouse, world)


def test_a_chat_whose_total_never_agrees_with_its_messages_is_stored_and_named_but_has_no_cursor(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = tiny_world()
    linq = serve(world)
    restless = chat_ids(world)[2]
    # Page 1 promises one page more than there is, again and again; page 2 knows better.
    linq.faults = [messages_fail(restless, kind="growing_total", page=1)]
    result = warehouse.sync(linq)
    assert (result.exit_code, result.summary.failure) == (3, None)
    assert result.summary.skipped == [
        f"chat {restless}: kept changing while it was read; the next sync reads it again"
    ]
    assert_mirrors(warehouse, world)
    assert {row["chat_id"] for row in warehouse.rows("chat_syncs")} == set(chat_ids(world)) - {restless}
    linq.faults = []
    linq.clear_requests()
    assert warehouse.sync(linq).exit_code == 0
    assert chats_asked_for(linq) == 1
    assert_mirrors(warehouse, world)


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


def test_no_numbers_at_all_are_believed_only_when_they_were_never_known_or_it_is_said_to_be_meant(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = tiny_world()
    linq = serve(world)
    linq.faults = [Fault(path=f"{settings.PHONE_NUMBERS}$", kind="empty_page", occurrence=1)]
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)
    before = snapshot(warehouse)
    linq.faults = [Fault(path=f"{settings.PHONE_NUMBERS}$", kind="empty_page")]
    result = warehouse.sync(linq)
    assert result.exit_code == 3
    assert "--allow-mass-delete" in result.summary.skipped[0]
    assert snapshot(warehouse) == before
    linq.faults = []
    for number in world.listed_numbers():
        world.release_number(number.phone_number)
    assert warehouse.sync(linq, allow_mass_delete=True).exit_code == 0
    assert_mirrors(warehouse, world)


def test_totals_that_one_page_lacks_do_not_make_a_long_list_endless(serve: Serve, warehouse: Warehouse) -> None:
    world = World.empty()
    for number in range(120):
        world.add_contact(first_name=f"Contact {number}")
    linq = serve(world, quirks=Quirks(page_size_cap=1))
    linq.faults = [Fault(path=f"{settings.CONTACTS}$", kind="missing_meta", page=1)]
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)


def test_what_linq_refuses_is_counted_once_however_often_it_is_met(serve: Serve, warehouse: Warehouse) -> None:
    world = tiny_world()
    linq = serve(world)
    refused = chat_ids(world)[:5]
    linq.faults = [messages_fail(chat_id, 404) for chat_id in refused]
    for _ in range(2):
        result = warehouse.sync(linq)
        named = Counter(sentence.split(":")[0] for sentence in result.summary.skipped)
        assert named == Counter(f"chat {chat_id}" for chat_id in refused)
    assert_equal(snapshot(warehouse), {name: rows for name, rows in world.listed().items() if name == "chats"})
