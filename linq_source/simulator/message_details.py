"""Turns planned turns into messages: texts, files, reactions, how delivery went, what was read."""

from datetime import UTC, datetime, timedelta
from random import Random

from .entities import (
    REACTION_TYPES,
    Attachment,
    Chat,
    ChatHandle,
    DeliveryStatus,
    Message,
    Reaction,
    ReactionType,
    User,
)
from .people import Person
from .rhythm import DAY, HOUR, Turn
from .texts import TOPICS, Topic, text, words

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FILES = (
    ("IMG_%04d.HEIC", "image/heic", 2_400_000),
    ("IMG_%04d.jpg", "image/jpeg", 1_300_000),
    ("IMG_%04d.jpg", "image/jpeg", 900_000),
    ("Screenshot_%04d.png", "image/png", 420_000),
    ("estimate_%04d.pdf", "application/pdf", 180_000),
    ("video_%04d.mov", "video/quicktime", 14_000_000),
    ("voice_%04d.m4a", "audio/mp4", 260_000),
)
_REACTED = {"iMessage": 0.22, "RCS": 0.17, "SMS": 0.05}
_SEEN = {"iMessage": 0.85, "RCS": 0.7, "SMS": 0.0}
_TAPBACKS: tuple[ReactionType, ...] = (
    "love",
    "like",
    "like",
    "like",
    "laugh",
    "love",
    "emphasize",
    "question",
    "dislike",
)
assert set(_TAPBACKS) == set(REACTION_TYPES)


def instant(milliseconds: int) -> datetime:
    """The UTC datetime of milliseconds since 1970."""
    return _EPOCH + timedelta(0, 0, 0, milliseconds)


class Writer:
    """Writes the messages of chats; ids are given later, when all chats are known."""

    def __init__(self, rng: Random, end: int) -> None:
        self._rng = rng
        self._random = rng.random
        self._end = end
        self._previous = ""

    def write(self, chat: Chat, conversations: list[list[Turn]], people: list[Person], users: list[User]) -> None:
        """All messages of a chat; `people` are those of its other handles, `users` those of ours."""
        rng, random = self._rng, self._random
        theirs, ours = chat.handles[: len(people)], chat.handles[len(people) :]
        first_names = [somebody.first_name for somebody in people]
        for conversation in conversations:
            # Whoever of us opened a conversation stays with it; of a group, anybody may answer.
            desk = 0 if len(ours) == 1 or random() < 0.7 else 1
            topic = TOPICS[int(random() * len(TOPICS))]
            filling = words(rng, name=first_names[0], agent=users[desk].first_name)
            for turn in conversation:
                if turn.ours:
                    handle = ours[desk]
                else:
                    handle = theirs[0] if len(theirs) == 1 else theirs[int(random() * len(theirs))]
                body = self._text(topic, turn, chat.service, filling)
                chat.messages.append(self._message(chat, turn, handle, body))

    def _text(self, topic: Topic, turn: Turn, service: str, filling: dict[str, str]) -> str:
        """A text unlike the one before: people do not say the same thing twice in a row."""
        for _ in range(3):
            body = text(self._rng, topic, ours=turn.ours, opening=turn.opening, service=service, filling=filling)
            if body != self._previous:
                break
        self._previous = body
        return body

    def _message(self, chat: Chat, turn: Turn, handle: ChatHandle, body: str) -> Message:
        sent_at = instant(turn.at)
        message = Message(0, chat.id, body, sent_at, handle.phone_number, handle.id)
        draw = self._random()
        age = self._end - turn.at
        if turn.ours:
            self._deliver(message, chat, turn.at, age)
            message.is_read = message.delivered_at is not None and draw < _SEEN[chat.service] and age > HOUR
        else:
            message.delivered_at = instant(min(self._end, turn.at + 1000 + int(draw * 2000)))
            message.is_read = draw < (0.97 if age > 2 * DAY else 0.6)
        draw = self._random()
        if draw < _REACTED[chat.service]:
            message.reactions = self._reactions(chat, turn)
        elif draw > 0.91:
            message.attachments = self._attachments()
            if draw > 0.97:
                message.text = ""
        elif 0.5 < draw < 0.513 and chat.service == "iMessage":
            message.edited_at = instant(min(self._end, turn.at + 20_000 + int(self._random() * 600_000)))
        return message

    def _deliver(self, message: Message, chat: Chat, at: int, age: int) -> None:
        draw = self._random()
        status: DeliveryStatus = "delivered"
        if draw < 0.004 or (age < HOUR and draw < 0.3):
            status = "pending"
        elif draw < 0.01 or (chat.service == "SMS" and draw < (0.18 if "bit.ly" in message.text else 0.045)):
            status = "service_unavailable"
        elif draw > 0.997:
            status = "paused"
        message.delivery_status = status
        if status == "delivered":
            slowness = 25_000 if chat.service == "SMS" else 3_000
            message.delivered_at = instant(min(self._end, at + 1000 + int(draw * slowness)))

    def _reactions(self, chat: Chat, turn: Turn) -> tuple[Reaction, ...]:
        first = chat.handles[0]
        answering = first if turn.ours else chat.handles[-1]
        parties = [answering]
        if chat.is_group and self._random() < 0.3:
            parties.append(chat.handles[1])
        return tuple(self._reaction(chat, turn.at, party) for party in parties)

    def _reaction(self, chat: Chat, at: int, party: ChatHandle) -> Reaction:
        draw = self._random()
        sent_at = instant(min(self._end, at + 5_000 + int(draw**4 * 2 * HOUR)))
        kind = _TAPBACKS[int(self._random() * len(_TAPBACKS))]
        is_from_me = party.phone_number in chat.phone_numbers
        return Reaction(0, 0, kind, is_from_me, party.phone_number, sent_at, sent_at, sent_at)

    def _attachments(self) -> tuple[Attachment, ...]:
        count = 1 if self._random() < 0.85 else 2
        return tuple(made_up_file(self._rng) for _ in range(count))


def made_up_file(rng: Random) -> Attachment:
    """A photo, a document or a recording that exists nowhere."""
    bits = rng.getrandbits(128)
    code = f"{bits:032x}"
    name, mime_type, size = _FILES[bits % len(_FILES)]
    filename = name % (bits % 9973)
    file_id = f"{code[:8]}-{code[8:12]}-4{code[13:16]}-a{code[17:20]}-{code[20:]}"
    url = f"https://files.example.com/attachments/{code[:12]}/{filename}"
    return Attachment(file_id, url, filename, mime_type, size // 2 + bits % size)
