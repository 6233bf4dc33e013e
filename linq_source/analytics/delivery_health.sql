-- What became of the messages that we sent, by UTC day, number and service. Statuses that Linq adds later are counted in
-- failed_other. The delay is from sent_at to delivered_at, of those that have both (below zero where clocks disagree);
-- quantiles are interpolated.
select
  d.day,
  d.phone_number,
  d.service,
  count(*) as sent,
  count(case when d.delivery_status = 'delivered' then 1 end) as delivered,
  count(case when d.delivery_status = 'pending' then 1 end) as pending,
  count(case when d.delivery_status = 'service_unavailable' then 1 end) as failed_service_unavailable,
  count(case when d.delivery_status = 'paused' then 1 end) as failed_paused,
  count(case when d.delivery_status not in ('delivered', 'pending', 'service_unavailable', 'paused') then 1 end)
    as failed_other,
  count(case when d.delivery_status is null then 1 end) as unknown,
  percentile_cont(0.5) within group (order by d.delay_seconds) as median_delay_seconds,
  percentile_cont(0.9) within group (order by d.delay_seconds) as p90_delay_seconds
from (
  select
    cast(m.sent_at at time zone 'UTC' as date) as day,
    m.phone_number,
    m.service,
    m.delivery_status,
    cast(
      cast(extract(epoch from m.delivered_at) - extract(epoch from m.sent_at) as decimal(18, 6)) as double
    ) as delay_seconds
  from {live_messages} as m
  where m.direction = 'outbound'
) as d
group by d.day, d.phone_number, d.service
