"""What can happen to chats, messages and reactions."""

from bisect import insort
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from . import events
from .entities import (
    Attachment,
    Chat,
    ChatHandle,
    DeliveryStatus,
    Message,
    Reaction,
    ReactionType,
    Service,
    by_time,
)
from .store import Store


class Conversations(Store):
    """The mutations of chats and messages; each takes the lock and reports its event."""

    def send(
        self,
        chat_id: int,
        text: str,
        *,
        sent_at: datetime | None = None,
        sent_from: str | None = None,
        delivery_status: DeliveryStatus = "delivered",
        attachments: Sequence[Attachment] = (),
        is_read: bool = False,
        message_id: int | None = None,
        unsent: bool = False,
    ) -> Message:
        """A new message, from our first number in the chat unless `sent_from` names another party.

        `sent_at` None means now, at any other instant it may be as late or early as a test wants;
        `unsent` leaves it null. `message_id` None means the next id.
        """
        with self.lock:
            chat = self.chats[chat_id]
            sent_from = sent_from or chat.phone_numbers[0]
            instant = None if unsent else self._instant(sent_at)
            delivered = instant + timedelta(seconds=1) if instant and delivery_status == "delivered" else None
            sent = Message(
                id=self.claim_id("message", message_id),
                chat_id=chat_id,
                text=text,
                sent_at=instant,
                sent_from=sent_from,
                chat_handle_id=self._handle_of(chat, sent_from).id,
                delivered_at=delivered,
                delivery_status="pending" if unsent else delivery_status,
                is_read=is_read,
                attachments=tuple(attachments),
            )
            insort(chat.messages, sent, key=by_time)
            self.messages[sent.id] = sent
            self.touch(chat.id)
            event_type = "message.sent" if self.is_ours(sent_from) else "message.received"
            self._emit(event_type, events.message, chat, sent)
            return sent

    def receive(
        self,
        chat_id: int,
        text: str,
        *,
        sent_at: datetime | None = None,
        sent_from: str | None = None,
        attachments: Sequence[Attachment] = (),
        message_id: int | None = None,
    ) -> Message:
        """A new message from the other side: its first participant unless `sent_from` names one."""
        with self.lock:
            sent_from = sent_from or self.chats[chat_id].others[0].phone_number
            return self.send(
                chat_id,
                text,
                sent_at=sent_at,
                sent_from=sent_from,
                attachments=attachments,
                message_id=message_id,
            )

    def edit(self, message_id: int, text: str, *, edited_at: datetime | None = None) -> Message:
        """Change a message's text and its `edited_at`; Linq reports no event for it."""
        with self.lock:
            message = self.messages[message_id]
            message.text = text
            message.edited_at = self._instant(edited_at)
            self.touch(message.chat_id)
            return message

    def delete_message(self, message_id: int) -> None:
        """Take a message out of its chat; Linq reports no event for it."""
        with self.lock:
            message = self.messages.pop(message_id)
            chat = self.chats[message.chat_id]
            chat.messages = [kept for kept in chat.messages if kept is not message]
            for reaction in message.reactions:
                del self.reactions[reaction.id]
            self.touch(chat.id)

    def mark_read(self, chat_id: int) -> None:
        """Mark all messages of a chat as read, one event for each that was not."""
        with self.lock:
            now = self.clock()
            for message in self.chats[chat_id].messages:
                if not message.is_read:
                    message.is_read = True
                    self._emit("message.read", events.read, message, now)
            self.touch(chat_id)

    def deliver(
        self,
        message_id: int,
        *,
        delivered_at: datetime | None = None,
        delivery_status: DeliveryStatus = "delivered",
    ) -> Message:
        """Settle how a message's delivery ended; `delivered_at` stays null unless it was delivered."""
        with self.lock:
            message = self.messages[message_id]
            message.delivery_status = delivery_status
            delivered = delivery_status == "delivered"
            message.delivered_at = self._instant(delivered_at) if delivered else None
            self.touch(message.chat_id)
            return message

    def react(
        self,
        message_id: int,
        reaction: ReactionType,
        *,
        from_phone: str | None = None,
        sent_at: datetime | None = None,
    ) -> Reaction:
        """One party's reaction, in place of its earlier one; ours unless `from_phone` names another."""
        with self.lock:
            message = self.messages[message_id]
            chat = self.chats[message.chat_id]
            from_phone = from_phone or chat.phone_numbers[0]
            self.unreact(message_id, from_phone=from_phone)
            now = self._instant(sent_at)
            is_from_me = self.is_ours(from_phone)
            number = self.new_id("reaction")
            given = Reaction(number, message_id, reaction, is_from_me, from_phone, now, now, now)
            message.reactions = (*message.reactions, given)
            self.reactions[given.id] = given
            self.touch(chat.id)
            event_type = "reaction.sent" if is_from_me else "reaction.received"
            self._emit(event_type, events.reaction, chat, message, given)
            return given

    def unreact(self, message_id: int, *, from_phone: str | None = None) -> Reaction | None:
        """Take back one party's reaction (ours unless named); Linq reports no event for it."""
        with self.lock:
            message = self.messages[message_id]
            from_phone = from_phone or self.chats[message.chat_id].phone_numbers[0]
            taken = next((one for one in message.reactions if one.from_phone == from_phone), None)
            if taken is not None:
                message.reactions = tuple(one for one in message.reactions if one is not taken)
                del self.reactions[taken.id]
                self.touch(message.chat_id)
            return taken

    def add_chat(
        self,
        others: Sequence[str],
        *,
        ours: Sequence[str] | None = None,
        service: Service = "iMessage",
        name: str | None = None,
        joined_at: datetime | None = None,
        chat_id: int | None = None,
    ) -> Chat:
        """A chat of other parties (numbers or e-mail addresses) with ours: our first number unless named."""
        with self.lock:
            ours = list(ours) if ours else [self.listed_numbers()[0].phone_number]
            joined_at = self._instant(joined_at)
            handles = [ChatHandle(self.new_id("handle"), number, service, joined_at) for number in (*others, *ours)]
            number = self.claim_id("chat", chat_id)
            chat = Chat(number, service, ours, handles, is_group=len(others) > 1, name=name)
            self.chats[chat.id] = chat
            self.touch(chat.id)
            self._relist()
            return chat

    def remove_chat(self, chat_id: int) -> None:
        """A chat is gone for good, with all it holds."""
        with self.lock:
            chat = self.chats.pop(chat_id)
            for message in chat.messages:
                del self.messages[message.id]
                for reaction in message.reactions:
                    del self.reactions[reaction.id]
            self._relist()

    def hide_chat(self, chat_id: int) -> None:
        """Linq shows a chat no more: not listed, 404 when asked for; its history is kept."""
        with self.lock:
            self.chats[chat_id].hidden = True
            self._relist()

    def show_chat(self, chat_id: int) -> None:
        """A hidden chat becomes visible, with its whole history at once."""
        with self.lock:
            self.chats[chat_id].hidden = False
            self._relist()

    def rename_chat(self, chat_id: int, name: str | None) -> None:
        """Give a chat a name; None makes it its participants' names again."""
        with self.lock:
            self.chats[chat_id].name = name

    def join(self, chat_id: int, phone_number: str, *, joined_at: datetime | None = None) -> ChatHandle:
        """A party comes into a chat, which is a group from the second other party on."""
        with self.lock:
            chat = self.chats[chat_id]
            instant = self._instant(joined_at)
            handle = ChatHandle(self.new_id("handle"), phone_number, chat.service, instant)
            chat.handles.append(handle)
            chat.is_group = chat.is_group or len(chat.others) > 1
            self._emit("participant.added", events.participant, chat, handle, instant)
            return handle

    def leave(self, chat_id: int, handle_id: int) -> None:
        """A participant leaves a chat; its messages stay and still name the handle."""
        with self.lock:
            chat = self.chats[chat_id]
            gone = next(handle for handle in chat.handles if handle.id == handle_id)
            chat.handles.remove(gone)
            self._emit("participant.removed", events.participant, chat, gone, self.clock())

    def typing(self, chat_id: int, *, display: bool = True) -> None:
        """The other side starts or stops typing: an event and nothing that can be listed."""
        with self.lock:
            event_type = "typing_indicator.received" if display else "typing_indicator.removed"
            self._emit(event_type, events.typing, self.chats[chat_id], display, self.clock())

    def _handle_of(self, chat: Chat, phone_number: str) -> ChatHandle:
        for handle in chat.handles:
            if handle.phone_number == phone_number:
                return handle
        # A party that has left, or another of our numbers: Linq must have known it once.
        return replace(chat.handles[0], id=self.new_id("handle"), phone_number=phone_number)
