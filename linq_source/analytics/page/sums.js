"use strict";
// Sums over the report's data. Days are counted from 1970-01-01 UTC; a number is its place in data.numbers.
const DAY = 864e5;

async function unpack(text) {
  const packed = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const within = (period, number) => (columns, at) =>
  columns.day[at] >= period.from && columns.day[at] <= period.to && (number === null || columns.number[at] === number);

// {key: {column: sum}} over the rows that are chosen.
function sums(columns, chosen, keyOf = () => "all") {
  const names = Object.keys(columns).filter((name) => !["day", "number", "service"].includes(name));
  const found = new Map();
  for (let at = 0; at < columns.day.length; at++) {
    if (!chosen(columns, at)) continue;
    const key = keyOf(columns, at);
    let row = found.get(key);
    if (!row) found.set(key, (row = Object.fromEntries(names.map((name) => [name, 0]))));
    for (const name of names) row[name] += columns[name][at];
  }
  return found;
}

// {key: counts of reply times by step}
function steps(replies, chosen, isOurs, keyOf = () => "all") {
  const found = new Map();
  for (let at = 0; at < replies.day.length; at++) {
    if (replies.is_ours[at] !== isOurs || !chosen(replies, at)) continue;
    const key = keyOf(replies, at);
    let counts = found.get(key);
    if (!counts) found.set(key, (counts = new Uint32Array(4200)));
    let step = 0;
    for (const more of replies.steps[at]) counts[(step += more)]++;
  }
  return found;
}

// Seconds of a step; short times are whole seconds again.
function seconds(step, ratio) {
  const value = Math.expm1(step * ratio);
  return value < 100 ? Math.round(value) : value;
}

// The interpolated quantile, as percentile_cont does it; null when there is nothing.
function quantile(counts, share, ratio) {
  if (!counts) return null;
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (!total) return null;
  const place = share * (total - 1);
  const nth = (wanted) => {
    let seen = 0;
    for (let step = 0; step < counts.length; step++) if ((seen += counts[step]) > wanted) return seconds(step, ratio);
    return null;
  };
  const low = nth(Math.floor(place));
  return low + (nth(Math.ceil(place)) - low) * (place - Math.floor(place));
}

const share = (part, whole) => (whole ? part / whole : null);
const decided = (row, side) => row[side + "_turns"] - row[side + "_pending"];
const rateOf = (row, side) => (row ? share(row[side + "_24h"], decided(row, side)) : null);

// {day of the bucket's beginning} for a day: itself, its Monday, or its month's first.
function bucketOf(period) {
  const days = period.to - period.from + 1;
  if (days <= 45) return { name: "day", start: (day) => day };
  if (days <= 400) return { name: "week", start: (day) => day - ((day + 3) % 7) };
  return { name: "month", start: (day) => {
    const date = new Date(day * DAY);
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) / DAY;
  } };
}

// 7 x 24 counts, Monday first.
function week(hours, chosen, isAnswer) {
  const grid = Array.from({ length: 7 }, () => new Array(24).fill(0));
  for (let at = 0; at < hours.day.length; at++) {
    if (hours.is_answer[at] !== isAnswer || !chosen(hours, at)) continue;
    const row = grid[(hours.day[at] + 3) % 7];
    hours.hours[at].forEach((hour, place) => { row[hour] += hours.counts[at][place]; });
  }
  return grid;
}
