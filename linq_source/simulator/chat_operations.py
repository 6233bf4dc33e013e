"""The operations on chats (vendor's page "Chats")."""

from typing import Any

from .call import Call, reply
from .entities import Chat, Service, by_time
from .numbers import identifier
from .replies import RefusedError, Response
from .sending import Draft, draft_of, sent_once


def list_chats(call: Call) -> Response:
    """`GET /chats`: those of one of our numbers, which must be named."""
    number = call.our_number(call.request.query.get("phone_number"), "phone_number")
    paging = call.paging()
    chats = call.world.chats_of(number.phone_number)
    if call.render.quirks.newest_chats_first:
        chats = sorted(chats, key=_latest, reverse=True)
    rows = [call.render.chat(call.world, chat) for chat in paging.cut(chats)]
    return reply(paging.envelope("data", rows, len(chats), call.render.quirks))


def get_chat(call: Call) -> Response:
    """`GET /chats/{chat_id}`."""
    return reply({"data": call.render.chat(call.world, call.chat())})


def find_chat(call: Call) -> Response:
    """`GET /chats/find`: the chat of our number with exactly the given others, or null."""
    number = call.our_number(call.request.query.get("phone_number"), "phone_number")
    others = call.request.parameters.get("phone_numbers[]")
    if not others:
        raise RefusedError(400, "phone_numbers is required")
    chat = call.world.find_chat(number.phone_number, [identifier(text) or text for text in others])
    if chat is None:
        return reply({"data": {"chat": None, "messages": []}})
    return reply({"data": {"chat": call.render.chat(call.world, chat)}})


def create_chat(call: Call) -> Response:
    """`POST /chats`: find or create, and send the message.

    The reference wants `{chat: {phone_numbers}, send_from, message}` and answers with the chat; the quick
    start shows `{phone_numbers, phone_number, message}` and answers `{chat, message}`. Each is answered
    in its own form.
    """
    fields = call.fields()
    quick = "chat" not in fields and "phone_numbers" in fields
    about = fields if quick else fields.get("chat")
    if not isinstance(about, dict) or not isinstance(fields.get("message"), dict):
        raise RefusedError(400, "chat and message are required")
    number = call.our_number(fields.get("phone_number" if quick else "send_from"), "send_from")
    others = _recipients(about.get("phone_numbers"), number.phone_number)
    draft = draft_of(fields["message"], missing_text=400)
    chat, message = _found_or_created(call, number.phone_number, others, about, draft)
    if quick:
        shown = {"chat": call.render.chat(call.world, chat), "message": call.render.message(message)}
        return reply({"data": shown})
    return reply({"data": call.render.created_chat(call.world, chat, message)})


def mark_as_read(call: Call) -> Response:
    """`PUT /chats/{chat_id}/mark_as_read`."""
    call.world.mark_read(call.chat().id)
    return Response(204)


def start_typing(call: Call) -> Response:
    """`POST /chats/{chat_id}/start_typing`: nothing that could be listed comes of it."""
    call.chat()
    return Response(201)


def stop_typing(call: Call) -> Response:
    """`DELETE /chats/{chat_id}/stop_typing`."""
    call.chat()
    return Response(204)


def share_contact(call: Call) -> Response:
    """`POST /chats/{chat_id}/share_contact`: nothing that could be listed comes of it."""
    call.chat()
    return Response(201)


def _latest(chat: Chat) -> Any:
    return (bool(chat.messages), by_time(chat.messages[-1]) if chat.messages else (), chat.id)


def _recipients(listed: Any, ours: str) -> list[str]:
    if not isinstance(listed, list) or not listed:
        raise RefusedError(400, "phone_numbers must name at least one number")
    found = {text: identifier(text) for text in listed if isinstance(text, str)}
    if len(found) < len(set(map(str, listed))) or None in found.values():
        raise RefusedError(422, "phone_numbers holds an invalid number")
    others = [known for known in dict.fromkeys(found.values()) if known is not None and known != ours]
    if not others:
        raise RefusedError(422, "phone_numbers must name somebody else")
    return others


def _found_or_created(
    call: Call, ours: str, others: list[str], about: dict[str, Any], draft: Draft
) -> tuple[Chat, Any]:
    world = call.world
    known = world.messages.get(world.idempotency_keys.get(draft.key or "", -1))
    if known is not None:
        return world.chats[known.chat_id], known
    chat = world.find_chat(ours, others)
    if chat is None:
        service: Service = "iMessage" if all(map(world.has_imessage, others)) else "SMS"
        name = str(about.get("display_name") or "") or None
        chat = world.add_chat(others, ours=[ours], service=service, name=name)
    message, _ = sent_once(world, chat, draft, sent_from=ours)
    return chat, message
