// All that is known of one clip, in a dialog: its images, words, faults, and what is trained on.
"use strict";

const MOST_STRIPES = 400; // single frames drawn for one sample; more become one paler bar
const MOST_LANES = 6; // samples that overlap lie in lanes; more share one

const partners = new Map(); // name of a clip -> those that show the same
for (const { name, duplicate_of: other } of CLIPS) {
  if (other !== null) partners.set(other, [...(partners.get(other) ?? []), name]);
}

function fillDetails(clip, index, count) {
  at("details-name").textContent = clip.name;
  at("details-place").textContent = index < 0 ? "not among those shown"
    : `${number(index + 1, 0)} of ${number(count, 0)} shown`;
  at("previous").disabled = index <= 0;
  at("next").disabled = index < 0 || index >= count - 1;
  at("details-body").replaceChildren(sheet(clip),
    clip.caption === null ? element("p", { class: "caption lacking" }, "No caption")
      : element("blockquote", { class: "caption", dir: "auto" }, clip.caption),
    faultList(clip), ...trained(clip), facts(clip));
}

// Both rows of the thumbnail, whole.
function sheet(clip) {
  if (!clip.thumb) return element("p", { class: "lacks" }, "no image");
  const image = element("img", { src: clip.thumb, decoding: "async", width: clip.thumb_width * 4,
    height: clip.thumb_height * 2,
    alt: "Four frames of the clip; below, the same with the heatmap laid over them" });
  const root = element("figure", { class: "sheet" }, image);
  image.addEventListener("error", () =>
    root.replaceWith(element("p", { class: "lacks" }, "no image")), { once: true });
  return root;
}

function faultList(clip) {
  if (!clip.faults.length) {
    return element("p", { class: "state" }, mark(clip.level), "Nothing is wrong with it");
  }
  return element("ul", { class: "found" }, ...faultsOf(clip).map(({ code, words }) => {
    const { level, title, help } = REPORT.faults[code];
    const heading = element("strong", {}, title);
    heading.prepend(element("span", { class: "unseen" }, `${level}: `));
    return element("li", {}, mark(level),
      element("div", {}, heading, `: ${words}`, element("small", {}, help)));
  }));
}

// --- What is trained on -----------------------------------------------------------------------

// "5", "0-80", "0-160 in steps of 2", "81 of 0-100": first and last frame, and how they lie.
function sampleOf(words) {
  const found = /^(?:(\d+) of )?(\d+)(?:-(\d+))?(?: in steps of (\d+))?$/.exec(words);
  if (!found) return null;
  const first = Number(found[2]);
  const last = Number(found[3] ?? first);
  const step = Number(found[4] ?? 1);
  return step > 0 && last >= first ? { first, last, step, loose: found[1] !== undefined } : null;
}

// Each sample with the first lane in which it overlaps no other.
function inLanes(samples) {
  const ends = [];
  const laid = samples.toSorted((a, b) => a.first - b.first).map((sample) => {
    let lane = ends.findIndex((end) => end < sample.first);
    if (lane < 0) lane = ends.length;
    ends[lane] = sample.last;
    return { sample, lane };
  });
  const lanes = ends.length > MOST_LANES ? 1 : Math.max(ends.length, 1);
  return { lanes, laid: laid.map(({ sample, lane }) => ({ sample, lane: Math.min(lane, lanes - 1) })) };
}

// How many samples there are: the last of a long list may say only how many more.
function sampleCount({ samples }) {
  const more = /^and (\d+) more$/.exec(samples.at(-1) ?? "");
  return more ? samples.length - 1 + Number(more[1]) : samples.length;
}

function trained(clip) {
  const samples = clip.samples.map(sampleOf).filter(Boolean);
  const count = sampleCount(clip);
  const part = samples.length < count ? `, of which ${samples.length} are drawn` : "";
  const said = count ? `${many(count, "sample")}${part}: ${shortened(clip.samples)}`
    : "No sample: nothing of it is trained on";
  const cuts = clip.cuts.length ? `Cut at ${shortened(clip.cuts.map(String))}` : "";
  const heading = element("h3", {}, "Frames to train on");
  const words = element("p", { class: "quiet" }, [said, left(clip, samples), cuts]
    .filter(Boolean).join(". "));
  return clip.frames ? [heading, timeline(clip, samples), words] : [heading, words];
}

