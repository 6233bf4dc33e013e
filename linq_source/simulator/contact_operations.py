"""The operations on contacts (vendor's page "Contacts")."""

from typing import Any

from .call import Call, reply
from .entities import Contact, User
from .numbers import is_email, leniently_normalized
from .replies import RefusedError, Response

_NAMING = ("first_name", "last_name", "email", "phone_number")
_WRITABLE = (*_NAMING, "company", "title", "location")


def list_contacts(call: Call) -> Response:
    """`GET /contacts`: all of the organisation, by id; there is no filter."""
    paging = call.paging()
    ids = sorted(call.world.contacts)
    rows = [call.render.contact(call.world.contacts[number]) for number in paging.cut(ids)]
    return reply(paging.envelope("contacts", rows, len(ids), call.render.quirks))


def create_contact(call: Call) -> Response:
    """`POST /contacts`: owned by the first user unless `user_email` names another."""
    values, owner = _values(call)
    contact = call.world.add_contact(contact_owner=owner or next(iter(call.world.users.values())), **values)
    return reply({"data": call.render.contact(contact)}, 201)


def get_contact(call: Call) -> Response:
    """`GET /contacts/{id}`."""
    return reply({"data": call.render.contact(_contact(call))})


def update_contact(call: Call) -> Response:
    """`PUT` and `PATCH /contacts/{id}`: only the fields given change."""
    contact = _contact(call)
    values, owner = _values(call)
    if owner is not None:
        values["contact_owner"] = owner
    return reply({"data": call.render.contact(call.world.update_contact(contact.id, **values))})


def delete_contact(call: Call) -> Response:
    """`DELETE /contacts/{id}`."""
    call.world.delete_contact(_contact(call).id)
    return Response(204)


def find_contact(call: Call) -> Response:
    """`GET /contacts/find`: the bare contact, or `{"contact": null}`."""
    query = call.request.query
    email, phone_text = query.get("email"), query.get("phone_number")
    if not email and not phone_text:
        raise RefusedError(400, "email or phone_number is required")
    phone_number = leniently_normalized(phone_text) if phone_text else None
    if (email and not is_email(email)) or (phone_text and phone_number is None):
        raise RefusedError(422, "email or phone_number is invalid")
    contact = call.world.find_contact(email=email, phone_number=phone_number)
    return reply({"contact": None} if contact is None else call.render.contact(contact))


def _contact(call: Call) -> Contact:
    contact = call.world.contacts.get(call.ids[0])
    if contact is None:
        raise RefusedError(404, "Contact not found")
    return contact


def _values(call: Call) -> tuple[dict[str, Any], User | None]:
    """The fields to write and the owner named, if any."""
    fields = call.fields()
    given = fields.get("contact")
    if not isinstance(given, dict):
        raise RefusedError(422, "contact is required")
    values = {name: given[name] for name in _WRITABLE if name in given}
    if not any(values.get(name) for name in _NAMING):
        raise RefusedError(422, "One of first_name, last_name, email or phone_number is required")
    if not all(value is None or isinstance(value, str) for value in values.values()):
        raise RefusedError(422, "The fields of a contact are strings")
    values = {name: value or "" for name, value in values.items()}
    if values.get("email") and not is_email(values["email"]):
        raise RefusedError(422, "email is invalid")
    if values.get("phone_number"):
        number = leniently_normalized(values["phone_number"])
        if number is None:
            raise RefusedError(422, "phone_number is invalid")
        values["phone_number"] = number
    return values, _owner(call, fields.get("user_email") or given.get("user_email"))


def _owner(call: Call, user_email: object) -> User | None:
    if not user_email:
        return None
    for user in call.world.users.values():
        if user.email == user_email:
            return user
    raise RefusedError(422, "User not found")
