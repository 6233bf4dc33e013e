-- Reactions that stand now, by number and kind, and who gave them: us, or the other side.
select
  m.phone_number,
  r.reaction,
  r.is_from_me,
  count(*) as reactions,
  count(distinct r.chat_message_id) as messages,
  count(distinct m.chat_id) as chats,
  max(r.sent_at) as newest_at
from {message_reactions} as r
join {live_messages} as m on m.id = r.chat_message_id
group by m.phone_number, r.reaction, r.is_from_me
