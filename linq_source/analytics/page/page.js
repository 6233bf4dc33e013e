"use strict";
// The page: reads the data, keeps the filters, and has each section filled for the period and number chosen.
const at = (id) => document.getElementById(id);
let data, today, first;

const blank = (facts) => Object.fromEntries(Object.keys(facts).map((name) => [name, 0]));

function periodOf(choice) {
  if (choice === "all") return { from: first, to: Math.max(today, last()) };
  if (choice !== "own") return { from: today - Number(choice) + 1, to: today };
  const ends = [at("from"), at("to")].map((field) => (field.value ? field.valueAsNumber / DAY : null));
  const from = ends[0] ?? first, to = ends[1] ?? today;
  return from <= to ? { from, to } : { from: to, to: from };
}

const last = () => data.facts.day.at(-1) ?? today;

function before(period, choice) {
  const days = period.to - period.from + 1;
  const earlier = { from: period.from - days, to: period.from - 1 };
  return choice !== "all" && earlier.from >= first ? earlier : null;
}

function look() {
  const choice = at("period").value, number = at("number").value === "" ? null : Number(at("number").value);
  const period = periodOf(choice), earlier = before(period, choice);
  const chosen = within(period, number);
  return {
    period, earlier, number, chosen, bucket: bucketOf(period),
    now: sums(data.facts, chosen).get("all") ?? blank(data.facts),
    then: earlier && (sums(data.facts, within(earlier, number)).get("all") ?? blank(data.facts)),
    named: number === null ? "all numbers" : data.numbers[number].label,
  };
}

async function show() {
  at("own").hidden = at("period").value !== "own";
  const view = look();
  at("shown").textContent = `${date(view.period.from)} – ${date(view.period.to)} · ${view.named}`;
  keyFigures(view); numbers(view); waiting(view); sync(view);
  await Promise.all([rates(view), medians(view), times(view), volume(view), delivery(view), sms(view),
    heat(view, at("written"), false, "People write", "message", "Nobody wrote in this period."), heat(view, at("answered"), true, "We answer", "answer", "We answered nobody in this period.")]);
  document.documentElement.dataset.drawn = String(Number(document.documentElement.dataset.drawn ?? 0) + 1);
}

// One drawing at a time, and the last choice is always drawn.
let isDrawing = false, isWanted = false;

async function refresh() {
  isWanted = true;
  if (isDrawing) return;
  isDrawing = true;
  try {
    while (isWanted) {
      isWanted = false;
      await show();
    }
  } catch (error) {
    fail(error);
  } finally {
    isDrawing = false;
  }
}

function begin() {
  for (const number of data.numbers) number.label = held(number.label);
  for (const row of data.waiting) row.chat = held(row.chat);
  today = Math.floor(data.generated_at / DAY);
  first = data.facts.day[0] ?? today;
  const loaded = data.loaded_at === null ? "" : ` Data loaded ${instant(data.loaded_at)}.`;
  const history = data.facts.day.length ? ` History from ${date(first)}.` : " There are no messages in this account yet; this report fills as they come.";
  at("about").textContent = `Made ${instant(data.generated_at)}.${loaded}${history} All times are UTC.`;
  at("number").append(element("option", { value: "" }, "All numbers"), ...data.numbers.map((number, place) => element("option", { value: String(place) }, number.label)));
  const newest = data.facts.day.findLast((day) => day <= today) ?? today;
  at("period").value = newest < today - 29 ? "all" : "30";
  for (const [id, day] of [["from", Math.max(first, today - 29)], ["to", today]]) at(id).valueAsNumber = day * DAY;
  at("filters").hidden = false;
  at("report").hidden = false;
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["period", "number", "from", "to", "grouping"]) at(id).addEventListener("change", refresh);
  return refresh();
}

function fail(error) {
  at("trouble").hidden = false;
  at("trouble").textContent = typeof DecompressionStream === "undefined" ? "This browser is too old for this report: open it in one of 2023 or newer." : `The report could not be shown: ${error.message}`;
  console.error(error);
}

unpack(at("data").textContent).then((read) => { data = read; return begin(); }).catch(fail);
