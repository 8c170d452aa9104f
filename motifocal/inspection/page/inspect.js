// The page: chips, histograms, tools, grid and details brought to one view, and back.
"use strict";

const view = readView(location.hash);
const details = at("details");
const histograms = MEASURES.map((measure) => new Histogram(measure, (range) => {
  if (range) view.ranges[measure.key] = range;
  else delete view.ranges[measure.key];
  apply();
}));
const grid = new Grid(at("grid"), (place) => openClip(place));
const chips = new Map();
let places = []; // all clips, in the view's order
let placed = "";

function apply() {
  if (at("query").value !== view.query) at("query").value = view.query;
  at("sort").value = view.sort;
  setPressed("down", view.down);
  at("arrow").textContent = view.down ? "↓" : "↑";
  setPressed("overlays", view.overlays);
  document.body.classList.toggle("overlays", view.overlays);
  if (placed !== `${view.sort} ${view.down}`) {
    placed = `${view.sort} ${view.down}`;
    places = ordered(view.sort, view.down);
  }
  const { shown, counts } = chosen(view, places);
  histograms.forEach((histogram, m) =>
    histogram.show(view.ranges[MEASURES[m].key], counts[m]));
  showFaults();
  grid.show(shown);
  showCount(shown.length);
  showClip();
  writeAddress();
}

function setPressed(id, pressed) {
  at(id).setAttribute("aria-pressed", String(pressed));
}

function showCount(count) {
  const all = count === CLIPS.length;
  at("shown").textContent = all ? `All ${many(count, "clip")}`
    : `${number(count, 0)} of ${many(CLIPS.length, "clip")}`;
  at("nothing").hidden = count > 0;
  at("reset").hidden = all && !view.query && !view.faults.size
    && !Object.keys(view.ranges).length;
  at("said").textContent = "";
  at("copy").disabled = at("save").disabled = count === 0;
}

function showEverything() {
  Object.assign(view, { query: "", faults: new Set(), match: "any", ranges: {} });
  apply();
  at("query").focus();
}

let writing = 0;
function writeAddress() {
  clearTimeout(writing); // browsers allow few changes of the address per second
  writing = setTimeout(() => {
    const hash = hashOf(view);
    const address = hash ? `#${hash}` : location.pathname + location.search;
    if (`#${hash}` !== (location.hash || "#")) history.replaceState(null, "", address);
  }, 150);
}

// --- Faults: a chip each ----------------------------------------------------------------------

function makeChips() {
  const counts = REPORT.summary.by_fault;
  const listed = Object.entries(REPORT.faults)
    .map(([code, fault]) => ({ code, ...fault, count: counts[code] ?? 0 }));
  listed.sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level) || b.count - a.count);
  listed.push({ code: GOOD, level: GOOD, title: "Good", count: REPORT.summary.good,
    help: "Nothing was found." });
  for (const { code, level, title, help, count } of listed) {
    if (count === 0) continue;
    const button = element("button", { type: "button", title: help, "data-code": code }, mark(level),
      title, element("small", {}, number(count, 0)));
    button.addEventListener("click", () => {
      if (!view.faults.delete(code)) view.faults.add(code);
      apply();
    });
    const words = element("div", { hidden: "" }, element("dt", {}, mark(level), title),
      element("dd", {}, help), element("dd", { class: "print" }, many(count, "clip")));
    chips.set(code, { button, words });
    at("faults").append(element("li", { class: "chip", "data-level": level }, button));
    at("helps").append(words);
  }
  const absent = listed.filter(({ code, count }) => code !== GOOD && !count);
  at("absent").hidden = !absent.length;
  at("absent").append(`Not found: ${absent.map(({ title }) => title).join(", ")}`);
}

function showFaults() {
  for (const [code, { button, words }] of chips) {
    button.setAttribute("aria-pressed", String(view.faults.has(code)));
    words.hidden = !view.faults.has(code);
  }
  at("match").hidden = view.faults.size < 2;
  for (const radio of document.querySelectorAll("[name=match]")) {
    radio.checked = radio.value === view.match;
  }
}

// --- Details ----------------------------------------------------------------------------------

