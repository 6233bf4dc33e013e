"use strict";
// The sections: each is filled with what a view of the data holds, as figures, charts, tables and sentences.
const FEW = 5;  // a rate of fewer turns is 0 or 100 % by chance
const LIMIT = 10000;

function keyFigures(view) {
  const { now, then } = view;
  const middle = (chosen, isOurs) => quantile(steps(data.replies, chosen, isOurs).get("all"), 0.5, data.ratio);
  const thenChosen = then && within(view.earlier, view.number);
  const waiting = waitingCounts(view);
  const sent = (row) => row.sent - row.unknown;
  const pairOf = (take) => [take(now), then ? take(then) : null];
  const figures = [
    ["received", "Messages received", ...pairOf((row) => row.received), amount, 0],
    ["sent", "Messages sent", ...pairOf((row) => row.sent), amount, 0],
    ["our_rate", "We answer within 24 hours", ...pairOf((row) => rateOf(row, "our")), points, 1],
    ["our_median", "Our median reply", middle(view.chosen, true), then ? middle(thenChosen, true) : null, longer, -1],
    ["our_1h", "We answer within 1 hour", ...pairOf((row) => share(row.our_1h, row.our_turns - row.our_pending)), points, 1],
    ["their_rate", "They answer within 24 hours", ...pairOf((row) => rateOf(row, "their")), points, 1],
    ["delivered", "Delivered", ...pairOf((row) => share(row.delivered, sent(row))), points, 1],
    ["waiting", "Chats waiting for us now", waiting.all, null, null, 0],
  ];
  at("key").replaceChildren(...figures.map(figure));
  const pending = now.our_pending ? ` ${counted(now.our_pending, "turn")} younger than 24 hours and not answered yet ${now.our_pending === 1 ? "is" : "are"} in no rate.` : "";
  at("key-note").textContent = now.our_turns || now.their_turns
    ? `People took ${counted(now.our_turns, "turn")} in one-to-one chats and we answered ${count(now.our_24h)} within 24 hours.${pending} ${view.earlier ? `Compared with ${date(view.earlier.from)} to ${date(view.earlier.to)}.` : "There is no full period before this one to compare with."}`
    : "Nobody wrote in a one-to-one chat in this period, so there are no response rates.";
}

const amount = { show: count, change: (now, then) => (then ? signed((now - then) / then * 100, "\u00a0%", 0) : null) };
const points = { show: (value) => percent(value), change: (now, then) => signed((now - then) * 100, " points", 1) };
const longer = { show: duration, change: (now, then) => (Math.abs(now - then) < 0.5 ? "±0" : `${duration(Math.abs(now - then))} ${now > then ? "slower" : "faster"}`) };

function signed(value, unit, digits) {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? "±0" : `${value > 0 ? "+" : "−"}${text}${unit}`;
}

function figure([name, label, now, then, kind, better]) {
  const shown = now === null ? "–" : (kind ?? amount).show(now);
  const change = now === null || then === null || !kind ? null : kind.change(now, then);
  const tone = !change || change.startsWith("±") || !better ? "" : (now > then) === better > 0 ? " good" : " bad";
  const arrow = !change || change.startsWith("±") ? "" : now > then ? "▲ " : "▼ ";
  const text = change ? [element("span", { "aria-hidden": "true" }, arrow), change, element("span", { class: "hide" }, " on the period before")] : [kind ? "no period before" : "in any period"];
  return element("div", {}, element("dt", {}, label),
    element("dd", { class: "value", id: `key-${name}`, "data-value": String(now) }, shown), element("dd", { class: "change" + tone }, ...text));
}

