-- Each of our numbers and its user: the last 30 days (of 24 hours, whatever the session's time zone) beside the 30
-- before, in one-to-one chats but for the volumes and the busiest hour.
-- Our rate is the share of their turns that we answered within 24 hours, of those that are decided (see
-- response_rates_daily); their rate the same of ours. First reply: from the end of their turn to our first message.
-- The busiest hour is the UTC hour of the day in which most messages came in during the last 30 days; the earlier of equals.
select
  n.phone_number,
  n.user__name,
  n.user__email,
  coalesce(v.sent_30d, 0) as sent_30d,
  coalesce(v.received_30d, 0) as received_30d,
  coalesce(v.sent_before, 0) as sent_before,
  coalesce(v.received_before, 0) as received_before,
  r.our_rate_30d,
  r.our_rate_before,
  r.their_rate_30d,
  r.their_rate_before,
  r.p50_first_reply_seconds,
  r.p90_first_reply_seconds,
  h.hour_of_day as busiest_hour
from {phone_numbers} as n
left join (
  select
    l.phone_number,
    count(case when l.direction = 'outbound' and l.is_recent = 1 then 1 end) as sent_30d,
    count(case when l.direction = 'inbound' and l.is_recent = 1 then 1 end) as received_30d,
    count(case when l.direction = 'outbound' and l.is_recent = 0 then 1 end) as sent_before,
    count(case when l.direction = 'inbound' and l.is_recent = 0 then 1 end) as received_before
  from (
    select
      m.phone_number,
      m.direction,
      case when m.sent_at > current_timestamp - interval '720 hours' then 1 else 0 end as is_recent
    from {live_messages} as m
    where m.sent_at > current_timestamp - interval '1440 hours'
  ) as l
  group by l.phone_number
) as v on v.phone_number = n.phone_number
left join (
  select
    t.phone_number,
    cast(sum(case when t.direction = 'inbound' and t.is_recent = 1 then t.is_hit end) as double)
      / nullif(sum(case when t.direction = 'inbound' and t.is_recent = 1 then t.is_decided end), 0) as our_rate_30d,
    cast(sum(case when t.direction = 'inbound' and t.is_recent = 0 then t.is_hit end) as double)
      / nullif(sum(case when t.direction = 'inbound' and t.is_recent = 0 then t.is_decided end), 0) as our_rate_before,
    cast(sum(case when t.direction = 'outbound' and t.is_recent = 1 then t.is_hit end) as double)
      / nullif(sum(case when t.direction = 'outbound' and t.is_recent = 1 then t.is_decided end), 0) as their_rate_30d,
    cast(sum(case when t.direction = 'outbound' and t.is_recent = 0 then t.is_hit end) as double)
      / nullif(sum(case when t.direction = 'outbound' and t.is_recent = 0 then t.is_decided end), 0)
      as their_rate_before,
    percentile_cont(0.5) within group (
      order by case when t.direction = 'inbound' and t.is_recent = 1 then t.reply_seconds end
    ) as p50_first_reply_seconds,
    percentile_cont(0.9) within group (
      order by case when t.direction = 'inbound' and t.is_recent = 1 then t.reply_seconds end
    ) as p90_first_reply_seconds
  from (
    select
      a.phone_number,
      a.direction,
      a.reply_seconds,
      case when a.ended_at > current_timestamp - interval '720 hours' then 1 else 0 end as is_recent,
      case when a.reply_seconds <= 86400 then 1 else 0 end as is_hit,
      case when a.replied_at is null and a.ended_at > current_timestamp - interval '24 hours' then 0 else 1 end
        as is_decided
    from {replies} as a
    where not a.is_group and a.ended_at > current_timestamp - interval '1440 hours'
  ) as t
  group by t.phone_number
) as r on r.phone_number = n.phone_number
left join (
  select
    w.phone_number,
    w.hour_of_day,
    row_number() over (partition by w.phone_number order by w.messages desc, w.hour_of_day) as place
  from (
    select
      m.phone_number,
      cast(extract(hour from m.sent_at at time zone 'UTC') as integer) as hour_of_day,
      count(*) as messages
    from {live_messages} as m
    where m.direction = 'inbound' and m.sent_at > current_timestamp - interval '720 hours'
    group by m.phone_number, cast(extract(hour from m.sent_at at time zone 'UTC') as integer)
  ) as w
) as h on h.phone_number = n.phone_number and h.place = 1
where n.deleted_at is null
