-- Runs of messages of one direction in a chat, in the order of sent_at, then id. Times are those that Linq gives:
-- a phone with a wrong clock moves its messages among the others.
select
  chat_id,
  turn_number,
  min(direction) as direction,
  min(phone_number) as phone_number,
  min(service) as service,
  min(case when is_group then 1 else 0 end) = 1 as is_group,
  min(sent_at) as started_at,
  max(sent_at) as ended_at,
  count(*) as message_count,
  max(case when is_first = 1 then id end) as first_message_id,
  max(case when is_last = 1 then id end) as last_message_id
from (
  select
    e.*,
    cast(sum(e.is_first) over (
      partition by e.chat_id order by e.sent_at, e.id rows between unbounded preceding and current row
    ) as bigint) as turn_number
  from (
    select
      l.*,
      case when lag(l.direction) over (partition by l.chat_id order by l.sent_at, l.id) = l.direction
        then 0 else 1 end as is_first,
      case when lead(l.direction) over (partition by l.chat_id order by l.sent_at, l.id) = l.direction
        then 0 else 1 end as is_last
    from {live_messages} as l
  ) as e
) as t
group by chat_id, turn_number
