"""Operations do what the vendor's pages say, and refuse what they cannot do."""

from datetime import timedelta
from typing import Any

import pytest

from linq_source.simulator import Simulator, World
from tests.simulator import schema
from tests.simulator.conftest import NOON, Account, Client

JSON = dict[str, Any]

CONTACT_INPUT: JSON = {"contact": {"first_name": "Bo", "phone_number": "(212) 555-0177"}}
HOOK: JSON = {
    "webhook_subscription": {"webhook_url": "https://example.com/x", "events": ["message.read"], "version": 2}
}


@pytest.mark.parametrize(
    ("method", "path", "shape"),
    [
        ("GET", "/chats/1", schema.ERROR),
        ("PUT", "/chats/1/mark_as_read", schema.ERROR),
        ("POST", "/chats/1/start_typing", schema.ERROR),
        ("DELETE", "/chats/1/stop_typing", schema.ERROR),
        ("POST", "/chats/1/share_contact", schema.ERROR),
        ("GET", "/chats/1/chat_messages", schema.ERROR),
        ("GET", "/chats/300001/chat_messages/1", schema.ERROR),
        ("DELETE", "/chats/300001/chat_messages/1", schema.ERROR),
        ("POST", "/chat_messages/1/reactions", schema.ERROR),
        ("GET", "/chat_message_reactions/1", schema.ERROR),
        ("GET", "/contacts/1", schema.STANDARD_ERROR),
        ("PUT", "/contacts/1", schema.STANDARD_ERROR),
        ("DELETE", "/contacts/1", schema.STANDARD_ERROR),
        ("PUT", "/webhook_subscriptions/1", schema.STANDARD_ERROR),
        ("GET", "/chats/abc", schema.ERROR),
        ("GET", "/nowhere", schema.ERROR),
        ("PATCH", "/chats/300001", schema.ERROR),
    ],
)
def test_what_does_not_exist_is_404_in_the_format_of_its_endpoint(
    client: Client, method: str, path: str, shape: Any
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 404
    schema.conforms(answer.json(), shape)


def test_the_documentation_of_webhook_events_is_no_endpoint(sim: Simulator, client: Client) -> None:
    assert client.get(f"{sim.base_url}/webhooks/events").status_code == 404


def test_chats_are_found_by_exactly_their_participants(client: Client, account: Account) -> None:
    def found(*others: str) -> Any:
        params = {"phone_number": account.ours, "phone_numbers[]": list(others)}
        return client.get("/chats/find", params=params).json()["data"]

    assert found("+12125550102", "bo@example.com")["chat"]["id"] == account.group.id
    assert found("+12125550102") == {"chat": None, "messages": []}
    assert found("+12125550101", "+12125550102") == {"chat": None, "messages": []}


def test_creating_a_chat_with_the_same_participants_finds_it(client: Client, account: Account) -> None:
    body = {
        "send_from": account.ours,
        "chat": {"phone_numbers": ["2125550101"]},
        "message": {"text": "Again"},
    }
    data = client.post("/chats", json=body).json()["data"]
    assert data["id"] == account.chat.id
    assert data["chat_messages"]["delivery_status"] == "pending"
    assert [message.text for message in account.chat.messages] == ["Hello", "Hi", "Again"]


def test_creating_a_chat_in_the_quick_starts_form_answers_in_that_form(client: Client, account: Account) -> None:
    body = {"phone_numbers": ["+12125550144"], "phone_number": account.ours, "message": {"text": "Hey"}}
    data = client.post("/chats", json=body).json()["data"]
    schema.conforms(data, {"chat": schema.CHAT, "message": schema.CHAT_MESSAGE})
    assert data["chat"]["message_count"] == 1
    assert data["chat"]["display_name"] == "+1 (212) 555-0144"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"send_from": None}, 400),
        ({"send_from": "+12125559999"}, 403),
        ({"chat": {"phone_numbers": []}}, 400),
        ({"chat": {}}, 400),
        ({"chat": {"phone_numbers": ["555-123-4567"]}}, 422),
        ({"chat": {"phone_numbers": [None]}}, 422),
        ({"message": {}}, 400),
        ({"message": {"text": "x", "idempotency_key": "no spaces"}}, 422),
        ({"message": {"text": "x", "attachment_urls": ["ftp://example.com/a"]}}, 422),
    ],
)
def test_a_chat_that_cannot_be_created_is_refused(
    client: Client, account: Account, change: JSON, status: int
) -> None:
    body = {"send_from": account.ours, "chat": {"phone_numbers": ["2125550133"]}, "message": {"text": "x"}}
    chats = len(account.world.chats)
    answer = client.post("/chats", json=body | change)
    assert answer.status_code == status
    schema.conforms(answer.json(), schema.ERROR)
    assert len(account.world.chats) == chats


