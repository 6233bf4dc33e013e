-- What we send by SMS, by UTC day and number, against the vendor's guidance ("SMS Guidelines"): short texts, one direct
-- link, and well under 10,000 messages in five days (this day and the four before), where carriers begin to throttle.
-- Segments are counted as phones cut them: up to 160 characters of the GSM 7-bit alphabet (^ { } \ [ ~ ] | and the euro
-- sign count twice) are one segment, longer texts have 153 in each; a text with any other character is sent as UCS-2, with
-- 70 or 67 in each, where a character beyond 16 bits (most emoji) counts twice. What counts twice is not kept whole at
-- a segment's end, as some phones do. Messages without text (files only) count as messages and have no segments.
-- A URL is what has `://`; a shortener is known by its host, with `://` or without.
select
  d.day,
  d.phone_number,
  d.messages,
  d.segments,
  d.ucs2_messages,
  d.over_160,
  cast(d.over_160 as double) / d.messages as share_over_160,
  d.many_urls,
  d.shortened_urls,
  cast(sum(b.messages) as bigint) as messages_5d,
  cast(sum(b.messages) as double) / 10000 as share_of_limit
from (
  select
    t.day,
    t.phone_number,
    count(*) as messages,
    cast(sum(
      case
        when t.gsm_length = 0 then 0
        when t.is_gsm = 1 and t.gsm_length <= 160 then 1
        when t.is_gsm = 1 then ceil(t.gsm_length / 153.0)
        when t.ucs2_length <= 70 then 1
        else ceil(t.ucs2_length / 67.0)
      end
    ) as bigint) as segments,
    count(case when t.is_gsm = 0 then 1 end) as ucs2_messages,
    count(case when length(t.text) > 160 then 1 end) as over_160,
    count(case when length(t.text) - length(replace(t.text, '://', '')) > 3 then 1 end) as many_urls,
    count(
      case
        when t.links like '% bit.ly/%' or t.links like '% tinyurl.com/%' or t.links like '% goo.gl/%'
          or t.links like '% ow.ly/%' or t.links like '% is.gd/%' or t.links like '% buff.ly/%'
          or t.links like '% rebrand.ly/%' or t.links like '% cutt.ly/%' or t.links like '% rb.gy/%'
          or t.links like '% shorturl.at/%' or t.links like '% tiny.cc/%' or t.links like '% t.co/%'
          or t.links like '% t.ly/%' then 1
      end
    ) as shortened_urls
  from (
    select
      x.*,
      case
        when x.is_gsm = 1 then 0
        else length(x.text) + length(regexp_replace(x.text, '[^𐀀-􏿽]', '', 'g'))
      end as ucs2_length
    from (
      select
        cast(m.sent_at at time zone 'UTC' as date) as day,
        m.phone_number,
        m.text,
        case
          when translate(
            m.text,
            '@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&''()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà^{}\[~]|€'
            || chr(10) || chr(12) || chr(13),
            ''
          ) = '' then 1
          else 0
        end as is_gsm,
        2 * length(m.text) - length(translate(m.text, '^{}\[~]|€' || chr(12), '')) as gsm_length,
        case
          when m.text like '%/%' then ' ' || regexp_replace(lower(m.text), '//|www[.]|[^a-z0-9./-]', ' ', 'g')
          else ''
        end as links
      from (
        select l.sent_at, l.phone_number, coalesce(l.text, '') as text
        from {live_messages} as l
        where l.direction = 'outbound' and l.service = 'SMS'
      ) as m
    ) as x
  ) as t
  group by t.day, t.phone_number
) as d
join (
  select cast(m.sent_at at time zone 'UTC' as date) as day, m.phone_number, count(*) as messages
  from {live_messages} as m
  where m.direction = 'outbound' and m.service = 'SMS'
  group by cast(m.sent_at at time zone 'UTC' as date), m.phone_number
) as b on b.phone_number is not distinct from d.phone_number and b.day <= d.day and b.day > d.day - interval '5 days'
group by
  d.day, d.phone_number, d.messages, d.segments, d.ucs2_messages, d.over_160, d.many_urls, d.shortened_urls
