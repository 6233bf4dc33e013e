-- How often and how fast turns were answered, by UTC day of the turn's end, one-to-one chats only.
-- direction is the turn's own: `inbound` rows tell how we answer them, `outbound` rows how they answer us.
-- A turn without an answer is a miss only after 24 hours; until then it is pending. Of the answers, the rate counts
-- those within 24 hours. Quantiles are interpolated.
select
  r.ended_on as day,
  r.phone_number,
  r.service,
  r.direction,
  count(*) as turns,
  count(r.replied_at) as replied,
  count(case when r.reply_seconds <= 3600 then 1 end) as replied_1h,
  count(case when r.reply_seconds <= 86400 then 1 end) as replied_24h,
  count(case when r.reply_seconds <= 259200 then 1 end) as replied_72h,
  count(case when r.is_pending = 1 then 1 end) as pending_24h,
  cast(count(case when r.reply_seconds <= 86400 then 1 end) as double)
    / nullif(count(*) - count(case when r.is_pending = 1 then 1 end), 0) as response_rate_24h,
  percentile_cont(0.5) within group (order by r.reply_seconds) as median_reply_seconds,
  percentile_cont(0.9) within group (order by r.reply_seconds) as p90_reply_seconds
from (
  select
    a.*,
    cast(a.ended_at at time zone 'UTC' as date) as ended_on,
    case when a.replied_at is null and a.ended_at > current_timestamp - interval '24 hours' then 1 else 0 end
      as is_pending
  from {replies} as a
  where not a.is_group
) as r
group by r.ended_on, r.phone_number, r.service, r.direction
