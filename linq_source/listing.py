"""The lists a sync begins with: numbers, contacts, subscriptions, and the chats of each number."""

import hashlib
from typing import Any

import orjson

from linq_source import settings
from linq_source.client import LinqClient
from linq_source.forgotten import is_forgotten
from linq_source.pages import Listed, read_list, read_rows
from linq_source.plan import Listing
from linq_source.strict_json import BrokenBodyError
from linq_source.values import integer_or_none, to_json


async def phone_numbers(client: LinqClient) -> Listed:
    """All numbers of the organisation; the list has no pages and no totals that would prove it."""
    return await _unpaged(client, settings.PHONE_NUMBERS, "phone_numbers")


async def webhook_subscriptions(client: LinqClient) -> Listed:
    """All webhook subscriptions."""
    return await _unpaged(client, settings.WEBHOOK_SUBSCRIPTIONS, "webhook_subscriptions")


async def contacts(client: LinqClient) -> Listed:
    """All contacts."""
    return await read_list(client, settings.CONTACTS, {}, "contacts")


async def chats(client: LinqClient, phone_number: str) -> Listed:
    """All chats that one of our numbers is in."""
    return await read_list(client, settings.CHATS, {"phone_number": phone_number}, "data")


async def _unpaged(client: LinqClient, path: str, list_key: str) -> Listed:
    rows = await client.get(path, read=lambda body: read_rows(body, list_key))
    return Listed(rows, is_clean=True)


def listing_of(row: Any) -> Listing | None:
    """Return what a chat's listing says for the plan, or None where it is none that may be read."""
    if not isinstance(row, dict) or is_forgotten(row) or (chat_id := integer_or_none(row.get("id"))) is None:
        return None
    return Listing(chat_id, integer_or_none(row.get("message_count")), listing_hash(row))


def listing_hash(row: dict[str, Any]) -> str:
    """Return a hash of all that a chat's listing says."""
    try:
        text = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        text = (to_json(row) or "").encode()
    return hashlib.blake2b(text, digest_size=12).hexdigest()


def read_chat(body: Any) -> Listing:
    """Return the listing in the answer for one chat; raises BrokenBodyError where it holds none."""
    found = listing_of(body.get("data") if isinstance(body, dict) else None)
    if found is None:
        raise BrokenBodyError("an answer without its chat")
    return found
