"""What can happen to numbers, contacts and webhook subscriptions."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from . import events
from .entities import EVENT_TYPES, Contact, PhoneNumber, User, WebhookSubscription
from .store import Store


class Directory(Store):
    """The mutations of the account around the chats; each takes the lock and reports its event."""

    def add_user(self, first_name: str, last_name: str, email: str | None = None) -> User:
        """A person of the organisation."""
        with self.lock:
            address = email or f"{first_name}.{last_name}@example.com".lower()
            user = User(self.new_id("user", 3), first_name, last_name, address)
            self.users[user.id] = user
            return user

    def add_number(
        self, phone_number: str, *, user: User | None = None, forwarding_number: str | None = None
    ) -> PhoneNumber:
        """The organisation gets a number, owned by its first user unless one is named."""
        with self.lock:
            owner = user or next(iter(self.users.values()))
            number = PhoneNumber(self.new_id("phone_number", 2), phone_number, owner, forwarding_number)
            self.phone_numbers[phone_number] = number
            self._relist()
            return number

    def release_number(self, phone_number: str) -> None:
        """The organisation gives a number up: listed no more, 403 when its chats are asked for."""
        with self.lock:
            self.phone_numbers[phone_number].released = True

    def restore_number(self, phone_number: str) -> None:
        """A released number comes back, with its chats."""
        with self.lock:
            self.phone_numbers[phone_number].released = False

    def add_contact(self, *, contact_owner: User | None = None, **fields: Any) -> Contact:
        """A new contact of the given fields (`first_name`, `email`, `created_at`, ...)."""
        with self.lock:
            now = self._instant(fields.pop("created_at", None))
            updated_at = self._instant(fields.pop("updated_at", now))
            contact_id = self.claim_id("contact", fields.pop("contact_id", None))
            contact = Contact(contact_id, now, updated_at, contact_owner=contact_owner, **fields)
            self.contacts[contact.id] = contact
            self._rename()
            self._emit("contact.created", events.contact, contact)
            return contact

    def update_contact(self, contact_id: int, *, bump: bool = True, **fields: Any) -> Contact:
        """Change fields of a contact; `bump` False leaves `updated_at` as it was."""
        with self.lock:
            contact = self.contacts[contact_id]
            for name, value in fields.items():
                setattr(contact, name, value)
            if bump and "updated_at" not in fields:
                # Two changes in one second must still differ where times are shown in seconds.
                contact.updated_at = max(self.clock(), contact.updated_at + timedelta(seconds=1))
            self._rename()
            self._emit("contact.updated", events.contact, contact)
            return contact

    def delete_contact(self, contact_id: int) -> Contact:
        """A contact is listed no more."""
        with self.lock:
            contact = self.contacts.pop(contact_id)
            self.deleted_contacts[contact_id] = contact
            self._rename()
            self._emit("contact.deleted", events.contact_deleted, contact)
            return contact

    def restore_contact(self, contact_id: int) -> Contact:
        """A deleted contact comes back as it was, `updated_at` included."""
        with self.lock:
            contact = self.deleted_contacts.pop(contact_id)
            self.contacts[contact_id] = contact
            self.contacts = dict(sorted(self.contacts.items()))
            self._rename()
            return contact

    def find_contact(self, *, email: str | None = None, phone_number: str | None = None) -> Contact | None:
        """The first contact that matches either."""
        for contact in self.contacts.values():
            if (email and contact.email.lower() == email.lower()) or (
                phone_number and contact.phone_number == phone_number
            ):
                return contact
        return None

    def add_webhook_subscription(
        self,
        webhook_url: str,
        events: Sequence[str] = EVENT_TYPES,
        *,
        version: int = 2,
        secret: str | None = None,
        active: bool = True,
    ) -> WebhookSubscription:
        """Somewhere to post events to; the same URL twice is two subscriptions, as Linq warns."""
        with self.lock:
            now = self.clock()
            number = self.new_id("subscription")
            subscription = WebhookSubscription(number, webhook_url, list(events), now, now, version, active, secret)
            self.webhook_subscriptions[number] = subscription
            return subscription

    def update_webhook_subscription(self, subscription_id: int, **fields: Any) -> WebhookSubscription:
        """Change fields of a subscription and its `updated_at`."""
        with self.lock:
            subscription = self.webhook_subscriptions[subscription_id]
            for name, value in fields.items():
                setattr(subscription, name, value)
            subscription.updated_at = self.clock()
            return subscription

    def delete_webhook_subscription(self, subscription_id: int) -> None:
        """A subscription is gone."""
        with self.lock:
            del self.webhook_subscriptions[subscription_id]

    def complete_call(self, fields: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """A call ended: an event and nothing that can be listed.

        Takes the fields of the vendor's example (`from` and `id` by the mapping, since one is a Python
        keyword), instants as datetimes, and returns the whole call.
        """
        with self.lock:
            now: datetime = self.clock()
            ours = self.listed_numbers()[0].phone_number
            call: dict[str, Any] = {
                "id": str(self.new_id("call")),
                "to": ours,
                "from": "+12125550199",
                "status": "completed",
                "direction": "inbound",
                "start_time": now - timedelta(seconds=330),
                "end_time": now,
                "duration": 330,
                "call_type": "normal",
                "forwarded_from": None,
                "answered_by": ours,
                "voicemail": False,
                "has_recording": False,
                "recording_data": None,
            }
            call.update(fields or {}, **more)
            self._emit("call.completed", events.call, call)
            return call
