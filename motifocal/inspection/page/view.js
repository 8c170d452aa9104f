// What the page shows, kept in the address after "#" so that it can be passed on.
"use strict";

const SORTS = ["name", ...Object.keys(ORDERS)];

// The view of somebody who has changed nothing. A range is [first bin, last bin] of a measure.
function plainView() {
  return { query: "", faults: new Set(), match: "any", ranges: {}, sort: "name", down: false,
    overlays: false, clip: "" };
}

function readView(hash) {
  const view = plainView();
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  view.query = said.get("q") ?? "";
  const known = (code) => code === GOOD || Object.hasOwn(REPORT.faults, code);
  view.faults = new Set(said.getAll("fault").filter(known));
  if (said.get("match") === "all") view.match = "all";
  for (const { key, bins } of MEASURES) {
    const range = said.has(key) && rangeOf(bins, said.get(key));
    if (range) view.ranges[key] = range;
  }
  if (SORTS.includes(said.get("sort"))) view.sort = said.get("sort");
  view.down = said.has("down");
  view.overlays = said.has("overlays");
  if (PLACE.has(said.get("clip"))) view.clip = said.get("clip");
  return view;
}

// Whatever differs from the plain view.
function hashOf(view) {
  const said = new URLSearchParams();
  if (view.query) said.set("q", view.query);
  view.faults.forEach((code) => said.append("fault", code));
  if (view.match === "all" && view.faults.size > 1) said.set("match", "all");
  for (const { key, bins } of MEASURES) {
    if (view.ranges[key]) said.set(key, spanOf(bins, view.ranges[key]));
  }
  if (view.sort !== "name") said.set("sort", view.sort);
  if (view.down) said.set("down", "");
  if (view.overlays) said.set("overlays", "");
  if (view.clip) said.set("clip", view.clip);
  return said.toString();
}

// A range as "from~to" in the measure's own numbers: it means the same beside other data.
function spanOf(bins, [first, last]) {
  const to = bins.to(last);
  return `${bins.from(first)}~${to === Infinity ? "" : to}`;
}

function rangeOf(bins, span) {
  const found = /^(-?[\d.]+)~(-?[\d.]*)$/.exec(span);
  if (!found || !bins.count) return null;
  const from = Number(found[1]);
  const to = found[2] ? Number(found[2]) : Infinity;
  if (!(from <= to)) return null;
  const first = bins.bin(from);
  const width = bins.each ? 0 : bins.to(0) - bins.from(0);
  const last = to === Infinity ? bins.count - 1 : bins.bin(to - width / 2);
  return [first, Math.max(first, last)];
}

// --- Which clips a view shows -----------------------------------------------------------------

// The places of the clips shown, in order, and per measure how many the other filters leave in
// each of its bins: what one would see on moving its range.
function chosen(view, places) {
  const words = view.query.toLowerCase().split(/\s+/).filter(Boolean);
  const codes = [...view.faults];
  const ranges = MEASURES.map(({ key }, m) => [m, view.ranges[key]]).filter(([, range]) => range);
  const misses = new Int8Array(CLIPS.length); // -1: none, m: only that range, -2: more than that
  for (let i = 0; i < CLIPS.length; i += 1) {
    misses[i] = fits(i, words, codes, view.match) ? missed(i, ranges) : -2;
  }
  const counts = MEASURES.map((measure, m) =>
    countsOf(measure, (i) => misses[i] === -1 || misses[i] === m));
  return { shown: places.filter((i) => misses[i] === -1), counts };
}

function fits(i, words, codes, match) {
  const has = (code) => CODES[i].has(code);
  if (codes.length && !(match === "all" ? codes.every(has) : codes.some(has))) return false;
  return words.every((word) => WORDS[i].includes(word));
}

function missed(i, ranges) {
  let miss = -1;
  for (const [m, [first, last]] of ranges) {
    const bin = MEASURES[m].binOf[i];
    if (bin >= first && bin <= last) continue;
    if (miss !== -1) return -2;
    miss = m;
  }
  return miss;
}
