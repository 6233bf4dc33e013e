"""The views computed anew in plain Python, from rows of the base tables: what the SQL must agree with."""

from datetime import datetime

from tests.views_oracle.basics import Row, Rows
from tests.views_oracle.counts import (
    call_summary,
    contact_engagement,
    delivery_health,
    reaction_summary,
    sms_risk,
    sync_health,
)
from tests.views_oracle.turns import (
    conversations,
    live_messages,
    number_scorecard,
    replies,
    response_rates_daily,
    turns,
)

__all__ = ["Row", "Rows", "views"]


def views(rows: Rows, now: datetime) -> Rows:
    """The rows of each view, in any order, as they must be at `now`."""
    messages = live_messages(rows)
    runs = turns(messages)
    answered = replies(runs)
    return {
        "live_messages": messages,
        "turns": runs,
        "replies": answered,
        "response_rates_daily": response_rates_daily(answered, now),
        "conversations": conversations(answered, rows),
        "number_scorecard": number_scorecard(rows, messages, answered, now),
        "delivery_health": delivery_health(messages),
        "sms_risk": sms_risk(messages),
        "reaction_summary": reaction_summary(rows, messages),
        "contact_engagement": contact_engagement(rows, messages),
        "call_summary": call_summary(rows),
        "sync_health": sync_health(rows),
    }
