"""The SQL of the report: sums by UTC day, number and service, from temporary copies of the views."""

COPIED = ("live_messages", "turns", "replies", "response_rates_daily", "delivery_health", "sms_risk", "conversations")
"""Views that several queries read; each is worked out once, from those before it."""

RATIO = 0.005
"""Reply times are counted in steps of half a percent: no time is more than 0.25 % away from its step."""

WAITING_SHOWN, WAITING_SHOWN_BY_NUMBER = 100, 25

NUMBERS = """
select
  cast(row_number() over (order by max(n.user__name) nulls last, k.phone_number nulls last) - 1 as integer) as number,
  k.phone_number,
  first(n.user__name order by n.deleted_at is null desc, n.id desc) as user_name
from (
  select phone_number from {phone_numbers} where deleted_at is null
  union select phone_number from {chat_phone_numbers}
  union select phone_number from {live_messages}
) as k
left join {phone_numbers} as n on n.phone_number = k.phone_number
group by k.phone_number
"""

SERVICES = """
select cast(row_number() over (order by name) - 1 as integer) as service, name
from (select distinct coalesce(service, 'unknown') as name from {live_messages})
"""

_DAY = "cast(epoch_ms(cast({0} as timestamp)) // 86400000 as integer)"
_DAY_OF = _DAY.format("cast({0} at time zone 'UTC' as date)")

_RATES = """
  select day, phone_number, service,
    turns as {side}_turns, replied as {side}_replied, replied_1h as {side}_1h, replied_24h as {side}_24h,
    replied_72h as {side}_72h, pending_24h as {side}_pending
  from {{response_rates_daily}} where direction = '{direction}'
"""

_STEPS = """
  select cast(ended_at at time zone 'UTC' as date) as day, phone_number, service,
    count(case when reply_seconds <= 60 then 1 end) as {side}_1m,
    count(case when reply_seconds <= 300 then 1 end) as {side}_5m,
    count(case when reply_seconds <= 900 then 1 end) as {side}_15m,
    count(case when reply_seconds <= 14400 then 1 end) as {side}_4h
  from {{replies}} where direction = '{direction}' and not is_group
  group by all
"""

SIDES = {"our": "inbound", "their": "outbound"}
"""Whose answers: ours end the turns that came in."""

COUNTS = (
    "received", "sent",
    *(f"{side}_{what}" for side in SIDES
      for what in ("turns", "replied", "pending", "1m", "5m", "15m", "1h", "4h", "24h", "72h")),
    "delivered", "pending", "unavailable", "paused", "other", "unknown",
)  # fmt: skip

FACTS = f"""
select {_DAY.format("day")} as day, n.number, s.service,
  {", ".join(f"cast(coalesce(sum({name}), 0) as bigint) as {name}" for name in COUNTS)}
from (
  select cast(sent_at at time zone 'UTC' as date) as day, phone_number, service,
    count(case when direction = 'inbound' then 1 end) as received,
    count(case when direction = 'outbound' then 1 end) as sent
  from {{live_messages}} group by all
  union all by name {
    " union all by name ".join(
        sql.format(side=side, direction=direction) for side, direction in SIDES.items() for sql in (_RATES, _STEPS)
    )
}
  union all by name
  select day, phone_number, service, delivered, pending, failed_service_unavailable as unavailable,
    failed_paused as paused, failed_other as other, unknown
  from {{delivery_health}}
) as f
join {{numbers}} as n on n.phone_number is not distinct from f.phone_number
join {{services}} as s on s.name = coalesce(f.service, 'unknown')
group by all
order by all
"""  # noqa: S608  # names of our own

REPLIES = f"""
select day, number, is_ours, list(step order by step) as steps
from (
  select {_DAY_OF.format("r.ended_at")} as day, n.number, r.direction = 'inbound' as is_ours,
    cast(round(ln(1 + r.reply_seconds) / {RATIO}) as integer) as step
  from {{replies}} as r
  join {{numbers}} as n on n.phone_number is not distinct from r.phone_number
  where not r.is_group and r.reply_seconds is not null
) as t
group by all
order by day, number, is_ours
"""  # noqa: S608  # names of our own

