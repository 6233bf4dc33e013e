"""What a text weighs as SMS, after 3GPP TS 23.038, and what links it has."""

import re

# TS 23.038, 6.2.1: the default alphabet, sixteen codes a line; 0x1B is the escape to the extension table.
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
# 6.2.1.1: what follows the escape.
_EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}

SEPTETS = dict.fromkeys(_BASIC.replace("\x1b", ""), 1) | dict.fromkeys(_EXTENSION.values(), 2)

SHORTENERS = (
    "bit.ly", "tinyurl.com", "goo.gl", "ow.ly", "is.gd", "buff.ly", "rebrand.ly", "cutt.ly", "rb.gy",
    "shorturl.at", "tiny.cc", "t.co", "t.ly",
)  # fmt: skip

_SHORTENED = re.compile(rf"(?:^|//|www\.|[^a-z0-9./-])(?:{'|'.join(map(re.escape, SHORTENERS))})/")


def is_gsm(text: str) -> bool:
    """Whether the GSM 7-bit alphabet has all characters of a text."""
    return all(character in SEPTETS for character in text)


def segments(text: str) -> int:
    """In how many parts a text is sent."""
    if not text:
        return 0
    if is_gsm(text):
        return _parts(sum(SEPTETS[character] for character in text), 160, 153)
    return _parts(len(text.encode("utf-16-be")) // 2, 70, 67)


def has_many_urls(text: str) -> bool:
    """Whether a text has more than one URL."""
    return len(text.split("://")) > 2


def is_shortened(text: str) -> bool:
    """Whether a text has a link of a shortener."""
    return _SHORTENED.search(text.lower()) is not None


def _parts(length: int, alone: int, joined: int) -> int:
    return 1 if length <= alone else (length + joined - 1) // joined
