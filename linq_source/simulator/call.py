"""One request to one operation: what the operation may read of it and how it refuses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .entities import Chat, Message, PhoneNumber
from .forms import BodyError, fields_of
from .numbers import normalized
from .render import Renderer, to_json
from .replies import Paging, RefusedError, Request, Response
from .world import World


@dataclass(slots=True)
class Limits:
    """What is remembered between requests to hold rate limits."""

    clock: Callable[[], float]
    availability_checked_at: float | None = None


@dataclass(slots=True)
class Call:
    """A request with the world it asks about; `ids` are the numbers in its path, in order."""

    world: World
    render: Renderer
    request: Request
    ids: list[int]
    limits: Limits

    def paging(self) -> Paging:
        """The page asked for."""
        return Paging.of(self.request.query, self.render.quirks)

    def fields(self) -> dict[str, Any]:
        """The body's fields: JSON or a form; a RefusedError with 400 when it cannot be read."""
        try:
            return fields_of(self.request.headers.get("content-type", ""), self.request.body)
        except BodyError as error:
            raise RefusedError(400, str(error)) from None

    def chat(self) -> Chat:
        """The chat that the path names first; a RefusedError with 404 when Linq shows none."""
        chat = self.world.visible_chat(self.ids[0])
        if chat is None:
            raise RefusedError(404, "Chat not found")
        return chat

    def message(self) -> Message:
        """The message that the path names after its chat; a RefusedError with 404 when that has none."""
        chat = self.chat()
        message = self.world.messages.get(self.ids[1])
        if message is None or message.chat_id != chat.id:
            raise RefusedError(404, "Message not found")
        return message

    def our_number(self, text: object, name: str) -> PhoneNumber:
        """One of our numbers; a RefusedError with 400 when none is given, 403 when it is not ours."""
        if not text:
            raise RefusedError(400, f"{name} is required")
        number = self.world.owned(normalized(text) or "") if isinstance(text, str) else None
        if number is None:
            raise RefusedError(403, "Phone number does not belong to your organization")
        return number


def reply(value: Any, status: int = 200) -> Response:
    """An answer of JSON."""
    return Response(status, to_json(value))
