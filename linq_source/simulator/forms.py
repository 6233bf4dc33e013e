"""Request bodies as nested fields: JSON, or forms with Rails' names (`message[attachments][]`)."""

import re
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from typing import Any
from urllib.parse import parse_qsl

import orjson

_NAME_PARTS = re.compile(r"[^\[\]]+|\[\]")


class BodyError(ValueError):
    """A body that is not what its Content-Type says."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a multipart form."""

    filename: str
    mime_type: str
    size: int


def fields_of(content_type: str, body: bytes) -> dict[str, Any]:
    """The fields of a body, {} for an empty one; raises BodyError."""
    if not body:
        return {}
    header = Message()
    header["content-type"] = content_type or "application/json"
    match header.get_content_type():
        case "multipart/form-data":
            return _nested(_parts(str(header.get_param("boundary", "")), body))
        case "application/x-www-form-urlencoded":
            return _nested(list(parse_qsl(body.decode(errors="replace"), keep_blank_values=True)))
        case _:
            return _json(body)


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BodyError("The body is not valid JSON") from None
    if not isinstance(value, dict):
        raise BodyError("The body must be a JSON object")
    return value


def _parts(boundary: str, body: bytes) -> list[tuple[str, str | Upload]]:
    if not boundary:
        raise BodyError("The form has no boundary")
    pairs: list[tuple[str, str | Upload]] = []
    for chunk in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:]:
        if chunk.startswith(b"--"):
            return pairs
        head, separator, content = chunk.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers = HeaderParser().parsestr(head.decode(errors="replace"))
        name = headers.get_param("name", header="content-disposition")
        if not separator or not isinstance(name, str):
            break
        filename = headers.get_filename()
        if filename is None:
            pairs.append((name, content.decode(errors="replace")))
        else:
            pairs.append((name, Upload(filename, headers.get_content_type(), len(content))))
    raise BodyError("The form is cut off")


def _nested(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        parts = _NAME_PARTS.findall(name)
        inside = fields
        while len(parts) > 1 and parts[1] != "[]":
            inner = inside.setdefault(parts.pop(0), {})
            if not isinstance(inner, dict):
                raise BodyError(f"The field {name} contradicts another")
            inside = inner
        if len(parts) > 1:
            inside.setdefault(parts[0], []).append(value)
        elif parts:
            inside[parts[0]] = value
    return fields
