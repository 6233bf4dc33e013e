"""Signs and verifies webhook bodies: pure functions of bytes, which refuse and never raise.

Linq's documentation says of the signature both that it covers "the raw request body" and that it "is computed on
the canonical JSON format (with keys sorted recursively)". The raw body is tried first, then the spellings in which
a canonical document may have been signed. To find those takes a hundred times as long for a large body, so a caller
that serves others meanwhile does the two by itself (`verify_raw`, `verify_canonical`) and bounds the second.
"""

import hmac
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

HEADER = "X-Webhook-Signature"

MAX_CANONICAL_BYTES = 256 * 1024
"""Bodies above this are verified raw only: forged ones must stay cheap to refuse.

The longest event that Linq documents is a call with its transcription, and two hours of speech are some 110 KB.
"""

_FORM = re.compile(rb"[ \t]*sha256=([0-9a-fA-F]{64})[ \t]*")


@dataclass(frozen=True, slots=True)
class Verified:
    """A body that one of the secrets signed.

    `signed` is what the signature covers, so the only thing to keep: the raw body, or the canonical document
    where that was signed. `spelling` is `raw`, `compact`, `rails` or `ascii`.
    """

    signed: bytes
    spelling: str
    secret_index: int


def sign(body: bytes, *, secret: bytes) -> str:
    """Return the value of the signature header for `body`: `sha256=` and 64 hexadecimal digits."""
    return "sha256=" + hmac.digest(secret, body, "sha256").hex()


def parse_header(values: Sequence[bytes]) -> bytes | None:
    """Return the 32 bytes of a signature, or None unless exactly one header holds one in the strict form."""
    if len(values) != 1 or not (match := _FORM.fullmatch(values[0])):
        return None
    return bytes.fromhex(match[1].decode("ascii"))


def verify(body: bytes, *, signature: bytes, secrets: Sequence[bytes]) -> Verified | None:
    """Return what of `body` is signed with one of `secrets`, or None where nothing is.

    `signature` is what `parse_header` returned. Every secret is compared, in constant time, whichever matches. An
    empty secret signs nothing.
    """
    found = verify_raw(body, signature=signature, secrets=secrets)
    return found or verify_canonical(body, signature=signature, secrets=secrets)


def verify_raw(body: bytes, *, signature: bytes, secrets: Sequence[bytes]) -> Verified | None:
    """Do the same for the body as it came: under a millisecond for a megabyte."""
    return _signed("raw", body, signature, secrets)


def verify_canonical(body: bytes, *, signature: bytes, secrets: Sequence[bytes]) -> Verified | None:
    """Do the same for the other spellings of its document: up to half a second for a megabyte."""
    found = (_signed(spelling, spelled, signature, secrets) for spelling, spelled in _spellings(body))
    return next((each for each in found if each), None)


def _signed(spelling: str, document: bytes, signature: bytes, secrets: Sequence[bytes]) -> Verified | None:
    found = None
    for index, secret in enumerate(secrets):
        if hmac.compare_digest(hmac.digest(secret, document, "sha256"), signature) and secret:
            found = index
    return None if found is None else Verified(document, spelling, found)


def _spellings(body: bytes) -> Iterator[tuple[str, bytes]]:
    if len(body) > MAX_CANONICAL_BYTES:
        return
    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_float=_exact_float,
            parse_constant=_refuse,
        )
        compact = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        # An ASCII document has its ASCII spelling already.
        in_ascii = compact if compact.isascii() else json.dumps(document, sort_keys=True, separators=(",", ":"))
        spellings = [
            ("compact", compact.encode("utf-8")),
            ("rails", _as_rails(compact).encode("utf-8")),
            ("ascii", in_ascii.encode("ascii")),
        ]
    except (ValueError, RecursionError):
        return  # not JSON, or not of a kind that has one canonical spelling
    tried = {body}
    for spelling, spelled in spellings:
        if spelled not in tried:
            tried.add(spelled)
            yield spelling, spelled


def _as_rails(text: str) -> str:
    # ActiveSupport's to_json escapes what could end a script element; outside texts none of these occur.
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError
    return names


def _exact_float(text: str) -> float:
    number = float(text)
    if repr(number) != text:
        raise ValueError
    return number


def _refuse(name: str) -> float:
    raise ValueError(name)
