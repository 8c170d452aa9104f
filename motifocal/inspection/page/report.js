// The report's clips, what is measured of them, and into which bins each measure is sorted.
"use strict";

const REPORT = JSON.parse(document.getElementById("report").textContent);
const CLIPS = REPORT.clips;
const LEVELS = ["error", "warning", "note", "good"];
const MARKS = { error: "✕", warning: "!", note: "i", good: "✓" };
const GOOD = "good"; // in the place of a fault's code: clips without one
const MOST_BINS = 24;
const MOST_VALUES = 10; // as many different ones get a bar each

const number = (value, digits = 1) => value.toLocaleString("en", { maximumFractionDigits: digits });
const many = (count, word) => `${number(count, 0)} ${word}${count === 1 ? "" : "s"}`;
const scaled = (value, factor) => (value === null ? null : value * factor);

// What there is a histogram of. `of` gives null where it is not known.
const MEASURES = [
  { key: "moving_fraction", title: "Moving fraction", unit: "%", words: "% of the frame", help: "Mean over all frames",
    of: (clip) => scaled(clip.moving_fraction, 100) },
  { key: "motion", title: "Motion", unit: "%/s", words: "%/s, what moves itself",
    help: "In % of the shorter side a second, without the camera",
    of: (clip) => clip.motion },
  { key: "camera", title: "Camera", unit: "%/s", words: "%/s, the camera itself",
    help: "In % of the shorter side a second",
    of: (clip) => clip.camera },
  { key: "seconds", title: "Length", unit: "s", of: (clip) => clip.seconds },
  { key: "fps", title: "Frame rate", unit: "frames/s",
    of: (clip) => clip.fps && Math.round(clip.fps * 100) / 100 },
  { key: "side", title: "Shorter side", unit: "pixels",
    of: (clip) => (sized(clip) ? Math.min(clip.width, clip.height) : null) },
  { key: "aspect", title: "Width : height", unit: "",
    of: (clip) => (sized(clip) ? Math.round((clip.width / clip.height) * 100) / 100 : null) },
];

function sized({ width, height }) {
  return width !== null && height !== null;
}

// Few different values: a bin each. Many: bins of one round width; the last holds all that is more.
// `bin` sorts a value, `from` and `to` say in numbers where a bin begins and ends.
function binsOf(values) {
  const sorted = Float64Array.from(values.filter((value) => value !== null)).sort();
  const different = [...new Set(sorted)];
  if (different.length <= MOST_VALUES) {
    return { count: different.length, each: true, bin: (value) => nearest(different, value),
      from: (i) => different[i], to: (i) => different[i] };
  }
  const least = sorted[0];
  const most = sorted[Math.ceil(sorted.length * 0.99) - 1]; // one outlier should not flatten all
  const step = roundStep((most - least) / (MOST_BINS - 2) || 1);
  const start = Math.floor(least / step) * step;
  const count = Math.max(1, Math.floor((most - start) / step + 1e-9) + 1);
  const open = sorted.at(-1) >= start + count * step;
  const clean = (value) => Number(value.toPrecision(10));
  return { count, each: false,
    bin: (value) => Math.min(Math.max(Math.floor((value - start) / step + 1e-9), 0), count - 1),
    from: (i) => clean(start + i * step),
    to: (i) => (i === count - 1 && open ? Infinity : clean(start + (i + 1) * step)) };
}

// The smallest of 1, 2, 2.5, 5, 10, 20, ... times a power of ten that is not below `least`.
function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 2.5, 5, 10].find((factor) => factor * power >= least * (1 - 1e-9)) * power;
}

function nearest(sorted, value) {
  const gaps = sorted.map((other) => Math.abs(other - value));
  return gaps.indexOf(Math.min(...gaps));
}

for (const measure of MEASURES) {
  const values = CLIPS.map(measure.of);
  measure.bins = binsOf(values);
  measure.binOf = Int16Array.from(values, (value) => (value === null ? -1 : measure.bins.bin(value)));
  measure.totals = countsOf(measure, () => true);
}

// How many of the clips (by number) that `fits` takes lie in each bin.
function countsOf({ bins, binOf }, fits) {
  const counts = new Array(bins.count).fill(0);
  binOf.forEach((bin, i) => { if (bin >= 0 && fits(i)) counts[bin] += 1; });
  return counts;
}

const PLACE = new Map(CLIPS.map((clip, i) => [clip.name, i]));
const WORDS = CLIPS.map((clip) => `${clip.name}\n${clip.caption ?? ""}`.toLowerCase());
const CODES = CLIPS.map((clip) => new Set(clip.faults.length
  ? clip.faults.map((fault) => fault.code) : [GOOD]));

// The places of all clips, in an order. Clips of which it is not known come last, either way round.
const ORDERS = {
  level: (clip) => LEVELS.indexOf(clip.level), moving_fraction: (clip) => clip.moving_fraction,
  motion: (clip) => clip.motion, camera: (clip) => clip.camera, seconds: (clip) => clip.seconds,
};
const byName = (() => {
  const { compare } = new Intl.Collator("en", { numeric: true });
  return CLIPS.map((_, i) => i).sort((a, b) => compare(CLIPS[a].name, CLIPS[b].name) || a - b);
})();

function ordered(key, down) {
  const sign = down ? -1 : 1;
  if (key === "name") return down ? byName.toReversed() : byName;
  const of = CLIPS.map(ORDERS[key]);
  const known = byName.filter((i) => of[i] !== null);
  known.sort((a, b) => sign * (of[a] - of[b])); // stable: by name where equal
  return [...known, ...byName.filter((i) => of[i] === null)];
}

// An element with attributes and children; text only ever becomes a text node.
function element(tag, attributes = {}, ...children) {
  const drawn = ["svg", "rect", "line", "title"].includes(tag);
  const made = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const at = (id) => document.getElementById(id);

// What is wrong with a clip, the worst first.
function faultsOf(clip) {
  const rank = (fault) => LEVELS.indexOf(REPORT.faults[fault.code].level);
  return clip.faults.toSorted((a, b) => rank(a) - rank(b));
}

function mark(level) {
  return element("span", { class: "mark", "data-level": level, "aria-hidden": "true" }, MARKS[level]);
}
