// The drawing: probabilities over time, the segments below, an axis. No state of the page is known here.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = { chart: 170, gap: 6, strip: 28, axis: 18 };
const UNSURE = 7;  // pixels, below the name of the segment
const STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

export function clock(seconds, digits = 0) {
  const unit = 10 ** digits, whole = Math.floor(seconds * unit + 1e-6), rest = whole % unit;
  const all = Math.floor(whole / unit), s = String(all % 60).padStart(2, "0");
  const hours = Math.floor(all / 3600), minutes = Math.floor(all / 60) % 60;
  const head = hours ? `${hours}:${String(minutes).padStart(2, "0")}` : String(minutes);
  return `${head}:${s}${digits ? `.${String(rest).padStart(digits, "0")}` : ""}`;
}

export function ink(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

// Stretches that follow each other without a hole, each with an answer.
function runs(stretches) {
  const found = [];
  let last = null;
  for (const one of stretches) {
    if (!one.probabilities) { last = null; continue; }
    if (last && one.start - last.end < 1e-3) found[found.length - 1].push(one);
    else found.push([one]);
    last = one;
  }
  return found;
}

function steps(run, x, y, value) {
  return run.map((one, k) => {
    const level = y(value(one)).toFixed(1);
    return `${k ? "V" + level : "M" + x(one.start).toFixed(1) + " " + level}H${x(one.end).toFixed(1)}`;
  }).join("");
}

function area(run, x, y, below, above) {
  const back = [...run].reverse().map((one) => {
    const level = y(below(one)).toFixed(1);
    return `V${level}H${x(one.start).toFixed(1)}`;
  }).join("");
  return `${steps(run, x, y, above)}${back}Z`;
}

function add(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

// data: {labels, colours, seconds, timeline, segments, unsure}; returns an <svg> as wide as asked.
export function draw(data, width, style) {
  const { chart, gap, strip, axis } = HEIGHT;
  const height = chart + gap + strip + axis;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-hidden", "true");
  const x = (seconds) => (seconds / data.seconds) * width;
  const y = (share) => 1 + (chart - 2) * (1 - share);
  const hatch = add(add(svg, "defs", {}), "pattern", { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  add(hatch, "rect", { width: 3.5, height: 7, fill: "#ffffff" });

  add(svg, "rect", { x: 0, y: 0, width, height: chart, fill: "#f4f6f8" });
  const connected = runs(data.timeline);
  const sums = new Map(data.timeline.map((one) => [one, 0]));
  [...data.labels.keys()].reverse().forEach((number) => {  // the first one on top, as in a list
    const label = data.labels[number];
    const colour = data.colours[number], of = (one) => one.probabilities[label] ?? 0;
    if (style === "lines") {
      const path = connected.map((run) => steps(run, x, y, of)).join("");
      add(svg, "path", { d: path, fill: "none", stroke: colour, "stroke-width": 2, "data-label": label });
      return;
    }
    const path = connected.map((run) => area(run, x, y, (one) => sums.get(one), (one) => sums.get(one) + of(one))).join("");
    add(svg, "path", { d: path, fill: colour, "data-label": label });
    for (const run of connected) for (const one of run) sums.set(one, sums.get(one) + of(one));
  });
  for (const share of style === "lines" ? [0, 0.5, 1] : []) {
    add(svg, "line", { x1: 0, x2: width, y1: y(share), y2: y(share), class: "axis" });
    if (share) add(svg, "text", { x: 4, y: y(share) + 13 }, `${100 * share} %`);
  }

  const top = chart + gap;
  for (const one of data.segments) {
    const left = x(one.start), wide = Math.max(x(one.end) - left, 0.5);
    const colour = data.colours[data.labels.indexOf(one.label)] ?? "#888888";
    const box = add(svg, "rect", { x: left, y: top, width: wide, height: strip, fill: colour, stroke: "#ffffff", "stroke-width": wide > 4 ? 1 : 0, class: "segment" });
    add(box, "title", {}, `${clock(one.start, 1)} to ${clock(one.end, 1)}: ${one.label}`);
    if (wide > 9 + 7.2 * one.label.length) add(svg, "text", { x: left + wide / 2, y: top + 15, "text-anchor": "middle", class: "inside" }, one.label).style.fill = ink(colour);
  }
  for (const one of data.unsure) add(svg, "rect", { x: x(one.start), y: top + strip - UNSURE, width: x(one.end) - x(one.start), height: UNSURE, fill: "url(#hatch)", class: "unsure" });

  const step = STEPS.find((one) => x(one) >= 64) ?? 14400;
  for (let at = 0; at <= data.seconds + 1e-6; at += step) {
    const anchor = at === 0 ? "start" : x(at) > width - 16 ? "end" : "middle";
    add(svg, "line", { x1: x(at), x2: x(at), y1: top + strip, y2: top + strip + 4, class: "axis" });
    add(svg, "text", { x: x(at), y: height - 3, "text-anchor": anchor }, clock(at, step < 1 ? 1 : 0));
  }
  return svg;
}