function rates(view) {
  const byBucket = sums(data.facts, view.chosen, (columns, row) => view.bucket.start(columns.day[row]));
  const drawable = (row, side) => (decided(row, side) < FEW ? null : rateOf(row, side));
  const rows = [...byBucket].filter(([, row]) => decided(row, "our") || decided(row, "their")).sort((one, other) => one[0] - other[0]).map(([day, row]) => ({
    at: Math.max(day, view.period.from) * DAY, When: bucketLabel(view.bucket, day, view.period), ours: drawable(row, "our"), theirs: drawable(row, "their"),
    "We answer": percent(rateOf(row, "our")), "Our turns": count(decided(row, "our")),
    "They answer": percent(rateOf(row, "their")), "Their turns": count(decided(row, "their")),
    isThin: ["our", "their"].some((side) => decided(row, side) && decided(row, side) < FEW),
  }));
  const all = `Within 24 hours we answered ${percent(rateOf(view.now, "our"))} of the turns of others, and they ${percent(rateOf(view.now, "their"))} of ours`;
  if (!rows.length) return plain(at("rate"), sentence("No turn of this period is decided yet, so there is no response rate."));
  if (rows.length < 2) return plain(at("rate"), sentence(`${all}. All of it on one ${view.bucket.name}, too little to draw.`));
  const columns = ["When", "We answer", "Our turns", "They answer", "Their turns"].map((name) => ({ name: { "Our turns": "of turns", "Their turns": "of our turns" }[name] ?? name, value: (row) => row[name] }));
  const points = ["ours", "theirs"].map((side) => rows.filter((row) => row[side] !== null).length);
  if (Math.max(...points) < 2) {
    const says = `${all}. No two ${view.bucket.name}s have ${FEW} turns or more to answer, too little to draw.`;
    return plain(at("rate"), sentence(says), element("details", { open: "" }, element("summary", {}, "Show as a table"), table(says, columns, rows)));
  }
  const thin = rows.filter((row) => row.isThin).length, them = thin === 1 ? "it" : "them";
  const left = thin ? ` On ${counted(thin, view.bucket.name)} a side had fewer than ${FEW} turns to answer: its line leaves ${them} out, the table has ${them}.` : "";
  const spec = overTime(rows, view.bucket, { title: null, scale: { domain: [0, 1] }, axis: { format: ".0%", tickCount: 5 } });
  return chart(at("rate"), { spec, rows, says: `${all}, by ${view.bucket.name} of the turn's end.${left}`, keys: legend(["We answer", OURS], ["They answer", THEIRS]), columns });
}

function medians(view) {
  const keyOf = (columns, row) => view.bucket.start(columns.day[row]);
  const ours = steps(data.replies, view.chosen, true, keyOf), theirs = steps(data.replies, view.chosen, false, keyOf);
  const days = [...new Set([...ours.keys(), ...theirs.keys()])].sort((one, other) => one - other);
  const values = days.map((day) => [day, quantile(ours.get(day), 0.5, data.ratio), quantile(theirs.get(day), 0.5, data.ratio)]);
  const rows = values.map(([day, us, they]) => ({
    at: Math.max(day, view.period.from) * DAY, When: bucketLabel(view.bucket, day, view.period),
    ours: us === null ? null : Math.max(1, us), theirs: they === null ? null : Math.max(1, they), "We answer": duration(us), "They answer": duration(they),
    "Our turns": count(ours.get(day)?.reduce((sum, one) => sum + one, 0) ?? 0), "Their turns": count(theirs.get(day)?.reduce((sum, one) => sum + one, 0) ?? 0),
  }));
  const middle = (isOurs, part) => quantile(steps(data.replies, view.chosen, isOurs).get("all"), part, data.ratio);
  if (!rows.length) return plain(at("median"), sentence("Nobody answered in this period, so there are no reply times."));
  const all = `Half of our replies came within ${duration(middle(true, 0.5))}, nine in ten within ${duration(middle(true, 0.9))}; half of theirs within ${duration(middle(false, 0.5))}`;
  if (rows.length < 2) return plain(at("median"), sentence(`${all}. All on one ${view.bucket.name}, too little to draw.`));
  return chart(at("median"), { spec: overTime(rows, view.bucket, logTime(rows.flatMap((row) => [row.ours, row.theirs]).filter((value) => value !== null))), rows, says: `${all}.`,
    keys: legend(["Our replies", OURS], ["Their replies", THEIRS]),
    columns: ["When", "We answer", "Our turns", "They answer", "Their turns"].map((key) => ({ name: { "Our turns": "replies", "Their turns": "their replies" }[key] ?? key, value: (row) => row[key] })) });
}

