"""Turns, replies and what is counted of them."""

from collections import defaultdict
from datetime import UTC, datetime
from itertools import groupby

from tests.views_oracle.basics import (
    Row,
    Rows,
    era_of,
    grouped,
    is_pending,
    quantile,
    ratio,
    seconds_between,
    utc_day,
)


def live_messages(rows: Rows) -> list[Row]:
    chats = {chat["id"]: chat for chat in rows["chats"] if chat["deleted_at"] is None}
    ours: dict[int, list[str]] = defaultdict(list)
    for listing in rows["chat_phone_numbers"]:
        ours[listing["chat_id"]].append(listing["phone_number"])
    return [
        {
            "id": message["id"],
            "chat_id": message["chat_id"],
            "phone_number": min(ours[message["chat_id"]], default=None),
            "service": chats[message["chat_id"]]["service"],
            "is_group": bool(chats[message["chat_id"]]["is_group"]),
            "direction": message["direction"],
            "sent_at": message["sent_at"],
            "delivered_at": message["delivered_at"],
            "delivery_status": message["delivery_status"],
            "text": message["text"],
            "sent_from": message["sent_from"],
        }
        for message in rows["messages"]
        if message["deleted_at"] is None and message["sent_at"] is not None and message["chat_id"] in chats
    ]


def turns(messages: list[Row]) -> list[Row]:
    runs: list[Row] = []
    for chat_id, in_chat in grouped(messages, lambda row: row["chat_id"]).items():
        ordered = sorted(in_chat, key=lambda row: (row["sent_at"], row["id"]))
        for number, (direction, found) in enumerate(groupby(ordered, key=lambda row: row["direction"]), 1):
            run = list(found)
            runs.append(
                {
                    "chat_id": chat_id,
                    "turn_number": number,
                    "direction": direction,
                    "phone_number": run[0]["phone_number"],
                    "service": run[0]["service"],
                    "is_group": run[0]["is_group"],
                    "started_at": run[0]["sent_at"],
                    "ended_at": run[-1]["sent_at"],
                    "message_count": len(run),
                    "first_message_id": run[0]["id"],
                    "last_message_id": run[-1]["id"],
                }
            )
    return runs


def replies(runs: list[Row]) -> list[Row]:
    starts = {(run["chat_id"], run["turn_number"]): run["started_at"] for run in runs}
    answered = []
    for run in runs:
        start = starts.get((run["chat_id"], run["turn_number"] + 1))
        seconds = None if start is None else seconds_between(run["ended_at"], start)
        answered.append({**run, "replied_at": start, "reply_seconds": seconds})
    return answered


def response_rates_daily(answered: list[Row], now: datetime) -> list[Row]:
    found = []
    alone = [row for row in answered if not row["is_group"]]
    names = ("phone_number", "service", "direction")
    for (day, *key), rows in grouped(
        alone, lambda row: (utc_day(row["ended_at"]), *(row[name] for name in names))
    ).items():
        waits = [row["reply_seconds"] for row in rows if row["replied_at"] is not None]
        pending = sum(is_pending(row, now) for row in rows)
        in_time = sum(wait <= 86_400 for wait in waits)
        found.append(
            {
                "day": day,
                **dict(zip(names, key, strict=True)),
                "turns": len(rows),
                "replied": len(waits),
                "replied_1h": sum(wait <= 3_600 for wait in waits),
                "replied_24h": in_time,
                "replied_72h": sum(wait <= 259_200 for wait in waits),
                "pending_24h": pending,
                "response_rate_24h": ratio(in_time, len(rows) - pending),
                "median_reply_seconds": quantile(waits, 0.5),
                "p90_reply_seconds": quantile(waits, 0.9),
            }
        )
    return found


def conversations(answered: list[Row], rows: Rows) -> list[Row]:
    names = {chat["id"]: chat["display_name"] for chat in rows["chats"]}
    found = []
    for chat_id, unordered in grouped(answered, lambda row: row["chat_id"]).items():
        runs = sorted(unordered, key=lambda row: row["turn_number"])
        first, last = runs[0], runs[-1]
        waits = {
            side: [row["reply_seconds"] for row in runs[:-1] if row["direction"] == side]
            for side in ("inbound", "outbound")
        }
        found.append(
            {
                "chat_id": chat_id,
                "display_name": names[chat_id],
                "phone_number": first["phone_number"],
                "service": first["service"],
                "is_group": first["is_group"],
                "first_message_at": first["started_at"],
                "last_message_at": last["ended_at"],
                "messages": sum(run["message_count"] for run in runs),
                "turns": len(runs),
                "began": first["direction"],
                "our_median_reply_seconds": quantile(waits["inbound"], 0.5),
                "their_median_reply_seconds": quantile(waits["outbound"], 0.5),
                "waiting_on": "us" if last["direction"] == "inbound" else "them",
                "waiting_since": last["ended_at"],
            }
        )
    return found


def number_scorecard(rows: Rows, messages: list[Row], answered: list[Row], now: datetime) -> list[Row]:
    found = []
    for number in rows["phone_numbers"]:
        if number["deleted_at"] is not None:
            continue
        mine = number["phone_number"]
        volumes = {(side, era): 0 for side in ("outbound", "inbound") for era in (0, 1)}
        hours = [0] * 24
        for row in messages:
            age = era_of(row["sent_at"], now)
            if row["phone_number"] == mine and age is not None:
                volumes[row["direction"], age] += 1
                hours[row["sent_at"].astimezone(UTC).hour] += row["direction"] == "inbound" and age == 0
        runs = [row for row in answered if row["phone_number"] == mine and not row["is_group"]]
        rates = {}
        for side, era in volumes:
            those = [row for row in runs if row["direction"] == side and era_of(row["ended_at"], now) == era]
            hits = [row for row in those if row["replied_at"] is not None and row["reply_seconds"] <= 86_400]
            rates[side, era] = ratio(len(hits), sum(not is_pending(row, now) for row in those))
        waits = [
            row["reply_seconds"]
            for row in runs
            if row["direction"] == "inbound" and row["replied_at"] is not None and era_of(row["ended_at"], now) == 0
        ]
        found.append(
            {
                "phone_number": mine,
                "user__name": number["user__name"],
                "user__email": number["user__email"],
                "sent_30d": volumes["outbound", 0],
                "received_30d": volumes["inbound", 0],
                "sent_before": volumes["outbound", 1],
                "received_before": volumes["inbound", 1],
                "our_rate_30d": rates["inbound", 0],
                "our_rate_before": rates["inbound", 1],
                "their_rate_30d": rates["outbound", 0],
                "their_rate_before": rates["outbound", 1],
                "p50_first_reply_seconds": quantile(waits, 0.5),
                "p90_first_reply_seconds": quantile(waits, 0.9),
                "busiest_hour": hours.index(max(hours)) if any(hours) else None,
            }
        )
    return found
