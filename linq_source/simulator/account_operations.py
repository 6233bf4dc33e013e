"""The operations on phone numbers, webhook subscriptions and iMessage availability."""

from collections.abc import Callable
from math import ceil
from typing import Any

from .call import Call, reply
from .entities import EVENT_TYPES, WebhookSubscription
from .numbers import normalized
from .replies import RefusedError, Response

AVAILABILITY_INTERVAL_SECONDS = 10.0


def list_phone_numbers(call: Call) -> Response:
    """`GET /phone_numbers`: all of them, without pages."""
    rows = [call.render.phone_number(number) for number in call.world.listed_numbers()]
    return reply({"phone_numbers": _or_null(call, rows)})


def update_phone_number(call: Call) -> Response:
    """`PUT /phone_numbers/{id}`: where calls are forwarded to; an empty text clears it."""
    number = next((one for one in call.world.listed_numbers() if one.id == call.ids[0]), None)
    if number is None:
        raise RefusedError(403, "Phone number does not belong to your organization")
    fields = call.fields()
    if "forwarding_number" not in fields:
        raise RefusedError(422, "forwarding_number is required")
    text = fields["forwarding_number"]
    forwarding = normalized(text) if isinstance(text, str) and text else None
    if text and forwarding is None:
        raise RefusedError(422, "forwarding_number is invalid")
    number.forwarding_number = forwarding
    return reply(call.render.phone_number(number))


def list_webhook_subscriptions(call: Call) -> Response:
    """`GET /webhook_subscriptions`: all of them, without pages."""
    rows = [call.render.subscription(one) for one in call.world.webhook_subscriptions.values()]
    return reply({"webhook_subscriptions": _or_null(call, rows)})


def create_webhook_subscription(call: Call) -> Response:
    """`POST /webhook_subscriptions`: its fields under that key, or bare as in the quick start."""
    fields = _subscription_fields(call)
    for name in ("webhook_url", "events", "version"):
        if name not in fields:
            raise RefusedError(422, f"{name} is required")
    subscription = call.world.add_webhook_subscription(**fields)
    return reply({"webhook_subscription": call.render.subscription(subscription)}, 201)


def update_webhook_subscription(call: Call) -> Response:
    """`PUT /webhook_subscriptions/{webhook_subscription_id}`: only the fields given change."""
    subscription = _subscription(call)
    call.world.update_webhook_subscription(subscription.id, **_subscription_fields(call))
    return reply({"webhook_subscription": call.render.subscription(subscription)})


def delete_webhook_subscription(call: Call) -> Response:
    """`DELETE /webhook_subscriptions/{webhook_subscription_id}`."""
    call.world.delete_webhook_subscription(_subscription(call).id)
    return Response(204)


def check_imessage_availability(call: Call) -> Response:
    """`POST /i_message_availability/check`: once in ten seconds, else 429."""
    now, last = call.limits.clock(), call.limits.availability_checked_at
    if last is not None and now - last < AVAILABILITY_INTERVAL_SECONDS:
        wait = ceil(AVAILABILITY_INTERVAL_SECONDS - (now - last))
        raise RefusedError(429, "Limited to 1 request per 10 seconds", {"Retry-After": str(wait)})
    call.limits.availability_checked_at = now
    text = call.fields().get("phone_number")
    if not text:
        raise RefusedError(400, "phone_number is required")
    phone_number = normalized(text) if isinstance(text, str) else None
    if phone_number is None:
        raise RefusedError(422, "phone_number is invalid")
    return reply({"available": call.world.has_imessage(phone_number), "phone_number": phone_number})


def _or_null(call: Call, rows: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    return rows or (None if call.render.quirks.null_lists else [])


def _subscription(call: Call) -> WebhookSubscription:
    subscription = call.world.webhook_subscriptions.get(call.ids[0])
    if subscription is None:
        raise RefusedError(404, "Webhook subscription not found")
    return subscription


def _subscription_fields(call: Call) -> dict[str, Any]:
    body = call.fields()
    given = body.get("webhook_subscription", body)
    if not isinstance(given, dict):
        raise RefusedError(422, "webhook_subscription must be an object")
    fields = {name: given[name] for name in _SUBSCRIPTION_CHECKS if name in given}
    for name, value in fields.items():
        if not _SUBSCRIPTION_CHECKS[name](value):
            raise RefusedError(422, f"{name} is invalid")
    return fields


def _is_url(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _is_events(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(event in EVENT_TYPES for event in value)


_SUBSCRIPTION_CHECKS: dict[str, Callable[[object], bool]] = {
    "webhook_url": _is_url,
    "events": _is_events,
    "version": lambda value: type(value) is int,
    "secret": lambda value: value is None or isinstance(value, str),
    "active": lambda value: isinstance(value, bool),
}
