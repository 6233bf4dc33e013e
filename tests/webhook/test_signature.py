"""Signatures: the published vector, every spelling that may be signed, and nothing else, however it is written."""

import hashlib
import hmac
import json
import random

import pytest

from linq_source.webhook.signature import MAX_CANONICAL_BYTES, parse_header, sign, verify

SECRET = b"It's a Secret to Everybody"
GITHUB = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""docs.github.com, "Validating webhook deliveries": this secret over `Hello, World!`."""

DOCUMENT = {"b": [1, 2.5, True, None], "a": {"z": "<ü> & \U0001f600\u2028", "y": 10**20}}
SENT = json.dumps(DOCUMENT, ensure_ascii=False, indent=1).encode()


def accepts(body: bytes, header: bytes | str, *secrets: bytes) -> bool:
    value = header.encode("latin-1") if isinstance(header, str) else header
    signature = parse_header([value])
    return signature is not None and verify(body, signature=signature, secrets=secrets or (SECRET,)) is not None


def spelled(text: str) -> str:
    return sign(text.encode(), secret=SECRET)


def test_github_s_published_vector_signs_and_verifies() -> None:
    assert sign(b"Hello, World!", secret=SECRET) == GITHUB
    assert accepts(b"Hello, World!", GITHUB)
    assert not accepts(b"Hello, World?", GITHUB)


def test_the_raw_body_is_what_is_kept_when_it_is_signed() -> None:
    verified = verify(SENT, signature=parse_header([spelled(SENT.decode()).encode()]) or b"", secrets=[SECRET])
    assert verified
    assert (verified.signed, verified.spelling, verified.secret_index) == (SENT, "raw", 0)


# What Ruby's JSON.generate, ActiveSupport's to_json and an ASCII-only generator write for DOCUMENT, sorted.
SPELLINGS = {
    "compact": '{"a":{"y":100000000000000000000,"z":"<ü> & 😀\u2028"},"b":[1,2.5,true,null]}',
    "rails": r'{"a":{"y":100000000000000000000,"z":"\u003cü\u003e \u0026 😀\u2028"},"b":[1,2.5,true,null]}',
    "ascii": r'{"a":{"y":100000000000000000000,"z":"<\u00fc> & \ud83d\ude00\u2028"},"b":[1,2.5,true,null]}',
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_canonical_spelling_may_be_what_was_signed_and_then_it_is_what_is_kept(spelling: str) -> None:
    text = SPELLINGS[spelling]
    signature = parse_header([spelled(text).encode()])
    assert signature
    verified = verify(SENT, signature=signature, secrets=[SECRET])
    assert verified
    assert (verified.spelling, verified.signed.decode()) == (spelling, text)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"b":1, "a":NaN}',
        b'{"b":1, "a":Infinity}',
        b'{"b":1, "a":1.10}',
        b'{"b":1, "a":1e400}',
        b'{"b":1, "a":"\\ud83d"}',
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"9" * 5000,
        b"\xff\xfe{}",
        b'\xef\xbb\xbf{"a": 1}',
        b"",
    ],
)
def test_a_body_without_one_canonical_spelling_verifies_raw_only(body: bytes) -> None:
    assert accepts(body, sign(body, secret=SECRET))
    assert not accepts(body, "sha256=" + "0" * 64)
    assert not accepts(body, sign(b'{"a":1,"b":1}', secret=SECRET))


def test_a_large_body_verifies_raw_only() -> None:
    body = b'{"b": "' + b"x" * MAX_CANONICAL_BYTES + b'", "a": 1}'
    canonical = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode()
    assert accepts(body, sign(body, secret=SECRET))
    assert not accepts(body, sign(canonical, secret=SECRET))


def test_any_of_several_secrets_signs_so_that_one_can_replace_another() -> None:
    signature = parse_header([sign(SENT, secret=b"new").encode()])
    assert signature
    verified = verify(SENT, signature=signature, secrets=[b"old", b"new", b"newer"])
    assert verified
    assert verified.secret_index == 1
    assert verify(SENT, signature=signature, secrets=[b"old"]) is None
    assert verify(SENT, signature=signature, secrets=[]) is None


def test_an_empty_secret_signs_nothing() -> None:
    assert not accepts(b"body", sign(b"body", secret=b""), b"")
    assert not accepts(b"body", sign(b"body", secret=b""), b"", SECRET)


def test_every_secret_is_compared_whichever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = hmac.compare_digest

    def counting(a: bytes, b: bytes) -> bool:
        compared.append((type(a), len(a), type(b), len(b)))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    assert accepts(b"body", sign(b"body", secret=b"first"), b"first", b"second", b"third")
    assert compared == [(bytes, 32, bytes, 32)] * 3


HEX = GITHUB.removeprefix("sha256=")
MALFORMED = [
    "",
    "sha256=",
    HEX,
    "sha1=" + HEX,
    "SHA256=" + HEX,
    "sha256 = " + HEX,
    "sha256:" + HEX,
    "sha256=" + HEX[:-1],
    "sha256=" + HEX + "0",
    "sha256=" + HEX[:32] + " " + HEX[32:],
    "sha256=" + " ".join(HEX[i : i + 2] for i in range(0, 64, 2)),
    "sha256=" + "g" * 64,
    "sha256=" + "é" * 64,
    "sha256=0x" + HEX[2:],
    f"sha256={HEX},sha256={HEX}",
    f"sha256={HEX}\n",
    f"\x0bsha256={HEX}",
    f"sha256={HEX}\0",
    "sha256=" + "٣" * 64,
]


@pytest.mark.parametrize("header", MALFORMED)
def test_a_malformed_header_is_no_signature(header: str) -> None:
    assert parse_header([header.encode()]) is None


def test_exactly_one_header_counts() -> None:
    assert parse_header([]) is None
    assert parse_header([GITHUB.encode()] * 2) is None


@pytest.mark.parametrize("header", [f"  {GITHUB}\t", "sha256=" + HEX.upper()])
def test_space_around_a_signature_and_capital_digits_are_no_fault(header: str) -> None:
    assert accepts(b"Hello, World!", header)


def mutated(header: bytes, dice: random.Random) -> bytes:
    changed = bytearray(header)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        at = dice.randrange(len(changed))
        match dice.randrange(5):
            case 0:
                changed[at] ^= 1 << dice.randrange(8)
            case 1:
                changed[at] = dice.randrange(256)
            case 2:
                del changed[at]
            case 3:
                changed.insert(at, dice.choice(b"0123456789abcdefABCDEF= \t,\n\0\xff"))
            case _:
                other = dice.randrange(len(changed))
                changed[at], changed[other] = changed[other], changed[at]
    return bytes(changed)


@pytest.mark.parametrize("seed", [1, 2])
def test_of_a_hundred_thousand_mutated_signatures_none_is_accepted(seed: int) -> None:
    dice = random.Random(seed)
    body = b'{"a": 1}'
    good = sign(body, secret=SECRET).encode()
    tried = 0
    while tried < 50_000:
        header = mutated(good, dice)
        stripped = header.strip(b" \t")
        if stripped[:7] + stripped[7:].lower() == good:
            continue  # the same signature in another permitted form
        tried += 1
        signature = parse_header([header])
        if signature is not None:
            assert signature != hashlib.sha256(b"").digest()
            assert verify(body, signature=signature, secrets=[SECRET]) is None, header
