-- Each contact with what was written with them, in one-to-one chats. Contacts and participants are matched by their
-- numbers without punctuation; ten digits without a + are taken for a number of the United States (+1), as Linq does.
-- Our own number is a participant of our chats, and no contact's.
select
  c.id as contact_id,
  c.full_name,
  c.company,
  c.phone_number,
  count(distinct m.chat_id) as chats,
  count(m.id) as messages,
  count(case when m.direction = 'inbound' then 1 end) as received,
  count(case when m.direction = 'outbound' then 1 end) as sent,
  min(m.sent_at) as first_message_at,
  max(case when m.direction = 'inbound' then m.sent_at end) as last_received_at,
  max(case when m.direction = 'outbound' then m.sent_at end) as last_sent_at
from (
  select
    k.*,
    case when length(k.digits) = 10 and k.phone_number not like '%+%' then '1' || k.digits else k.digits end
      as normal_number
  from (select o.*, regexp_replace(o.phone_number, '[^0-9]', '', 'g') as digits from {contacts} as o) as k
  where k.deleted_at is null
) as c
left join (
  select distinct
    h.chat_id,
    case when length(h.digits) = 10 and h.phone_number not like '%+%' then '1' || h.digits else h.digits end
      as normal_number
  from (
    select p.chat_id, p.phone_number, regexp_replace(p.phone_number, '[^0-9]', '', 'g') as digits
    from {chat_handles} as p
    left join {chat_phone_numbers} as u on u.chat_id = p.chat_id and u.phone_number = p.phone_number
    where p.phone_number not like '%@%' and u.chat_id is null
  ) as h
  where h.digits <> ''
) as w on w.normal_number = c.normal_number
left join {live_messages} as m on m.chat_id = w.chat_id and not m.is_group
group by c.id, c.full_name, c.company, c.phone_number
