-- One row per chat that has messages: who began, how fast each side answers, and who waits for whom.
-- The side that wrote last waits for the other, since its last message. (waiting_on = 'us' is a customer without answer.)
select
  r.chat_id,
  min(c.display_name) as display_name,
  min(r.phone_number) as phone_number,
  min(r.service) as service,
  min(case when r.is_group then 1 else 0 end) = 1 as is_group,
  min(r.started_at) as first_message_at,
  max(r.ended_at) as last_message_at,
  cast(sum(r.message_count) as bigint) as messages,
  count(*) as turns,
  max(case when r.turn_number = 1 then r.direction end) as began,
  percentile_cont(0.5) within group (order by case when r.direction = 'inbound' then r.reply_seconds end)
    as our_median_reply_seconds,
  percentile_cont(0.5) within group (order by case when r.direction = 'outbound' then r.reply_seconds end)
    as their_median_reply_seconds,
  case max(case when r.replied_at is null then r.direction end) when 'inbound' then 'us' else 'them' end as waiting_on,
  max(case when r.replied_at is null then r.ended_at end) as waiting_since
from {replies} as r
join {chats} as c on c.id = r.chat_id
group by r.chat_id
