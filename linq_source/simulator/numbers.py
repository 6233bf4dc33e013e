"""Phone numbers as Linq reads them: a US country code is assumed where none is given."""

import re

_DOCUMENTED = re.compile(r"\+[1-9]\d{6,14}|\d{10}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PUNCTUATION = re.compile(r"[\s().\-]+")
_US = re.compile(r"\+1(\d{3})(\d{3})(\d{4})")


def normalized(text: str) -> str | None:
    """`+12223334444` or `2223334444` as E.164; None for anything else.

    Vendor's "Your First Message", section "Phone Number Formatting".
    """
    if not _DOCUMENTED.fullmatch(text):
        return None
    return text if text.startswith("+") else f"+1{text}"


def leniently_normalized(text: str) -> str | None:
    """As `normalized`, also for `(555) 123-4567` and `1 555 123 4567`, which only contacts accept."""
    bare = _PUNCTUATION.sub("", text)
    if len(bare) == 11 and bare.startswith("1"):
        bare = f"+{bare}"
    return normalized(bare)


def is_email(text: str) -> bool:
    """Whether the text has the outline of an e-mail address."""
    return _EMAIL.fullmatch(text) is not None


def identifier(text: str) -> str | None:
    """A participant as a chat knows it: an E.164 number or an e-mail address."""
    return text if is_email(text) else normalized(text)


def for_people(number: str) -> str:
    """`+1 (555) 123-4567` for US numbers, others as they are."""
    match = _US.fullmatch(number)
    return f"+1 ({match[1]}) {match[2]}-{match[3]}" if match else number
