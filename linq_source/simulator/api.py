"""Linq's Partner API v2 as a function of a request and a world; no sockets here.

Every operation of the vendor's OpenAPI document is routed but `GET /webhooks/events`, which "does not
exist in the actual API" and is answered as any unknown path: 404.
"""

from collections.abc import Callable
from time import monotonic

from . import account_operations as account
from . import chat_operations as chats
from . import contact_operations as contacts
from . import message_operations as messages
from .call import Call, Limits
from .render import Quirks, Renderer
from .replies import RefusedError, Request, Response, error_body
from .world import World

ROOT = "/api/partner/v2"
TOKEN_HEADER = "x-linq-integration-token"  # noqa: S105 - a header's name, no token
_CACHE_BYTES = 256 * 1024 * 1024

_Operation = Callable[[Call], Response]

OPERATIONS: dict[tuple[str, str], _Operation] = {
    ("GET", "/chats"): chats.list_chats,
    ("POST", "/chats"): chats.create_chat,
    ("GET", "/chats/#"): chats.get_chat,
    ("GET", "/chats/find"): chats.find_chat,
    ("PUT", "/chats/#/mark_as_read"): chats.mark_as_read,
    ("POST", "/chats/#/start_typing"): chats.start_typing,
    ("DELETE", "/chats/#/stop_typing"): chats.stop_typing,
    ("POST", "/chats/#/share_contact"): chats.share_contact,
    ("GET", "/chats/#/chat_messages"): messages.list_messages,
    ("POST", "/chats/#/chat_messages"): messages.send_message,
    ("GET", "/chats/#/chat_messages/#"): messages.get_message,
    ("DELETE", "/chats/#/chat_messages/#"): messages.delete_message,
    ("POST", "/chats/#/chat_messages/#/edit"): messages.edit_message,
    ("POST", "/chat_messages/#/reactions"): messages.react,
    ("GET", "/chat_message_reactions/#"): messages.get_reaction,
    ("GET", "/contacts"): contacts.list_contacts,
    ("POST", "/contacts"): contacts.create_contact,
    ("GET", "/contacts/#"): contacts.get_contact,
    ("PUT", "/contacts/#"): contacts.update_contact,
    ("PATCH", "/contacts/#"): contacts.update_contact,
    ("DELETE", "/contacts/#"): contacts.delete_contact,
    ("GET", "/contacts/find"): contacts.find_contact,
    ("GET", "/phone_numbers"): account.list_phone_numbers,
    ("PUT", "/phone_numbers/#"): account.update_phone_number,
    ("GET", "/webhook_subscriptions"): account.list_webhook_subscriptions,
    ("POST", "/webhook_subscriptions"): account.create_webhook_subscription,
    ("PUT", "/webhook_subscriptions/#"): account.update_webhook_subscription,
    ("DELETE", "/webhook_subscriptions/#"): account.delete_webhook_subscription,
    ("POST", "/i_message_availability/check"): account.check_imessage_availability,
}


class Api:
    """Answers requests; whoever calls holds the world's lock.

    `requests_per_second` limits all requests together (a burst of one second's worth may come at once);
    one too many gets 429 with Retry-After.
    """

    def __init__(
        self,
        world: World,
        *,
        token: str,
        quirks: Quirks,
        requests_per_second: float | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.world = world
        self._token = token
        self._render = Renderer(quirks)
        self._rate = requests_per_second
        self._limits = Limits(clock)
        self._allowance = requests_per_second or 0.0
        self._counted_at = clock()
        self._pages: dict[str, tuple[int, bytes]] = {}
        self._page_bytes = 0

    def bend(self, quirks: Quirks) -> None:
        """Answer with other quirks from now on."""
        self._render = Renderer(quirks)
        self._pages.clear()
        self._page_bytes = 0

    def answer(self, request: Request) -> Response:
        """The answer to a request; errors come in the format of their endpoint."""
        try:
            self._admit(request)
            return self._routed(request)
        except RefusedError as refusal:
            body = error_body(request.path, refusal.status, refusal.detail)
            return Response(refusal.status, body, refusal.headers)

    def _admit(self, request: Request) -> None:
        if request.headers.get(TOKEN_HEADER) != self._token:
            raise RefusedError(401, "Missing or invalid integration token")
        if self._rate is None:
            return
        now = self._limits.clock()
        earned = (now - self._counted_at) * self._rate
        self._allowance = min(max(1.0, self._rate), self._allowance + earned)
        self._counted_at = now
        if self._allowance < 1:
            raise RefusedError(429, "Rate limit exceeded", {"Retry-After": "1"})
        self._allowance -= 1

    def _routed(self, request: Request) -> Response:
        if not request.path.startswith(f"{ROOT}/"):
            raise RefusedError(404, "Not found")
        segments = request.path[len(ROOT) :].split("/")
        ids = [int(part) for part in segments if part.isdecimal() and len(part) < 19]
        shape = "/".join("#" if part.isdecimal() and len(part) < 19 else part for part in segments)
        operation = OPERATIONS.get((request.method, shape))
        if operation is None:
            raise RefusedError(404, "Not found")
        call = Call(self.world, self._render, request, ids, self._limits)
        if operation is messages.list_messages:
            return self._kept_page(call)
        return operation(call)

    def _kept_page(self, call: Call) -> Response:
        """A page of messages, rendered once for as long as its chat does not change."""
        version, target = call.chat().version, call.request.target
        kept = self._pages.get(target)
        if kept is not None and kept[0] == version:
            return Response(200, kept[1])
        response = messages.list_messages(call)
        self._page_bytes += len(response.body)
        if self._page_bytes > _CACHE_BYTES:
            self._pages.clear()
            self._page_bytes = len(response.body)
        self._pages[target] = (version, response.body)
        return response
