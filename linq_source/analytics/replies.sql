-- Each turn with the next one, which is always of the other direction: its answer. reply_seconds counts from the last
-- message of the turn to the first of the answer, exact to the microsecond; both are null while nobody has answered.
select
  t.*,
  lead(t.started_at) over (partition by t.chat_id order by t.turn_number) as replied_at,
  cast(cast(
    extract(epoch from lead(t.started_at) over (partition by t.chat_id order by t.turn_number))
    - extract(epoch from t.ended_at) as decimal(18, 6)
  ) as double) as reply_seconds
from {turns} as t
