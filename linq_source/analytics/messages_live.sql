-- Every message: those that a sync has read, and those that only events have told of so far.
-- An event's message stands here until a sync that knew of the event has read its chat; from then on the row that
-- the sync read stands here alone, or none, where Linq no longer lists the message.
-- A reading counts only when its load was completed.
-- known_from says which it is: 'sync' or 'event'.
select
  m.id,
  m.chat_id,
  m.text,
  m.sent_at,
  m.delivered_at,
  m.delivery_status,
  m.edited_at,
  m.is_read,
  m.sent_from,
  m.chat_handle_id,
  m.direction,
  m.deleted_at,
  'sync' as known_from
from {messages} as m
union all
select
  t.message_id as id,
  t.chat_id,
  t.text,
  t.message_sent_at as sent_at,
  cast(null as timestamptz) as delivered_at,
  cast(null as varchar) as delivery_status,
  cast(null as timestamptz) as edited_at,
  t.is_read,
  t.sent_from,
  cast(null as bigint) as chat_handle_id,
  t.direction,
  cast(null as timestamptz) as deleted_at,
  'event' as known_from
from (
  select
    e.message_id,
    e.chat_id,
    e.message_sent_at,
    coalesce(
      json_extract_string(cast(e.data as json), '$.text'),
      json_extract_string(cast(e.data as json), '$.message.text')
    ) as text,
    coalesce(
      json_extract_string(cast(e.data as json), '$.from_phone'),
      json_extract_string(cast(e.data as json), '$.message.sent_from')
    ) as sent_from,
    coalesce(
      json_extract_string(cast(e.data as json), '$.is_read'),
      json_extract_string(cast(e.data as json), '$.message.is_read')
    ) = 'true' as is_read,
    case e.event_type when 'message.sent' then 'outbound' else 'inbound' end as direction,
    row_number() over (partition by e.message_id order by e.created_at, e.event_id) as telling
  from {webhook_events} as e
  join {_dlt_loads} as l on l.load_id = e._dlt_load_id
  left join (
    select y.chat_id, y.synced_at from {chat_syncs} as y join {_dlt_loads} as b on b.load_id = y._dlt_load_id
  ) as s on s.chat_id = e.chat_id
  left join {messages} as m on m.id = e.message_id
  where e.event_type in ('message.sent', 'message.received')
    and e.message_id is not null
    and m.id is null
    and (s.synced_at is null or l.inserted_at >= s.synced_at)
) as t
where t.telling = 1
