"""Every operation answers in the vendor's schema, and nobody without the token."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from linq_source.simulator import Simulator
from linq_source.simulator.api import OPERATIONS
from tests.simulator import schema
from tests.simulator.conftest import Account, Client

JSON = dict[str, Any]


@dataclass
class Case:
    """An operation with a request that succeeds, and the schema of its answer (None: no body)."""

    operation: tuple[str, str]
    path: Callable[[Account], str]
    status: int = 200
    shape: Any = None
    body: Callable[[Account], JSON] | None = None


def _chats_path(account: Account) -> str:
    return f"/chats?phone_number=%2B{account.ours[1:]}"


CONTACT_INPUT: JSON = {"contact": {"first_name": "Bo", "phone_number": "(212) 555-0177"}}
HOOK: JSON = {
    "webhook_subscription": {"webhook_url": "https://example.com/x", "events": ["message.read"], "version": 2}
}
CASES = [
    Case(("GET", "/chats"), _chats_path, 200, {"data": [schema.CHAT], "meta": schema.META}),
    Case(
        ("POST", "/chats"),
        lambda _: "/chats",
        200,
        {"data": schema.CREATED_CHAT},
        lambda account: {
            "send_from": account.ours,
            "chat": {"phone_numbers": ["2125550133"], "display_name": "New"},
            "message": {"text": "First"},
        },
    ),
    Case(("GET", "/chats/#"), lambda a: f"/chats/{a.chat.id}", 200, {"data": schema.CHAT}),
    Case(
        ("GET", "/chats/find"),
        lambda a: f"/chats/find?phone_number=%2B{a.ours[1:]}&phone_numbers[]=2125550101",
        200,
        {"data": {"chat": schema.CHAT}},
    ),
    Case(("PUT", "/chats/#/mark_as_read"), lambda a: f"/chats/{a.chat.id}/mark_as_read", 204),
    Case(("POST", "/chats/#/start_typing"), lambda a: f"/chats/{a.chat.id}/start_typing", 201),
    Case(("DELETE", "/chats/#/stop_typing"), lambda a: f"/chats/{a.chat.id}/stop_typing", 204),
    Case(("POST", "/chats/#/share_contact"), lambda a: f"/chats/{a.chat.id}/share_contact", 201),
    Case(
        ("GET", "/chats/#/chat_messages"),
        lambda a: f"/chats/{a.chat.id}/chat_messages",
        200,
        {"data": [schema.CHAT_MESSAGE], "meta": schema.META},
    ),
    Case(
        ("POST", "/chats/#/chat_messages"),
        lambda a: f"/chats/{a.chat.id}/chat_messages",
        201,
        {"data": schema.CHAT_MESSAGE},
        lambda _: {"message": {"text": "Another", "attachment_urls": ["https://example.com/cat.png"]}},
    ),
    Case(
        ("GET", "/chats/#/chat_messages/#"),
        lambda a: f"/chats/{a.chat.id}/chat_messages/{a.received.id}",
        200,
        {"data": schema.CHAT_MESSAGE},
    ),
    Case(
        ("DELETE", "/chats/#/chat_messages/#"),
        lambda a: f"/chats/{a.chat.id}/chat_messages/{a.received.id}",
        200,
        {"message": str},
    ),
    Case(
        ("POST", "/chats/#/chat_messages/#/edit"),
        lambda a: f"/chats/{a.chat.id}/chat_messages/{a.sent.id}/edit",
        200,
        {"message": str, "data": {"id": int, "text": str}},
        lambda _: {"text": "Better"},
    ),
    Case(
        ("POST", "/chat_messages/#/reactions"),
        lambda a: f"/chat_messages/{a.received.id}/reactions",
        201,
        {"data": schema.REACTION},
        lambda _: {"type": "like", "operation": "add"},
    ),
    Case(
        ("GET", "/chat_message_reactions/#"),
        lambda a: f"/chat_message_reactions/{a.received.reactions[0].id}",
        200,
        {"data": schema.REACTION},
    ),
    Case(
        ("GET", "/contacts"),
        lambda _: "/contacts",
        200,
        {"contacts": [schema.CONTACT], "pagination": schema.PAGINATION},
    ),
    Case(("POST", "/contacts"), lambda _: "/contacts", 201, {"data": schema.CONTACT}, lambda _: CONTACT_INPUT),
    Case(("GET", "/contacts/#"), lambda _: "/contacts/7001", 200, {"data": schema.CONTACT}),
    Case(
        ("PUT", "/contacts/#"),
        lambda _: "/contacts/7001",
        200,
        {"data": schema.CONTACT},
        lambda _: CONTACT_INPUT,
    ),
    Case(
        ("PATCH", "/contacts/#"),
        lambda _: "/contacts/7001",
        200,
        {"data": schema.CONTACT},
        lambda _: CONTACT_INPUT,
    ),
    Case(("DELETE", "/contacts/#"), lambda _: "/contacts/7001", 204),
    Case(("GET", "/contacts/find"), lambda _: "/contacts/find?email=ADA@example.com", 200, schema.CONTACT),
    Case(("GET", "/phone_numbers"), lambda _: "/phone_numbers", 200, {"phone_numbers": [schema.PHONE_NUMBER]}),
    Case(
        ("PUT", "/phone_numbers/#"),
        lambda a: f"/phone_numbers/{a.world.owned(a.ours).id}",  # type: ignore[union-attr]
        200,
        schema.PHONE_NUMBER,
        lambda _: {"forwarding_number": "2125550188"},
    ),
    Case(
        ("GET", "/webhook_subscriptions"),
        lambda _: "/webhook_subscriptions",
        200,
        {"webhook_subscriptions": [schema.WEBHOOK_SUBSCRIPTION]},
    ),
    Case(
        ("POST", "/webhook_subscriptions"),
        lambda _: "/webhook_subscriptions",
        201,
        {"webhook_subscription": schema.WEBHOOK_SUBSCRIPTION},
        lambda _: HOOK,
    ),
    Case(
        ("PUT", "/webhook_subscriptions/#"),
        lambda _: "/webhook_subscriptions/41",
        200,
        {"webhook_subscription": schema.WEBHOOK_SUBSCRIPTION},
        lambda _: {"webhook_subscription": {"active": False}},
    ),
    Case(("DELETE", "/webhook_subscriptions/#"), lambda _: "/webhook_subscriptions/41", 204),
    Case(
        ("POST", "/i_message_availability/check"),
        lambda _: "/i_message_availability/check",
        200,
        {"available": bool, "phone_number": str},
        lambda _: {"phone_number": "2125550101"},
    ),
]


@pytest.fixture(params=CASES, ids=lambda case: " ".join(case.operation))
def case(request: pytest.FixtureRequest) -> Case:
    """Each operation in turn."""
    found: Case = request.param
    return found


def ask(client: httpx.Client, case: Case, account: Account, **options: Any) -> httpx.Response:
    """Send a case's request."""
    body = case.body(account) if case.body else None
    return client.request(case.operation[0], case.path(account), json=body, **options)


def test_every_operation_of_the_vendor_is_here() -> None:
    assert len(CASES) == 29
    assert {case.operation for case in CASES} == set(OPERATIONS)


def test_an_operation_answers_in_the_vendors_schema(case: Case, client: Client, account: Account) -> None:
    answer = ask(client, case, account)
    assert answer.status_code == case.status, answer.text
    if case.shape is None:
        assert answer.content == b""
    else:
        assert answer.headers["content-type"].startswith("application/json")
        schema.conforms(answer.json(), case.shape)


@pytest.mark.parametrize("token", [None, "", "wrong", "Demo-Token"])
def test_an_operation_refuses_any_other_token(
    case: Case, sim: Simulator, account: Account, token: str | None
) -> None:
    headers = {} if token is None else {"X-LINQ-INTEGRATION-TOKEN": token}
    root = sim.base_url + "/api/partner/v2"
    with httpx.Client(base_url=root, headers=headers, verify=False) as stranger:
        before = account.world.listed()
        answer = ask(stranger, case, account)
        assert answer.status_code == 401
        standard = case.operation[1].startswith(("/contacts", "/webhook_subscriptions"))
        schema.conforms(answer.json(), schema.STANDARD_ERROR if standard else schema.ERROR)
        assert account.world.listed() == before
