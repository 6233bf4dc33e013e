-- Every message that Linq lists now and that has a time, with what its chat says of it; the other views begin here.
-- A chat's own number is the one of ours that it is listed under; of several the lowest.
-- Messages of a chat that is gone are left out, as are those never handed over (no sent_at). A chat of which Linq does
-- not say whether it is a group counts as none.
select
  m.id,
  m.chat_id,
  n.phone_number,
  c.service,
  coalesce(c.is_group, false) as is_group,
  m.direction,
  m.sent_at,
  m.delivered_at,
  m.delivery_status,
  m.text,
  m.sent_from
from {messages} as m
join {chats} as c on c.id = m.chat_id
left join (
  select chat_id, min(phone_number) as phone_number
  from {chat_phone_numbers}
  group by chat_id
) as n on n.chat_id = m.chat_id
where m.deleted_at is null and c.deleted_at is null and m.sent_at is not null
