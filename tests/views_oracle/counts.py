"""The views beside the turns: delivery, SMS, reactions, contacts, calls, syncs."""

from datetime import timedelta

from tests.views_oracle import sms
from tests.views_oracle.basics import Row, Rows, grouped, quantile, ratio, seconds_between, utc_day

FAILURES = ("service_unavailable", "paused")


def delivery_health(messages: list[Row]) -> list[Row]:
    sent = [row for row in messages if row["direction"] == "outbound"]
    found = []
    for (day, number, service), rows in grouped(
        sent, lambda row: (utc_day(row["sent_at"]), row["phone_number"], row["service"])
    ).items():
        statuses = [row["delivery_status"] for row in rows]
        known = ("delivered", "pending", *FAILURES, None)
        delays = [seconds_between(row["sent_at"], row["delivered_at"]) for row in rows if row["delivered_at"]]
        found.append(
            {
                "day": day,
                "phone_number": number,
                "service": service,
                "sent": len(rows),
                "delivered": statuses.count("delivered"),
                "pending": statuses.count("pending"),
                **{f"failed_{status}": statuses.count(status) for status in FAILURES},
                "failed_other": sum(status not in known for status in statuses),
                "unknown": statuses.count(None),
                "median_delay_seconds": quantile(delays, 0.5),
                "p90_delay_seconds": quantile(delays, 0.9),
            }
        )
    return found


def sms_risk(messages: list[Row]) -> list[Row]:
    sent = [row for row in messages if row["direction"] == "outbound" and row["service"] == "SMS"]
    days = grouped(sent, lambda row: (utc_day(row["sent_at"]), row["phone_number"]))
    found = []
    for (day, number), rows in days.items():
        texts = [row["text"] or "" for row in rows]
        long = sum(len(text) > 160 for text in texts)
        around = sum(len(days.get((day - timedelta(days=back), number), ())) for back in range(5))
        found.append(
            {
                "day": day,
                "phone_number": number,
                "messages": len(texts),
                "segments": sum(map(sms.segments, texts)),
                "ucs2_messages": sum(not sms.is_gsm(text) for text in texts),
                "over_160": long,
                "share_over_160": ratio(long, len(texts)),
                "many_urls": sum(map(sms.has_many_urls, texts)),
                "shortened_urls": sum(map(sms.is_shortened, texts)),
                "messages_5d": around,
                "share_of_limit": around / 10_000,
            }
        )
    return found


def reaction_summary(rows: Rows, messages: list[Row]) -> list[Row]:
    by_id = {row["id"]: row for row in messages}
    standing = [row for row in rows["message_reactions"] if row["chat_message_id"] in by_id]
    found = []
    for (number, reaction, is_from_me), given in grouped(
        standing,
        lambda row: (by_id[row["chat_message_id"]]["phone_number"], row["reaction"], row["is_from_me"]),
    ).items():
        found.append(
            {
                "phone_number": number,
                "reaction": reaction,
                "is_from_me": is_from_me,
                "reactions": len(given),
                "messages": len({row["chat_message_id"] for row in given}),
                "chats": len({by_id[row["chat_message_id"]]["chat_id"] for row in given}),
                "newest_at": max((row["sent_at"] for row in given if row["sent_at"]), default=None),
            }
        )
    return found


def contact_engagement(rows: Rows, messages: list[Row]) -> list[Row]:
    ours = {(listing["chat_id"], listing["phone_number"]) for listing in rows["chat_phone_numbers"]}
    chats: dict[str, set[int]] = {}
    for handle in rows["chat_handles"]:
        number = handle["phone_number"]
        if number and "@" not in number and (handle["chat_id"], number) not in ours:
            chats.setdefault(_normal(number), set()).add(handle["chat_id"])
    found = []
    for contact in rows["contacts"]:
        if contact["deleted_at"] is not None:
            continue
        number = _normal(contact["phone_number"] or "")
        own = chats.get(number, set()) if number else set()
        theirs = [row for row in messages if row["chat_id"] in own and not row["is_group"]]
        times = {
            side: [row["sent_at"] for row in theirs if row["direction"] == side] for side in ("inbound", "outbound")
        }
        found.append(
            {
                "contact_id": contact["id"],
                "full_name": contact["full_name"],
                "company": contact["company"],
                "phone_number": contact["phone_number"],
                "chats": len({row["chat_id"] for row in theirs}),
                "messages": len(theirs),
                "received": len(times["inbound"]),
                "sent": len(times["outbound"]),
                "first_message_at": min((row["sent_at"] for row in theirs), default=None),
                "last_received_at": max(times["inbound"], default=None),
                "last_sent_at": max(times["outbound"], default=None),
            }
        )
    return found


def _normal(number: str) -> str:
    digits = "".join(character for character in number if character in "0123456789")
    return f"1{digits}" if len(digits) == 10 and "+" not in number else digits


def call_summary(rows: Rows) -> list[Row]:
    found = []
    for (day, number, direction), calls in grouped(
        rows["calls"],
        lambda row: (
            row["start_time"] and utc_day(row["start_time"]),
            row["to_phone" if row["direction"] == "inbound" else "from_phone"],
            row["direction"],
        ),
    ).items():
        lengths = [row["duration"] for row in calls if row["duration"] is not None]
        found.append(
            {
                "day": day,
                "phone_number": number,
                "direction": direction,
                "calls": len(calls),
                "answered": sum(row["answered_by"] is not None and not row["voicemail"] for row in calls),
                "voicemail": sum(bool(row["voicemail"]) for row in calls),
                "recorded": sum(bool(row["has_recording"]) for row in calls),
                "total_seconds": sum(lengths) if lengths else None,
                "mean_seconds": sum(lengths) / len(lengths) if lengths else None,
            }
        )
    return found


def sync_health(rows: Rows) -> list[Row]:
    syncs = {row["chat_id"]: row for row in rows["chat_syncs"]}
    found = []
    for chat in rows["chats"]:
        if chat["deleted_at"] is not None:
            continue
        stored = sum(row["chat_id"] == chat["id"] and row["deleted_at"] is None for row in rows["messages"])
        sync, count = syncs.get(chat["id"]), chat["message_count"]
        if sync is None:
            status = "never read"
        elif sync["listing_hash"] is None:
            status = "unfinished"
        else:
            status = "complete" if count in (None, stored) else "differs"
        told = {
            "chat_id": chat["id"],
            "linq_count": count,
            "stored": stored,
            "missing": None if count is None else count - stored,
            "synced_at": sync and sync["synced_at"],
            "read_whole_at": sync and sync["read_whole_at"],
            "status": status,
        }
        numbers = [row["phone_number"] for row in rows["chat_phone_numbers"] if row["chat_id"] == chat["id"]]
        found += [{"phone_number": number, **told} for number in numbers or [None]]
    return found