function numbers(view) {
  const isUsers = at("grouping").value === "user";
  const nameOf = (number) => (isUsers ? data.numbers[number].user ?? "No user" : data.numbers[number].label);
  const keyOf = (columns, row) => (isUsers ? nameOf(columns.number[row]) : columns.number[row]);
  const found = sums(data.facts, view.chosen, keyOf), replies = steps(data.replies, view.chosen, true, keyOf);
  const earlier = view.earlier ? sums(data.facts, within(view.earlier, view.number), keyOf) : new Map();
  const rows = [...found].map(([key, row]) => ({ key, row, rate: rateOf(row, "our"), then: rateOf(earlier.get(key), "our"), median: quantile(replies.get(key), 0.5, data.ratio) }))
    .sort((one, other) => other.row.received + other.row.sent - one.row.received - one.row.sent);
  if (!rows.length) return plain(at("numbers"), sentence("No message of this period to tell the numbers apart by."));
  const caption = isUsers ? "By user of our numbers" : "By number of ours";
  const change = (one) => (one.rate === null || one.then === null ? "–" : points.change(one.rate, one.then));
  return plain(at("numbers"), table(caption, [
    { name: isUsers ? "User" : "Number", value: ({ key }) => (isUsers ? key : data.numbers[key].label) },
    { name: "Received", value: ({ row }) => count(row.received) }, { name: "Sent", value: ({ row }) => count(row.sent) },
    { name: "We answer in 24 h", value: ({ rate }) => (rate === null ? "–" : [percent(rate), bar(rate)]) },
    { name: "Change", value: change, tone: (one) => (change(one)[0] === "+" ? "good" : change(one)[0] === "−" ? "bad" : "") },
    { name: "Our median reply", value: ({ median }) => duration(median) },
    { name: "They answer in 24 h", value: ({ row }) => percent(rateOf(row, "their")) },
  ], rows, { stack: true, whole: rows.length <= 12 }));
}

function heat(view, place, isAnswer, title, noun, nothing) {
  const grid = week(data.hours, view.chosen, isAnswer);
  const cells = grid.flatMap((row, day) => row.map((value, hour) => ({ value, day, hour })));
  const total = cells.reduce((sum, cell) => sum + cell.value, 0), most = Math.max(...cells.map((cell) => cell.value));
  const heading = element("h3", {}, title);
  if (total < 10) return plain(place, heading, sentence(total ? `Only ${counted(total, noun)} in this period: too few for a picture of the week.` : nothing));
  const top = cells.reduce((best, cell) => (cell.value > best.value ? cell : best));
  const hourOf = (hour) => `${String(hour).padStart(2, "0")}:00–${String((hour + 1) % 24).padStart(2, "0")}:00`;
  const rows = cells.map((cell) => ({ hour: cell.hour, weekday: WEEKDAYS[cell.day], step: Math.ceil((cell.value / most) * 6), When: `${WEEKDAYS[cell.day]} ${hourOf(cell.hour)} UTC`, Count: counted(cell.value, noun) }));
  const spec = weekSpec(rows, most);
  const office = cells.filter((cell) => cell.day < 5 && cell.hour >= 9 && cell.hour < 17).reduce((sum, cell) => sum + cell.value, 0);
  const says = `${title}: ${counted(total, noun)}, most on ${WEEKDAYS[top.day]} ${hourOf(top.hour)} UTC (${count(most)}); ${percent(office / total, 0)} on weekdays from 9 to 17.`;
  const hours = Array.from({ length: 24 }, (_, hour) => ({ name: String(hour), value: (row) => count(grid[row][hour]) }));
  return chart(place, { spec, says, keys: heatLegend(most, noun), rows: [0, 1, 2, 3, 4, 5, 6], height: 180,
    columns: [{ name: "Day", value: (row) => WEEKDAYS[row] }, ...hours] }).then(() => place.prepend(heading));
}

