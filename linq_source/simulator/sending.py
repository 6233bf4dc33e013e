"""What sending has in common: the draft in a body, its files, and a key that sends it only once."""

import mimetypes
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from .entities import Attachment, Chat, Message
from .forms import Upload
from .replies import RefusedError
from .world import World

_KEY = re.compile(r"[a-zA-Z0-9_-]+")
_URL = re.compile(r"https?://[^\s/?#\[\]]+([/?#]\S*)?")


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be sent."""

    text: str
    key: str | None
    uploads: tuple[Upload, ...]
    urls: tuple[str, ...]


def draft_of(fields: dict[str, Any], *, missing_text: int) -> Draft:
    """The message in a body; a RefusedError, with status `missing_text` when it has neither text nor files."""
    uploads = tuple(file for file in _listed(fields, "attachments") if isinstance(file, Upload))
    urls = tuple(str(url) for url in _listed(fields, "attachment_urls"))
    text = fields.get("text")
    if not text and not uploads and not urls:
        raise RefusedError(missing_text, "text is required")
    if text is not None and not isinstance(text, str):
        raise RefusedError(422, "text must be a string")
    if not all(_URL.fullmatch(url) for url in urls):
        raise RefusedError(422, "attachment_urls holds an invalid URL")
    key = fields.get("idempotency_key")
    if key is not None and not (isinstance(key, str) and _KEY.fullmatch(key)):
        raise RefusedError(422, "idempotency_key must be alphanumeric, hyphens and underscores")
    return Draft(text or "", key, uploads, urls)


def sent_once(world: World, chat: Chat, draft: Draft, *, sent_from: str) -> tuple[Message, bool]:
    """The message, pending, and whether it is new: a key that was used gives the message of then."""
    known = world.messages.get(world.idempotency_keys.get(draft.key or "", -1))
    if known is not None:
        return known, False
    message = world.send(
        chat.id,
        draft.text,
        sent_from=sent_from,
        delivery_status="pending",
        attachments=_attachments(world, draft),
    )
    if draft.key:
        world.idempotency_keys[draft.key] = message.id
    return message, True


def _listed(fields: dict[str, Any], name: str) -> list[Any]:
    found = fields.get(name) or []
    if not isinstance(found, list):
        raise RefusedError(422, f"{name} must be a list")
    return found


def _attachments(world: World, draft: Draft) -> list[Attachment]:
    files = [(upload.filename, upload.mime_type, upload.size) for upload in draft.uploads]
    for url in draft.urls:
        name = PurePosixPath(urlsplit(url).path).name or "file"
        # Nothing is downloaded here: the size of a linked file is made up from its address.
        mime_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        files.append((name, mime_type, 1000 + len(url)))
    attachments = []
    for name, mime_type, size in files:
        file_id = str(uuid5(NAMESPACE_URL, f"linq-simulator/{world.new_id('file')}"))
        url = f"https://files.example.com/attachments/{file_id[:8]}/{name}"
        attachments.append(Attachment(file_id, url, name, mime_type, size))
    return attachments