def test_an_idempotency_key_sends_only_once(client: Client, account: Account) -> None:
    path = f"/chats/{account.chat.id}/chat_messages"
    form = {"message[text]": "Once", "message[idempotency_key]": "key_1-a"}
    first = client.post(path, data=form, files={"message[attachments][]": ("a.txt", b"abc", "text/plain")})
    again = client.post(path, json={"message": {"text": "Twice", "idempotency_key": "key_1-a"}})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert [message.text for message in account.chat.messages] == ["Hello", "Hi", "Once"]


def test_a_message_may_be_sent_as_a_form_with_files_and_links(client: Client, account: Account) -> None:
    answer = client.post(
        f"/chats/{account.chat.id}/chat_messages",
        data={"message[text]": "Füße", "message[attachment_urls][]": ["https://example.com/x/b.jpg"]},
        files=[
            ("message[attachments][]", ("c.pdf", b"%PDF\r\n--\r\n\x00\xff", "application/pdf")),
            ("message[attachments][]", ("d", b"", "text/plain")),
        ],
    )
    message = answer.json()["data"]
    assert message["text"] == "Füße"
    assert [(file["filename"], file["mime_type"]) for file in message["attachments"]] == [
        ("c.pdf", "application/pdf"),
        ("d", "text/plain"),
        ("b.jpg", "image/jpeg"),
    ]
    assert [file["file_size"] for file in message["attachments"]][:2] == [12, 0]


@pytest.mark.parametrize("body", [{"message": {"text": "Plain"}}, {"text": "Plain"}])
def test_a_message_may_be_sent_as_json_with_and_without_its_wrapper(
    client: Client, account: Account, body: JSON
) -> None:
    answer = client.post(f"/chats/{account.chat.id}/chat_messages", json=body)
    assert answer.status_code == 201
    assert answer.json()["data"]["sent_from"] == account.ours
    assert account.chat.messages[-1].text == "Plain"


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff"])
def test_a_body_that_cannot_be_read_is_400(client: Client, account: Account, content: bytes) -> None:
    path = f"/chats/{account.chat.id}/chat_messages"
    json_type = {"Content-Type": "application/json"}
    assert client.post(path, content=content, headers=json_type).status_code == 400
    cut_form = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.post(path, content=b"--x\r\nabc", headers=cut_form).status_code == 400


def test_reactions_are_added_once_and_taken_back(client: Client, account: Account) -> None:
    path = f"/chat_messages/{account.sent.id}/reactions"
    first = client.post(path, json={"type": "laugh", "operation": "add"}).json()["data"]
    again = client.post(path, json={"type": "laugh", "operation": "add"}).json()["data"]
    assert first == again
    assert first["is_from_me"] is True
    removed = client.post(path, json={"type": "laugh", "operation": "remove"})
    assert (removed.status_code, removed.json()["data"]) == (201, first)
    assert account.sent.reactions == ()
    assert client.get(f"/chat_message_reactions/{first['id']}").status_code == 404
    assert client.post(path, json={"type": "laugh", "operation": "remove"}).status_code == 404
    assert client.post(path, json={"type": "wow", "operation": "add"}).status_code == 422
    assert client.post(path, json={"type": "like", "operation": "toggle"}).status_code == 422


def test_writing_changes_what_is_listed(client: Client, account: Account) -> None:
    path = f"/chats/{account.chat.id}/chat_messages"
    account.world.clock = lambda: NOON + timedelta(minutes=1)
    client.get(path)
    client.post(f"{path}/{account.sent.id}/edit", json={"text": "Edited"})
    client.delete(f"{path}/{account.received.id}")
    client.put(f"/chats/{account.chat.id}/mark_as_read")
    (row,) = client.get(path).json()["data"]
    assert (row["text"], row["edited_at"], row["is_read"]) == ("Edited", "2025-05-21T12:01:00Z", True)
    assert client.post(f"{path}/{account.sent.id}/edit", json={"text": ""}).status_code == 422


def test_a_message_of_the_other_side_cannot_be_edited(client: Client, account: Account) -> None:
    path = f"/chats/{account.chat.id}/chat_messages/{account.received.id}/edit"
    assert client.post(path, json={"text": "Forged"}).status_code == 422


