"""Masks of phone numbers and names, for pages that may be passed on."""

import re

from linq_source.redact import PREFIX


def mask_number(number: str | None) -> str:
    """Return what may be shown of a number or address: `+1 *** *** 0144`, `*** 0144`, `***@***`."""
    text = (number or "").strip()
    if text.startswith(PREFIX):
        return "***"
    if "@" in text:
        return "***@***"
    digits = re.sub(r"\D", "", text)
    if len(digits) == 11 and digits.startswith("1"):
        return f"+1 *** *** {digits[-4:]}"
    if len(digits) >= 9:
        return f"*** {digits[-4:]}"
    return "***"


def our_label(number: str | None, user_name: str | None, *, show_identities: bool) -> str:
    """Return how one of our numbers is called; its user may be named, the number not in full."""
    if number is None:
        return "No number of ours"
    shown = number if show_identities else mask_number(number)
    return f"{user_name} · {shown}" if user_name else shown


def chat_label(chat_id: int, *, is_group: bool, people: int | None, handle: str | None) -> str:
    """Return how a chat is called without naming anybody: its participant's masked number, and its id."""
    if is_group:
        return f"Group of {people + 1} · chat {chat_id}" if people else f"Group · chat {chat_id}"
    return f"{mask_number(handle)} · chat {chat_id}"
