"use strict";
// The charts. Colours are the page's own variables, so that dark mode and paper change them without drawing anew.
const drawn = new Map();
const OURS = "var(--ours)", THEIRS = "var(--theirs)";
const STEPS = [0, 1, 2, 3, 4, 5, 6].map((step) => `var(--h${step})`);

const CONFIG = {
  background: null, font: "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif",
  view: { stroke: null }, aria: false,
  axis: { labelColor: "var(--muted)", titleColor: "var(--muted)", gridColor: "var(--line)", domainColor: "var(--line)",
    tickColor: "var(--line)", labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", labelPadding: 6 },
  line: { strokeWidth: 2.5, interpolate: "monotone" }, area: { interpolate: "monotone" },
};

// Draws a chart into `place` with the sentence that says it, a legend, and the same values as a table.
async function chart(place, { spec, says, keys = null, columns, rows, height = 220, open = false }) {
  drawn.get(place)?.finalize();
  const canvas = element("div", { "aria-hidden": "true" });  // Vega sets a role and a label of its own here
  place.replaceChildren(element("figure", {},
    element("figcaption", { class: "note" }, says), keys,
    element("div", { class: "chart", role: "img", "aria-label": says }, canvas),
    element("details", open ? { open: "" } : {}, element("summary", {}, "Show as a table"), table(says, columns, rows))));
  const whole = { $schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container", height, config: CONFIG, autosize: { type: "fit", contains: "padding" }, ...spec };
  drawn.set(place, await vegaEmbed(canvas, whole, { actions: false, renderer: "svg", ast: true, tooltip: { theme: "custom" } }));
}

function plain(place, ...nodes) {
  drawn.get(place)?.finalize();
  drawn.delete(place);
  place.replaceChildren(...nodes);
}

const narrow = () => document.documentElement.clientWidth < 480;
const tips = (...names) => names.map((name) => ({ field: name, type: "nominal" }));

const timeAxis = (bucket) => ({
  field: "at", type: "temporal", scale: { type: "utc" }, title: null,
  axis: { format: bucket.name === "month" ? "%b %Y" : "%-d %b", grid: false, labelOverlap: true, tickCount: narrow() ? 3 : 6, labelFlush: true, labelSeparation: 10 },
});

// A value that is null is left out: its line goes from the one before to the one after.
function overTime(rows, bucket, y) {
  const one = (field, color, tip) => ({
    layer: [
      { mark: { type: "line", stroke: color, invalid: "filter" } },
      { mark: { type: "point", filled: true, size: rows.length > 60 ? 0 : 36, fill: color, opacity: 1 } },
    ],
    encoding: { y: { field, type: "quantitative", ...y }, tooltip: tips("When", ...tip) },
  });
  return {
    data: { values: rows }, encoding: { x: timeAxis(bucket) },
    layer: [one("theirs", THEIRS, ["They answer", "Their turns"]), one("ours", OURS, ["We answer", "Our turns"])],
  };
}

// Reply times stand on a logarithmic scale: one Saturday left until Monday would flatten every other day.
const LASTS = "datum.value >= 86400 ? datum.value / 86400 + ' d' : datum.value >= 3600 ? datum.value / 3600 + ' h' : datum.value >= 60 ? datum.value / 60 + ' min' : datum.value + ' s'";
const TICKS = [1, 10, 60, 600, 3600, 21600, 86400, 604800, 2592000, 31536000];

function logTime(values) {
  const low = TICKS.findLast((tick) => tick <= Math.min(...values)) ?? 1, high = TICKS.find((tick) => tick >= Math.max(...values)) ?? TICKS.at(-1);
  const domain = low < high ? [low, high] : [low, low * 10];
  return { title: null, scale: { type: "log", domain, clamp: true, nice: false },
    axis: { values: TICKS.filter((tick) => tick >= domain[0] && tick <= domain[1]), labelExpr: LASTS, labelOverlap: false } };
}

function volumeSpec(rows, bucket) {
  const colors = { domain: ["Received", "Sent"], range: [THEIRS, OURS] };
  return {
    data: { values: rows },
    mark: { type: "line" },
    encoding: {
      x: timeAxis(bucket), y: { field: "messages", type: "quantitative", title: null, axis: { tickCount: 4, format: ",d", tickMinStep: 1 } },
      color: { field: "kind", type: "nominal", scale: colors, legend: null },
    },
    layer: [
      { mark: { type: "line" } },
      { mark: { type: "point", filled: true, size: 36, opacity: rows.length > 120 ? 0 : 1 }, encoding: { tooltip: tips("When", "kind", "Messages") } },
    ],
  };
}

function weekSpec(rows, most) {
  return {
    data: { values: rows }, mark: { type: "rect", stroke: "var(--card)", strokeWidth: 1.5, cornerRadius: 2 },
    encoding: {
      x: { field: "hour", type: "ordinal", title: null, axis: { values: narrow() ? [0, 6, 12, 18] : [0, 3, 6, 9, 12, 15, 18, 21], labelAngle: 0, labelExpr: "datum.value + ':00'", ticks: false, domain: false } },
      y: { field: "weekday", type: "ordinal", sort: WEEKDAYS, title: null, axis: { ticks: false, domain: false } },
      color: { field: "step", type: "ordinal", scale: { domain: [0, 1, 2, 3, 4, 5, 6], range: STEPS }, legend: null },
      tooltip: tips("When", "Count"),
    },
  };
}

function timesSpec(rows, labels) {
  return {
    data: { values: rows }, mark: { type: "bar", cornerRadiusEnd: 3 },
    encoding: {
      y: { field: "label", type: "ordinal", sort: labels, title: null, axis: { ticks: false, domain: false } },
      yOffset: { field: "side", sort: ["We", "They"] },
      x: { field: "share", type: "quantitative", title: null, axis: { format: ".0%", tickCount: 5 } },
      color: { field: "side", type: "nominal", scale: { domain: ["We", "They"], range: [OURS, THEIRS] }, legend: null },
      tooltip: tips("Reply", "Who", "Turns"),
    },
  };
}

const OUTCOMES = [["delivered", "Delivered", "var(--good)"], ["pending", "On its way", "var(--h3)"],
  ["failed", "Failed", "var(--bad)"], ["unknown", "Not told", "var(--idle)"]];

// Vega keeps bars and scales by their values, and `__proto__` breaks that: a service is its place, named on the axis alone.
function deliverySpec(rows, services) {
  return {
    params: [{ name: "services", value: services }],
    data: { values: rows }, mark: { type: "bar", height: { band: 0.62 } },
    encoding: {
      y: { field: "place", type: "nominal", sort: null, title: null, axis: { ticks: false, domain: false, labelExpr: "services[datum.value]" } },
      x: { field: "share", type: "quantitative", stack: "zero", title: null, scale: { domain: [0, 1] }, axis: { format: ".0%", tickCount: 5 } },
      order: { field: "order", type: "quantitative" },
      color: { field: "outcome", type: "nominal", scale: { domain: OUTCOMES.map((one) => one[1]), range: OUTCOMES.map((one) => one[2]) }, legend: null },
      tooltip: tips("service", "outcome", "Messages"),
    },
  };
}

function limitSpec(rows, bucket, limit) {
  const layer = [
    { mark: { type: "area", fill: OURS, fillOpacity: 0.18, line: { stroke: OURS, strokeWidth: 2 } },
      encoding: { x: timeAxis(bucket), y: { field: "messages", type: "quantitative", title: null, axis: { tickCount: 4, format: ",d", tickMinStep: 1 } }, tooltip: tips("When", "Busiest number") } },
  ];
  if (limit) layer.push({ mark: { type: "rule", stroke: "var(--bad)", strokeDash: [6, 4], strokeWidth: 1.5 }, encoding: { y: { datum: limit } } });
  return { data: { values: rows }, layer };
}
