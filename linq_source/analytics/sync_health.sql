-- For each chat and each of our numbers that lists it: does what is stored agree with Linq's count?
-- status: 'complete'; 'differs' where Linq's count and its own list disagreed when the chat was last read (or rows went
-- since); 'unfinished' where a reading was cut short; 'never read'. Where Linq gives no count, nothing can be missing.
-- Under --start-date all differ by what it leaves out.
select
  p.phone_number,
  c.id as chat_id,
  c.message_count as linq_count,
  coalesce(m.stored, 0) as stored,
  c.message_count - coalesce(m.stored, 0) as missing,
  s.synced_at,
  s.read_whole_at,
  case
    when s.chat_id is null then 'never read'
    when s.listing_hash is null then 'unfinished'
    when c.message_count is null or c.message_count = coalesce(m.stored, 0) then 'complete'
    else 'differs'
  end as status
from {chats} as c
left join {chat_phone_numbers} as p on p.chat_id = c.id
left join {chat_syncs} as s on s.chat_id = c.id
left join (
  select chat_id, count(*) as stored from {messages} where deleted_at is null group by chat_id
) as m on m.chat_id = c.id
where c.deleted_at is null
