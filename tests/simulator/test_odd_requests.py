"""However odd a request, it is answered or refused: the simulator itself never fails."""

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linq_source.simulator import Quirks, Request, World
from linq_source.simulator.api import OPERATIONS, ROOT, TOKEN_HEADER, Api

FIELDS = (
    "chat contact message phone_numbers phone_number send_from display_name text type operation attachments "
    "attachment_urls idempotency_key user_email email first_name company forwarding_number webhook_subscription "
    "webhook_url events version secret active"
)
NAMES = FIELDS.split()
GOOD = ["+12025550100", "2125550101", "bo@example.com", "like", "add", "https://example.com/[", "message.sent", ""]
SCALARS = st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.sampled_from(GOOD) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=8,
)
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6).map(orjson.dumps) | st.binary(max_size=30)
TYPES = st.sampled_from(["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
QUERIES = st.dictionaries(
    st.sampled_from(["page", "per_page", "after", "before", "sort", "phone_number", "phone_numbers[]", "email"]),
    st.sampled_from(["1", "0", "%2B12025550100", "2025-05-21T00:00:00Z", "desc", "%00", "", "%FF", "a@b.c"]),
    max_size=4,
).map(lambda query: "&".join(f"{name}={value}" for name, value in query.items()))
IDS = st.sampled_from(["300001", "27000001", "7001", "41", "100", "12001", "0", "99999999999999999999", "x"])


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(operation=st.sampled_from(sorted(OPERATIONS)), query=QUERIES, body=BODIES, kind=TYPES, data=st.data())
def test_no_request_makes_the_simulator_fail(
    operation: tuple[str, str], query: str, body: bytes, kind: str, data: Any
) -> None:
    world = World.empty()
    chat = world.add_chat(["+12125550101"])
    world.react(world.receive(chat.id, "Hi").id, "love")
    world.add_contact(first_name="Ada")
    world.add_webhook_subscription("https://example.com")
    api = Api(world, token="t", quirks=Quirks(extra_fields=True, string_ids=True, null_lists=True))
    method, shape = operation
    path = ROOT + "".join(data.draw(IDS) if part == "#" else part for part in shape.replace("#", "|#|").split("|"))
    headers = {TOKEN_HEADER: "t", "content-type": kind}
    response = api.answer(Request.parsed(method, f"{path}?{query}", headers, body))
    assert response.status in (200, 201, 204, 400, 403, 404, 422)
    assert not response.body or isinstance(orjson.loads(response.body), dict)
    world.listed()
