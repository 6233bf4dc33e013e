"""The operations on messages and reactions (vendor's page "Chat Messages")."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime

from .call import Call, reply
from .entities import REACTION_TYPES, Message, by_time
from .replies import RefusedError, Response
from .sending import draft_of, sent_once


def list_messages(call: Call) -> Response:
    """`GET /chats/{chat_id}/chat_messages`: by `sent_at`, then id; those never sent come last.

    `after` and `before` leave out what was sent at that very instant and what was never sent;
    `total_count` counts what they leave.
    """
    chat = call.chat()
    paging = call.paging()
    messages = _selected(call, chat.messages)
    rows = [call.render.message(message) for message in paging.cut(messages)]
    return reply(paging.envelope("data", rows, len(messages), call.render.quirks))


def get_message(call: Call) -> Response:
    """`GET /chats/{chat_id}/chat_messages/{id}`."""
    return reply({"data": call.render.message(call.message())})


def send_message(call: Call) -> Response:
    """`POST /chats/{chat_id}/chat_messages`: a form, or the quick start's JSON with or without `message`."""
    chat = call.chat()
    fields = call.fields()
    inner = fields.get("message", fields)
    if not isinstance(inner, dict):
        raise RefusedError(422, "message must be an object")
    ours = next(number for number in chat.phone_numbers if call.world.owned(number))
    message, is_new = sent_once(call.world, chat, draft_of(inner, missing_text=422), sent_from=ours)
    return reply({"data": call.render.message(message)}, 201 if is_new else 200)


def edit_message(call: Call) -> Response:
    """`POST /chats/{chat_id}/chat_messages/{id}/edit`."""
    message = call.message()
    text = call.fields().get("text")
    if not isinstance(text, str) or not text:
        raise RefusedError(422, "text is required")
    if not call.world.is_ours(message.sent_from):
        raise RefusedError(422, "Only messages that you sent can be edited")
    call.world.edit(message.id, text)
    row = call.render.message(message)
    return reply({"message": "Message edited successfully", "data": {"id": row["id"], "text": row["text"]}})


def delete_message(call: Call) -> Response:
    """`DELETE /chats/{chat_id}/chat_messages/{id}`."""
    call.world.delete_message(call.message().id)
    return reply({"message": "Message deleted successfully"})


def react(call: Call) -> Response:
    """`POST /chat_messages/{chat_message_id}/reactions`: add ours or take it back, which answers alike."""
    message = call.world.messages.get(call.ids[0])
    if message is None or call.world.visible_chat(message.chat_id) is None:
        raise RefusedError(404, "Message not found")
    fields = call.fields()
    kind, operation = fields.get("type"), fields.get("operation")
    if kind not in REACTION_TYPES:
        raise RefusedError(422, f"type must be one of {', '.join(REACTION_TYPES)}")
    ours = next((one for one in message.reactions if one.is_from_me and one.reaction == kind), None)
    if operation == "add":
        ours = ours or call.world.react(message.id, kind)
    elif operation != "remove":
        raise RefusedError(422, "operation must be add or remove")
    elif ours is not None:
        call.world.unreact(message.id, from_phone=ours.from_phone)
    else:
        raise RefusedError(404, "Reaction not found")
    return reply({"data": call.render.reaction(ours)}, 201)


def get_reaction(call: Call) -> Response:
    """`GET /chat_message_reactions/{reaction_id}`."""
    reaction = call.world.reactions.get(call.ids[0])
    if reaction is None or not call.world.visible(
        call.world.chats[call.world.messages[reaction.chat_message_id].chat_id]
    ):
        raise RefusedError(404, "Reaction not found")
    return reply({"data": call.render.reaction(reaction)})


def _selected(call: Call, messages: list[Message]) -> Sequence[Message]:
    query = call.request.query
    order = query.get("sort", "asc")
    if order not in ("asc", "desc"):
        raise RefusedError(422, "sort must be asc or desc")
    after, before = _instant(query, "after"), _instant(query, "before")
    # Only the last few can be unsent, since they are kept in order.
    sent = bisect_left(messages, True, key=lambda message: message.sent_at is None)
    start, stop = 0, sent if after or before else len(messages)
    if after is not None:
        beyond = (after, -1 if call.render.quirks.after_inclusive else _BEYOND_ANY_ID)
        start = bisect_left(messages, beyond, key=by_time)
    if before is not None:
        stop = bisect_left(messages, (before, -1), key=by_time)
    if order == "desc":
        return messages[start : min(stop, sent)][::-1] + messages[sent:stop]
    return messages if (start, stop) == (0, len(messages)) else messages[start : max(start, stop)]


_BEYOND_ANY_ID = 1 << 80


def _instant(query: dict[str, str], name: str) -> datetime | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise RefusedError(422, f"{name} must be an ISO 8601 timestamp") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