const TIMES = [["within 1 min", "1m"], ["1 to 5 min", "5m"], ["5 to 15 min", "15m"], ["15 min to 1 h", "1h"], ["1 to 4 h", "4h"],
  ["4 to 24 h", "24h"], ["1 to 3 days", "72h"], ["later", "replied"]];

function times(view) {
  const sides = [["our", "We"], ["their", "They"]].map(([side, who]) => {
    const total = view.now[side + "_turns"] - view.now[side + "_pending"];
    let seen = 0;
    const parts = TIMES.map(([label, name]) => { const part = view.now[`${side}_${name}`] - seen; seen += part; return [label, part]; });
    return { who, total, parts: [...parts, ["no answer", total - seen]] };
  });
  if (sides[0].total + sides[1].total < 5) return plain(at("times"), sentence("Fewer than five decided turns in this period: too few to show how reply times spread."));
  const rows = sides.flatMap(({ who, total, parts }) => parts.map(([label, part]) => ({ label, side: who, share: share(part, total) ?? 0, Reply: label, Who: who === "We" ? "We answer" : "They answer", Turns: `${count(part)} of ${count(total)}` })));
  const labels = [...TIMES.map(([label]) => label), "no answer"];
  const [ours] = sides;
  const says = ours.total ? `Of ${counted(ours.total, "turn")} we answered ${percent(share(view.now.our_15m, ours.total), 0)} within 15 minutes and left ${percent(share(ours.parts.at(-1)[1], ours.total), 0)} without an answer.` : "Nobody else's turn is decided in this period; these are the answers to ours.";
  return chart(at("times"), { spec: timesSpec(rows, labels), says, keys: legend(["We answer", OURS], ["They answer", THEIRS]), height: 300, rows: labels.map((label, place) => [label, ...sides.map((side) => side.parts[place][1])]),
    columns: [{ name: "Answered", value: (row) => row[0] }, { name: "By us", value: (row) => count(row[1]) }, { name: "By them", value: (row) => count(row[2]) }] });
}

function volume(view) {
  const sent = sums(data.facts, view.chosen, (columns, row) => view.bucket.start(columns.day[row]));
  const starts = new Set();  // quiet days too, as zeros
  for (let day = Math.max(view.period.from, first); day <= view.period.to; day++) starts.add(view.bucket.start(day));
  const found = sent.size ? [...starts].map((day) => [day, sent.get(day) ?? blank(data.facts)]) : [];
  const says = `${counted(view.now.received, "message")} received and ${count(view.now.sent)} sent, groups included, by ${view.bucket.name}.`;
  if (sent.size < 2) return plain(at("volume"), sentence(sent.size ? says : "No message in this period."));
  const rows = found.flatMap(([day, row]) => [["Received", row.received], ["Sent", row.sent]].map(([kind, messages]) => ({ at: Math.max(day, view.period.from) * DAY, kind, messages, Messages: count(messages), When: bucketLabel(view.bucket, day, view.period) })));
  return chart(at("volume"), { spec: volumeSpec(rows, view.bucket), says, keys: legend(["Received", THEIRS], ["Sent", OURS]), height: 300, rows: found,
    columns: [{ name: "When", value: ([day]) => bucketLabel(view.bucket, day, view.period) }, { name: "Received", value: ([, row]) => count(row.received) }, { name: "Sent", value: ([, row]) => count(row.sent) }] });
}