_HOURS = (
    _DAY_OF
    + " as day, phone_number, cast(extract(hour from {0} at time zone 'UTC') as integer) as hour, count(*) as n"
)

HOURS = f"""
select day, number, is_answer, list(hour order by hour) as hours, list(h.n order by hour) as counts
from (
  select {_HOURS.format("sent_at")}, false as is_answer
  from {{live_messages}} where direction = 'inbound' group by all
  union all by name
  select {_HOURS.format("replied_at")}, true as is_answer
  from {{replies}} where direction = 'inbound' and replied_at is not null group by all
) as h
join {{numbers}} as n on n.phone_number is not distinct from h.phone_number
group by day, number, is_answer
order by day, number, is_answer
"""  # noqa: S608  # names of our own

SMS = f"""
select {_DAY.format("day")} as day, n.number, s.messages, s.segments, s.ucs2_messages, s.over_160, s.many_urls,
  s.shortened_urls, s.messages_5d
from {{sms_risk}} as s
join {{numbers}} as n on n.phone_number is not distinct from s.phone_number
order by 1, 2
"""  # noqa: S608  # names of our own

WAITING = f"""
with waiting as (
  select c.*, n.number
  from {{conversations}} as c
  join {{numbers}} as n on n.phone_number is not distinct from c.phone_number
  where c.waiting_on = 'us'
  qualify row_number() over (order by c.waiting_since, c.chat_id) <= {WAITING_SHOWN}
    or row_number() over (partition by n.number order by c.waiting_since, c.chat_id) <= {WAITING_SHOWN_BY_NUMBER}
),
people as (
  select h.chat_id, count(*) as people, min(h.phone_number) as handle
  from {{chat_handles}} as h
  where h.chat_id in (select chat_id from waiting)
    and h.phone_number not in (select phone_number from {{numbers}} where phone_number is not null)
  group by h.chat_id
)
select w.chat_id, w.number, w.service, w.is_group, w.display_name, p.people, p.handle, w.messages,
  cast(epoch_ms(w.waiting_since) as bigint) as since,
  t.text
from waiting as w
left join {{replies}} as r on r.chat_id = w.chat_id and r.replied_at is null
left join {{live_messages}} as t on t.id = r.last_message_id
left join people as p on p.chat_id = w.chat_id
order by since, w.chat_id
"""  # noqa: S608  # names of our own

WAITING_COUNTS = """
select n.number,
  count(case when c.waiting_since > $now - interval '1 hour' then 1 end) as hour,
  count(case when c.waiting_since <= $now - interval '1 hour' and c.waiting_since > $now - interval '24 hours'
    then 1 end) as day,
  count(case when c.waiting_since <= $now - interval '24 hours' and c.waiting_since > $now - interval '7 days'
    then 1 end) as week,
  count(case when c.waiting_since <= $now - interval '7 days' then 1 end) as older
from {conversations} as c
join {numbers} as n on n.phone_number is not distinct from c.phone_number
where c.waiting_on = 'us'
group by n.number
order by n.number
"""

SYNC = """
select n.number, s.status, count(*) as chats, cast(sum(s.stored) as bigint) as stored,
  cast(coalesce(sum(case when s.status <> 'complete' then s.missing end), 0) as bigint) as missing,
  cast(epoch_ms(max(s.synced_at)) as bigint) as synced_at
from {sync_health} as s
join {numbers} as n on n.phone_number is not distinct from s.phone_number
group by n.number, s.status
order by n.number, s.status
"""

LOADED_AT = "select cast(epoch_ms(max(inserted_at)) as bigint) from {_dlt_loads} where status = 0"

REJECTED = "select count(*) from {rejected_rows}"
