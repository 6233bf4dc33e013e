-- Calls by UTC day of their start, our number and direction. Our number is who was called when it came in, else who called.
select
  c.day,
  c.phone_number,
  c.direction,
  count(*) as calls,
  count(case when c.answered_by is not null and not coalesce(c.voicemail, false) then 1 end) as answered,
  count(case when c.voicemail then 1 end) as voicemail,
  count(case when c.has_recording then 1 end) as recorded,
  sum(c.duration) as total_seconds,
  avg(c.duration) as mean_seconds
from (
  select
    k.*,
    cast(k.start_time at time zone 'UTC' as date) as day,
    case when k.direction = 'inbound' then k.to_phone else k.from_phone end as phone_number
  from {calls} as k
) as c
group by c.day, c.phone_number, c.direction
