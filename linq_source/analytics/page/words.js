"use strict";
// How values are written, and the elements they are written into; text is only ever set as text.
const NUMBERS = new Intl.NumberFormat("en-US");
const SHORT = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const LONG = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const count = (value) => NUMBERS.format(value);
const counted = (value, noun, plural = noun + "s") => `${count(value)} ${value === 1 ? noun : plural}`;
const percent = (value, digits = 1) => (value === null ? "–" : `${(value * 100).toFixed(digits)}\u00a0%`);
const date = (day) => LONG.format(day * DAY);
const instant = (millis) => `${LONG.format(millis)}, ${CLOCK.format(millis)}\u00a0UTC`;

// A label whose masked number no line breaks in.
const held = (label) => label.replace(/(\+1 )?\*{3}[* ]*\d*/g, (number) => number.trimEnd().replaceAll(" ", "\u00a0") + (number.endsWith(" ") ? " " : ""));

// With spaces that no line breaks at.
const duration = (value) => spelled(value).replaceAll(" ", "\u00a0");

function spelled(value) {
  if (value === null || value === undefined) return "–";
  if (value < 59.5) return `${Math.round(value)} s`;
  if (value < 600) {
    const whole = Math.round(value);
    return whole % 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${whole / 60} min`;
  }
  if (value < 3570) return `${Math.round(value / 60)} min`;
  const minutes = Math.round(value / 60);
  if (minutes < 1440) return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
  const hours = Math.round(value / 3600);
  return hours % 24 && hours < 240 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${Math.round(hours / 24)} d`;
}

function bucketLabel(bucket, day, period) {
  if (bucket.name === "day") return date(day);
  if (bucket.name === "month") return new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric", timeZone: "UTC" }).format(day * DAY);
  return `${SHORT.format(Math.max(day, period.from) * DAY)} – ${date(Math.min(day + 6, period.to))}`;
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

const sentence = (text) => element("p", { class: "empty" }, text);

function bar(part) {
  const filled = element("i");
  filled.style.width = `${Math.min(100, Math.max(0, part * 100))}%`;
  return element("span", { class: "bar", "aria-hidden": "true" }, filled);
}

// columns: [{name, text?, wide?, value: row => string | Node | [Node]}]; the first is the row's heading.
function table(caption, columns, rows, { stack = false, whole = false } = {}) {
  const head = element("tr", {}, ...columns.map((column) => element("th", { scope: "col", class: column.text ? "text" : "" }, column.name)));
  const body = rows.map((row) => element("tr", {}, ...columns.map((column, place) => {
    const value = [column.value(row)].flat();
    if (!place) return element("th", { scope: "row" }, ...value);
    const kind = [column.text ? "text" : "", column.wide ? "wide message" : "", column.tone ? column.tone(row) : ""].join(" ").trim();
    return element("td", { class: kind, "data-label": column.name }, ...value);
  })));
  const made = element("table", { class: stack ? "stack" : "" },
    element("caption", { class: "hide" }, caption), element("thead", {}, head), element("tbody", {}, ...body));
  if (whole) return element("div", { class: "scroll whole" }, made);
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, made);
}

function legend(...entries) {
  return element("ul", { class: "legend" }, ...entries.map(([label, color]) => {
    const swatch = element("i", { "aria-hidden": "true" });
    swatch.style.background = color;
    return element("li", {}, swatch, label);
  }));
}

function heatLegend(most, noun) {
  const scale = element("span", { class: "scale", "aria-hidden": "true" }, ...[0, 1, 2, 3, 4, 5, 6].map((step) => {
    const swatch = element("i");
    swatch.style.background = `var(--h${step})`;
    return swatch;
  }));
  return element("p", { class: "legend" }, "0", scale, `${counted(most, noun)} in an hour of the week`);
}