def test_a_contact_is_created_with_its_number_normalized_and_an_owner(client: Client, world: World) -> None:
    first, second = world.users.values()
    created = client.post("/contacts", json=CONTACT_INPUT).json()["data"]
    assert created["phone_number"] == "+12125550177"
    assert created["contact_owner"]["id"] == first.id
    changed = client.patch(
        f"/contacts/{created['id']}", json={"contact": {"last_name": "Ng"}, "user_email": second.email}
    ).json()["data"]
    assert changed["full_name"] == "Bo Ng"
    assert changed["contact_owner"]["id"] == second.id
    assert changed["created_at"] == created["created_at"]
    assert changed["updated_at"] > created["updated_at"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contact": {}},
        {"contact": {"company": "Only"}},
        {"contact": {"email": "nonsense"}},
        {"contact": {"phone_number": "12"}},
        {"contact": {"first_name": 7}},
        {"contact": {"first_name": "Bo"}, "user_email": "nobody@example.com"},
    ],
)
def test_a_contact_that_cannot_be_written_is_422(client: Client, body: JSON) -> None:
    for answer in (client.post("/contacts", json=body), client.put("/contacts/7001", json=body)):
        assert answer.status_code == 422
        schema.conforms(answer.json(), schema.STANDARD_ERROR)


def test_a_contact_is_found_by_either_and_missed_as_null(client: Client) -> None:
    for number in ("(212) 555-0101", "212-555-0101", "+12125550101", "1 212 555 0101"):
        assert client.get("/contacts/find", params={"phone_number": number}).json()["id"] == 7001
    either = {"email": "ada@example.com", "phone_number": "2125550199"}
    assert client.get("/contacts/find", params=either).json()["id"] == 7001
    assert client.get("/contacts/find", params={"email": "no@example.com"}).json() == {"contact": None}
    assert client.get("/contacts/find").status_code == 400
    assert client.get("/contacts/find", params={"email": "no"}).status_code == 422
    assert client.get("/contacts/find", params={"phone_number": "12"}).status_code == 422


def test_a_deleted_contact_is_gone(client: Client, world: World) -> None:
    assert client.delete("/contacts/7001").status_code == 204
    assert client.delete("/contacts/7001").status_code == 404
    assert client.rows("/contacts", "contacts") == []
    world.restore_contact(7001)
    assert [row["id"] for row in client.rows("/contacts", "contacts")] == [7001]


def test_a_forwarding_number_is_set_and_cleared(client: Client, account: Account) -> None:
    number = account.world.phone_numbers[account.ours]
    path = f"/phone_numbers/{number.id}"
    assert client.put(path, json={"forwarding_number": "2125550188"}).json()["forwarding_number"] == "+12125550188"
    assert client.put(path, json={"forwarding_number": ""}).json()["forwarding_number"] is None
    for body in ({"forwarding_number": "12"}, {"forwarding_number": 5}, {}):
        assert client.put(path, json=body).status_code == 422
    foreign = client.put("/phone_numbers/1", json={"forwarding_number": ""})
    assert foreign.status_code == 403
    schema.conforms(foreign.json(), schema.ERROR)


def test_a_subscription_is_created_bare_or_wrapped_and_never_shows_its_secret(client: Client) -> None:
    bare = HOOK["webhook_subscription"] | {"secret": "whisper"}
    answer = client.post("/webhook_subscriptions", json=bare)
    assert answer.status_code == 201
    assert answer.json()["webhook_subscription"]["secret_configured"] is True
    assert "whisper" not in answer.text + client.get("/webhook_subscriptions").text


@pytest.mark.parametrize(
    "change",
    [
        {"webhook_url": "nowhere"},
        {"events": []},
        {"events": ["message.eaten"]},
        {"events": [["message.sent"]]},
        {"version": "2"},
        {"active": "yes"},
        {"secret": 7},
    ],
)
def test_a_subscription_that_makes_no_sense_is_422(client: Client, change: JSON) -> None:
    body = {"webhook_subscription": HOOK["webhook_subscription"] | change}
    for answer in (
        client.post("/webhook_subscriptions", json=body),
        client.put("/webhook_subscriptions/41", json=body),
    ):
        assert answer.status_code == 422
        schema.conforms(answer.json(), schema.STANDARD_ERROR)
    assert client.post("/webhook_subscriptions", json={"events": ["message.sent"]}).status_code == 422