function shortened(list) {
  return list.length <= 12 ? list.join(", ")
    : `${list.slice(0, 10).join(", ")}, …, ${list.at(-1)}`;
}

// How many frames are in no sample, where that can be told.
function left(clip, samples) {
  const told = samples.length === clip.samples.length && samples.every(({ loose }) => !loose);
  if (!clip.frames || !samples.length || !told) return "";
  const used = new Uint8Array(clip.frames);
  for (const { first, last, step } of samples) {
    for (let i = first; i <= Math.min(last, clip.frames - 1); i += step) used[i] = 1;
  }
  const count = clip.frames - used.reduce((sum, one) => sum + one, 0);
  return count ? `${many(count, "frame")} in none` : "Every frame is used";
}

function timeline({ frames, seconds, cuts }, samples) {
  const { lanes, laid } = inLanes(samples);
  const rect = (x, width, lane, name) => element("rect", { x, width, y: lane * 10 + 1, height: 8,
    class: name });
  const bars = laid.flatMap(({ sample: { first, last, step, loose }, lane }) => {
    const count = Math.floor((last - first) / step) + 1;
    const striped = step > 1 && count <= MOST_STRIPES;
    return striped ? Array.from({ length: count }, (_, i) => rect(first + i * step, 1, lane, "taken"))
      : [rect(first, last - first + 1, lane, loose || step > 1 ? "taken loose" : "taken")];
  });
  // A line has no width of its own where the drawing is stretched, so cuts look alike in all clips.
  const marks = cuts.map((cut) => element("line", { x1: cut, x2: cut, y1: 0, y2: lanes * 10,
    class: "cut" }, element("title", {}, `Cut at frame ${cut}`)));
  const drawn = element("svg", { viewBox: `0 0 ${frames} ${lanes * 10}`, class: "timeline",
    preserveAspectRatio: "none", "aria-hidden": "true" },
    element("rect", { x: 0, y: 0, width: frames, height: lanes * 10, class: "ground" }),
    ...bars, ...marks);
  drawn.style.setProperty("--lanes", lanes);
  const end = seconds === null ? "" : ` (${number(seconds, 2)} s)`;
  return element("div", { class: "timeline-box" }, drawn, element("p", { class: "ends" },
    element("span", {}, "frame 0"), element("span", {}, `${number(frames - 1, 0)}${end}`)));
}

// --- Facts ------------------------------------------------------------------------------------

function facts(clip) {
  const share = (value, unit) => (value === null ? null : `${number(value)} ${unit}`);
  const rate = clip.fps === null ? null : `${number(clip.fps, 3)} frames/s`;
  const rows = [
    ["Size", sized(clip) ? `${clip.width} × ${clip.height}` : null],
    ["Frames", clip.frames === null ? null : number(clip.frames, 0)],
    ["Rate", rate && clip.variable_rate ? `${rate} on average, variable` : rate],
    ["Length", clip.seconds === null ? null : `${number(clip.seconds, 2)} s`],
    ["File", fileSize(clip.bytes)],
    ["Moving fraction", share(scaled(clip.moving_fraction, 100), "% of the frame")],
    ["Motion", share(clip.motion, "% of the shorter side a second")],
    ["Camera", share(clip.camera, "% of the shorter side a second")],
  ];
  if (clip.duplicate_of !== null) rows.push(["Shows the same as", linkTo(clip.duplicate_of)]);
  const others = partners.get(clip.name) ?? [];
  if (others.length) {
    const links = others.slice(0, 20).map((name) => element("li", {}, linkTo(name)));
    if (others.length > 20) links.push(element("li", {}, `and ${others.length - 20} more`));
    rows.push(["Shown again by", element("ul", {}, ...links)]);
  }
  return factList(rows.filter(([, value]) => value !== null));
}

function factList(rows) {
  return element("dl", { class: "facts" }, ...rows.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function fileSize(bytes) {
  const [unit, size] = [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]].find(([, least]) => bytes >= least)
    ?? ["bytes", 1];
  return `${number(bytes / size)} ${unit}`;
}

function linkTo(name) {
  if (!PLACE.has(name)) return name;
  return element("a", { class: "link", href: `#${new URLSearchParams({ clip: name })}`,
    "data-clip": name }, name);
}