function openClip(place) {
  view.clip = CLIPS[place].name;
  showClip();
  writeAddress();
}

function showClip() {
  if (!view.clip) {
    if (details.open) details.close();
    return;
  }
  const place = PLACE.get(view.clip);
  const index = grid.shown.indexOf(place);
  fillDetails(CLIPS[place], index, grid.shown.length);
  if (!details.open) details.showModal();
  at("details-name").focus();
  details.scrollTop = 0;
}

function step(by) {
  const index = grid.shown.indexOf(PLACE.get(view.clip));
  const next = grid.shown[index + by];
  if (index >= 0 && next !== undefined) openClip(next);
}

function closed() {
  const index = grid.shown.indexOf(PLACE.get(view.clip));
  view.clip = "";
  writeAddress();
  if (index >= 0) grid.focus(index);
}

// --- Names, for scripts -----------------------------------------------------------------------

// One name a line. A name that holds a line's end would be taken for two.
function namesShown() {
  const names = grid.shown.map((place) => CLIPS[place].name);
  const whole = names.filter((name) => !/[\r\n\0]/.test(name));
  return { text: whole.map((name) => `${name}\n`).join(""), count: whole.length,
    lost: names.length - whole.length };
}

function say(done, { count, lost }) {
  const without = lost ? `; ${many(lost, "name")} with a line break left out` : "";
  at("said").textContent = `${done} ${many(count, "name")}${without}`;
}

async function copyNames() {
  const names = namesShown();
  try {
    await navigator.clipboard.writeText(names.text);
    say("Copied", names);
  } catch (error) {
    // Not everywhere allowed: on plain http there is no clipboard at all.
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    at("said").textContent = "This browser does not let the page copy; save the names instead";
  }
}

function saveNames() {
  const names = namesShown();
  const address = URL.createObjectURL(new Blob([names.text], { type: "text/plain" }));
  element("a", { href: address, download: "clips.txt" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
  say("Saved", names);
}

// --- The start --------------------------------------------------------------------------------

function listen() {
  const on = (id, event, act) => at(id).addEventListener(event, act);
  const set = (change) => { Object.assign(view, change); apply(); };
  on("query", "input", () => set({ query: at("query").value }));
  on("sort", "change", () => set({ sort: at("sort").value }));
  on("down", "click", () => set({ down: !view.down }));
  on("overlays", "click", () => set({ overlays: !view.overlays }));
  on("match", "change", (event) => set({ match: event.target.value }));
  on("reset", "click", showEverything);
  on("copy", "click", copyNames);
  on("save", "click", saveNames);
  on("previous", "click", () => step(-1));
  on("next", "click", () => step(1));
  on("close", "click", () => details.close());
  on("skip", "click", (event) => { event.preventDefault(); at("clips").focus(); });
  details.addEventListener("close", closed);
  details.addEventListener("click", (event) => {
    const link = event.target.closest("[data-clip]");
    if (event.target === details) details.close(); // its ground
    if (!link) return;
    event.preventDefault();
    openClip(PLACE.get(link.dataset.clip));
  });
  details.addEventListener("keydown", ({ key }) => {
    if (key === "ArrowLeft") step(-1);
    if (key === "ArrowRight") step(1);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || details.open || event.target.closest("input:not([type=range])")) return;
    event.preventDefault();
    at("query").focus();
  });
  addEventListener("hashchange", (event) => {
    // Not location.hash, which an older view may have been written to meanwhile.
    Object.assign(view, readView(new URL(event.newURL).hash));
    apply();
  });
}

function showSettings() {
  const words = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const rows = Object.entries(REPORT.settings).flatMap(([name, value]) =>
    (value && typeof value === "object" && !Array.isArray(value)
      ? Object.entries(value).map(([inner, held]) => [`${name}: ${inner}`, words(held)])
      : [[name, words(value)]]));
  at("settings").replaceWith(factList(rows));
}

makeChips();
at("histograms").append(...histograms.map(({ root }) => root));
at("spread").open = matchMedia("(min-width: 40rem)").matches || Object.keys(view.ranges).length > 0;
addEventListener("beforeprint", () => { at("spread").open = true; });
showSettings();
listen();
apply();