function delivery(view) {
  const found = sums(data.facts, view.chosen, (columns, row) => data.services[columns.service[row]]);
  const rows = [...found].sort((one, other) => one[0].localeCompare(other[0])).filter(([, row]) => row.sent).map(([service, row]) => ({ service, sent: row.sent, delivered: row.delivered, pending: row.pending, failed: row.unavailable + row.paused + row.other, unknown: row.unknown }));
  if (!rows.length) return plain(at("delivery"), sentence("Nothing was sent in this period."));
  const worst = rows.reduce((one, other) => (other.failed / other.sent > one.failed / one.sent ? other : one));
  const failed = rows.reduce((sum, row) => sum + row.failed, 0);
  const columns = [{ name: "Service", value: (row) => row.service }, { name: "Sent", value: (row) => count(row.sent) }, ...OUTCOMES.map(([name, label]) => ({ name: label, value: (row) => count(row[name]), tone: (row) => (name === "failed" && row.failed ? "bad" : "") }))];
  const says = `Of ${counted(view.now.sent, "sent message")} ${percent(share(view.now.delivered, view.now.sent))} are delivered and ${count(failed)} failed${failed ? `, most often by ${worst.service} (${percent(worst.failed / worst.sent)})` : ""}.`;
  const parts = rows.flatMap((row, place) => OUTCOMES.map(([name, outcome], order) => ({ place, service: row.service, outcome, order, share: row[name] / row.sent, Messages: `${count(row[name])} of ${count(row.sent)}` })));
  return chart(at("delivery"), { spec: deliverySpec(parts, rows.map((row) => row.service)), says, keys: legend(...OUTCOMES.map(([, label, color]) => [label, color])), height: 52 * rows.length + 30, rows, columns, open: true });
}

function sms(view) {
  const all = sums(data.sms, view.chosen).get("all");
  if (!all) return plain(at("sms"), sentence("No SMS was sent in this period, so carriers have nothing to hold against it."));
  const peaks = new Map(), byNumber = sums(data.sms, view.chosen, (columns, row) => columns.number[row]), highest = new Map();
  data.sms.day.forEach((day, row) => {
    if (!view.chosen(data.sms, row)) return;
    const start = view.bucket.start(day), five = data.sms.messages_5d[row], number = data.sms.number[row];
    if (five > (peaks.get(start)?.five ?? -1)) peaks.set(start, { five, number });
    highest.set(number, Math.max(five, highest.get(number) ?? 0));
  });
  const most = Math.max(...highest.values()), tone = most >= LIMIT ? "bad" : most >= LIMIT / 2 ? "warn" : "good";
  const risks = element("ul", { class: "risks" }, ...[
    [all.over_160, "longer than 160 characters"], [all.ucs2_messages, "with characters outside the GSM alphabet, which cost more segments"],
    [all.many_urls, "with more than one link"], [all.shortened_urls, "with a shortened link, which carriers distrust"],
  ].map(([value, what]) => element("li", {}, `${count(value)} (${percent(share(value, all.messages))}) ${what}`)));
  const numbersTable = table("SMS by number", [
    { name: "Number", value: ([number]) => data.numbers[number].label }, { name: "SMS", value: ([, row]) => count(row.messages) },
    { name: "Segments each", value: ([, row]) => (row.segments / row.messages).toFixed(2) }, { name: "Most in five days", value: ([number]) => count(highest.get(number)) },
  ], [...byNumber].sort((one, other) => highest.get(other[0]) - highest.get(one[0])));
  const says = `The busiest number sent ${counted(most, "SMS", "SMS")} in five days, ${percent(most / LIMIT)} of the ${count(LIMIT)} at which carriers begin to throttle.`;
  const rest = [element("p", {}, `Of ${counted(all.messages, "SMS", "SMS")} (${(all.segments / all.messages).toFixed(2)} segments each):`), risks, element("details", {}, element("summary", {}, "By number"), numbersTable)];
  const rows = [...peaks].sort((one, other) => one[0] - other[0]).map(([day, peak]) => ({ at: Math.max(day, view.period.from) * DAY, messages: peak.five, When: bucketLabel(view.bucket, day, view.period), "Busiest number": `${count(peak.five)} in five days · ${data.numbers[peak.number].label}` }));
  if (rows.length < 2) return plain(at("sms"), element("p", { class: tone }, says), ...rest);
  return chart(at("sms"), { spec: limitSpec(rows, view.bucket, most >= LIMIT / 4 ? LIMIT : null), says, rows, height: 130, columns: [{ name: "When", value: (row) => row.When }, { name: "Most SMS of a number in five days", value: (row) => row["Busiest number"] }] })
    .then(() => { at("sms").querySelector("figcaption").classList.add(tone); at("sms").append(...rest); });
}

function waitingCounts(view) {
  const total = { hour: 0, day: 0, week: 0, older: 0 };
  for (const row of data.waiting_counts) if (view.number === null || row.number === view.number) for (const age of Object.keys(total)) total[age] += row[age];
  return { ...total, all: total.hour + total.day + total.week + total.older };
}

function waiting(view) {
  const total = waitingCounts(view);
  if (!total.all) return plain(at("waiting"), sentence("Nobody is waiting: every chat ends with a message of ours."));
  const chosen = data.waiting.filter((row) => view.number === null || row.number === view.number);
  const rows = chosen.slice(0, view.number === null ? 100 : 25);
  const says = `${counted(total.all, "chat ends", "chats end")} with a message that we have not answered: ${count(total.hour)} for less than an hour, ${count(total.day)} for up to a day, ${count(total.week)} for up to a week, ${count(total.older)} for longer. Whether a “thank you” needs an answer is yours to judge.`;
  const columns = [
    { name: "Chat", value: (row) => (row.handle && row.handle !== row.chat ? `${row.chat} · ${row.handle}` : row.chat) },
    { name: "Waiting since", text: true, value: (row) => instant(row.since) },
    { name: "For", value: (row) => duration((data.generated_at - row.since) / 1000), tone: (row) => (data.generated_at - row.since > 7 * DAY ? "bad" : data.generated_at - row.since > DAY ? "warn" : "") },
    { name: "Our number", text: true, value: (row) => data.numbers[row.number].label }, { name: "Service", text: true, value: (row) => row.service ?? "unknown" },
    { name: "Messages", value: (row) => count(row.messages) },
  ];
  if (data.show_identities) columns.push({ name: "Last message", text: true, wide: true, value: (row) => row.text });
  return plain(at("waiting"), element("p", { class: "note" }, says), table("Chats waiting for us, oldest first", columns, rows, { stack: true }),
    total.all > rows.length ? element("p", { class: "note" }, `The ${count(rows.length)} oldest are shown, of ${count(total.all)}. The view conversations has them all.`) : "");
}

function sync(view) {
  const rows = new Map();
  for (const row of data.sync) {
    if (view.number !== null && row.number !== view.number) continue;
    const sum = rows.get(row.number) ?? { chats: 0, complete: 0, differs: 0, unfinished: 0, never: 0, stored: 0, missing: 0, at: null };
    sum.chats += row.chats; sum.stored += row.stored; sum.missing += row.missing; sum.at = Math.max(sum.at, row.synced_at);
    sum[row.status.split(" ")[0]] += row.chats;
    rows.set(row.number, sum);
  }
  if (!rows.size) return plain(at("sync"), sentence("No chat is stored yet."));
  const all = [...rows.values()], total = (name) => all.reduce((sum, row) => sum + row[name], 0), off = total("chats") - total("complete");
  const says = off ? `${counted(off, "chat does", "chats do")} not agree with Linq's count, of ${count(total("chats"))}. The next sync goes on where a chat is unfinished or was never read; where one differs, Linq's count and its own list may disagree, or dates or forget.py left messages out: pipelines/audit.py tells more.` : `All ${counted(total("chats"), "chat")} agree with Linq's count of their messages.`;
  const refused = data.rejected ? ` ${counted(data.rejected, "row fits", "rows fit")} no column and ${data.rejected === 1 ? "is" : "are"} in rejected_rows.` : " No row was rejected.";
  const columns = [["Chats", "chats"], ["Complete", "complete"], ["Differ", "differs"], ["Unfinished", "unfinished"], ["Never read", "never"], ["Messages stored", "stored"], ["Missing", "missing"]];
  return plain(at("sync"), element("p", { class: off ? "warn" : "good" }, says + refused), table("Sync health by number", [
    { name: "Number", value: ([number]) => data.numbers[number].label }, ...columns.map(([name, key]) => ({ name, value: ([, row]) => count(row[key]) })),
    { name: "Newest reading of a chat", text: true, value: ([, row]) => (row.at ? instant(row.at) : "–") },
  ], [...rows], { stack: true, whole: rows.size <= 12 }));
}
