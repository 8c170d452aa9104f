// The page: its cards, the controls and the keys.
"use strict";

const at = (id) => document.getElementById(id);
const view = readView(location.hash);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const cards = GALLERY.pairs.map((pair, i) => new Card(pair, i, view, () => setPlaying(false)));
const cardOf = new Map(cards.map((card) => [card.root, card]));
const chips = GALLERY.models.map(chip);

// --- The view: filters, models, seed, size, speed -------------------------------------------

function changed({ reload = false } = {}) {
  remember(view);
  if (reload) cards.forEach((card) => card.row && card.unload());
  apply();
}

// Bring the whole page to the view.
function apply() {
  at("query").value = view.query;
  for (const name of ["scenario", "seed", "size", "speed"]) at(name).value = view[name];
  at("shortcuts").checked = view.shortcuts;
  document.body.dataset.size = view.size;
  const words = view.query.toLowerCase().split(/\s+/).filter(Boolean);
  for (const card of cards) {
    const fits = !view.scenario || card.pair.scenario === view.scenario;
    card.root.hidden = !(fits && words.every((word) => card.words.includes(word)));
    card.arrange(view);
    card.row?.setRate(view.speed);
  }
  view.order.forEach((number, place) => showChip(number, place));
  showCount();
  writeAddress();
  soon();
}

function showCount() {
  const count = cards.filter((card) => !card.root.hidden).length;
  const all = count === cards.length;
  at("shown").textContent = all ? `All ${count} pairs` : count
    ? `${count} of ${cards.length} pairs` : "No pair matches";
  at("reset").hidden = all && !view.hidden.size;
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

function toggleModel(number) {
  if (!view.hidden.delete(number)) view.hidden.add(number);
  changed({ reload: true });
}

function moveModel(number, place) {
  view.order = view.order.filter((other) => other !== number);
  view.order.splice(place, 0, number);
  changed();
}

function setSeed(seed) {
  view.seed = seed;
  cards.forEach((card) => card.row && card.unload());
  cards.forEach((card) => card.fill(view));
  changed();
}

function showEverything() {
  Object.assign(view, { query: "", scenario: "", hidden: new Set() });
  changed({ reload: true });
}

// --- Models: a chip each --------------------------------------------------------------------

function chip({ name, lacking }, number) {
  const key = element("kbd", { "aria-hidden": "true" });
  const toggle = element("button", { type: "button", class: "name" }, key, name);
  if (lacking) toggle.append(element("small", {}, `${lacking} missing`));
  toggle.addEventListener("click", () => toggleModel(number));
  const move = (step, word, sign) => {
    const button = element("button", { type: "button", class: "move",
      "aria-label": `Move ${name} ${word}`, title: `Move ${word}` }, sign);
    button.addEventListener("click", () => {
      moveModel(number, view.order.indexOf(number) + step);
      button.focus();
    });
    return button;
  };
  const root = element("li", { class: "chip", draggable: "true" },
    move(-1, "left", "‹"), toggle, move(1, "right", "›"));
  root.addEventListener("dragstart", (event) => {
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/x-model", String(number));
  });
  const isModel = ({ dataTransfer }) => dataTransfer.types.includes("text/x-model");
  root.addEventListener("dragover", (event) => isModel(event) && event.preventDefault());
  root.addEventListener("drop", (event) => {
    if (!isModel(event)) return;
    event.preventDefault();
    const dragged = Number(event.dataTransfer.getData("text/x-model"));
    if (dragged !== number) moveModel(dragged, view.order.indexOf(number));
  });
  return { root, toggle, key };
}

function showChip(number, place) {
  const { root, toggle, key } = chips[number];
  const [left, right] = root.querySelectorAll(".move");
  left.disabled = place === 0;
  right.disabled = place === view.order.length - 1;
  key.textContent = place < 9 ? place + 1 : "";
  toggle.setAttribute("aria-pressed", String(!view.hidden.has(number)));
  const there = at("models").children[place] ?? null;
  if (there !== root) at("models").insertBefore(root, there);
}

// --- Player and keys ------------------------------------------------------------------------

function go(step) {
  const shown = cards.filter((card) => !card.root.hidden);
  const place = shown.indexOf(current) + step;
  goTo(shown[Math.min(Math.max(place, 0), shown.length - 1)]);
}

function goTo(card) {
  if (!card) return;
  setCurrent(card);
  view.pair = card.pair.key;
  writeAddress();
  const block = card.root.offsetHeight < innerHeight / 2 ? "center" : "start";
  card.root.scrollIntoView({ block, behavior: "instant" });
}

function showFrame(number) {
  if (!current?.row) return;
  setPlaying(false);
  current.row.show(number);
}

// The slider and the words beside it follow the current pair.
function follow() {
  const row = current?.row;
  const known = Boolean(row?.duration);
  const scrub = at("scrub");
  scrub.disabled = !known;
  if (known) {
    const place = `frame ${row.at + 1} of ${row.frames}`;
    if (at("time").textContent !== place) {
      at("time").textContent = place;
      scrub.setAttribute("aria-valuetext", place);
    }
    scrub.max = row.frames - 1;
    if (!scrub.matches(":active")) scrub.value = row.at;
  }
  requestAnimationFrame(follow);
}

const KEYS = {
  j: () => go(1), ArrowRight: () => go(1), k: () => go(-1), ArrowLeft: () => go(-1),
  " ": () => setPlaying(!playing),
  ",": () => current?.row && showFrame(current.row.at - 1),
  ".": () => current?.row && showFrame(current.row.at + 1),
  s: () => setSeed(GALLERY.seeds[(GALLERY.seeds.indexOf(view.seed) + 1) % GALLERY.seeds.length]),
  "/": () => at("query").focus(),
  "?": () => at("help").showModal(),
};

function pressed(event) {
  const { key, target } = event;
  if (key === "Escape" && target === at("query")) target.blur();
  if (!view.shortcuts || event.ctrlKey || event.metaKey || event.altKey || at("help").open) return;
  const typing = target.closest("input:not([type=range]), select");
  const pressing = key === " " && target.closest("button, a");
  const sliding = key.startsWith("Arrow") && target.closest("[type=range]");
  if (typing || pressing || sliding) return;
  if (/^[1-9]$/.test(key) && key <= view.order.length) toggleModel(view.order[key - 1]);
  else if (Object.hasOwn(KEYS, key)) KEYS[key]();
  else return;
  event.preventDefault();
}

// --- The start ------------------------------------------------------------------------------

function describe() {
  const { counts, videos, lacking, models } = GALLERY;
  const many = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
  const words = [many(counts.pairs, "pair"), many(counts.images, "image"),
    many(models.length, "model"), many(videos, "video")];
  if (counts.scenarios > 1) words.splice(1, 0, many(counts.scenarios, "scenario"));
  at("counts").textContent = words.join(" · ");
  if (lacking) at("counts").append(" · ", element("strong", {}, `${lacking} missing`));
  at("marks").append(...GALLERY.marks.map((mark) => element("li", { class: "mark" }, mark)));
}

function options() {
  const times = new Map();
  for (const { scenario } of GALLERY.pairs) times.set(scenario, (times.get(scenario) ?? 0) + 1);
  const choice = (value, words) => element("option", { value }, words);
  const named = [...times].filter(([scenario]) => scenario);
  at("scenario").append(choice("", `all (${cards.length})`),
    ...named.map(([scenario, count]) => choice(scenario, `${scenario} (${count})`)));
  at("scenario").parentNode.hidden = named.length < 2;
  at("seed").append(...GALLERY.seeds.map((seed) => choice(seed, String(seed))));
  at("seed-field").hidden = GALLERY.seeds.length < 2;
}

function listen() {
  const on = (id, event, act) => at(id).addEventListener(event, act);
  on("filters", "submit", (event) => event.preventDefault());
  on("query", "input", () => { view.query = at("query").value; changed(); });
  on("scenario", "change", () => { view.scenario = at("scenario").value; changed(); });
  on("size", "change", () => { view.size = at("size").value; changed(); });
  on("speed", "change", () => { view.speed = Number(at("speed").value); changed(); });
  on("seed", "change", () => setSeed(Number(at("seed").value)));
  on("shortcuts", "change", () => { view.shortcuts = at("shortcuts").checked; changed(); });
  on("reset", "click", showEverything);
  on("previous", "click", () => go(-1));
  on("next", "click", () => go(1));
  on("play", "click", () => setPlaying(!playing));
  on("back", "click", KEYS[","]);
  on("forward", "click", KEYS["."]);
  on("help-button", "click", KEYS["?"]);
  on("scrub", "input", () => current?.row && showFrame(Number(at("scrub").value)));
  on("skip", "click", (event) => { event.preventDefault(); at("pairs").focus(); });
  on("pairs", "click", (event) => {
    const card = cardOf.get(event.target.closest(".pair"));
    if (!card) return;
    setCurrent(card);
    if (event.target.closest(".link")) { event.preventDefault(); goTo(card); }
  });
  document.addEventListener("keydown", pressed);
  document.addEventListener("visibilitychange", () => cards.forEach(drive));
  calm.addEventListener("change", () => calm.matches && setPlaying(false));
  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", soon);
  addEventListener("hashchange", (event) => {
    const { seed } = view;
    // Not location.hash, which an older view may have been written to meanwhile.
    Object.assign(view, readView(new URL(event.newURL).hash));
    cards.forEach((card) => card.row && card.unload());
    if (view.seed !== seed) cards.forEach((card) => card.fill(view));
    apply();
    goTo(cards.find((card) => card.pair.key === view.pair));
  });
}

describe();
options();
listen();
at("pairs").append(...cards.map((card) => card.root));
setPlaying(!calm.matches);
apply();
goTo(cards.find((card) => card.pair.key === view.pair));
cards.forEach(watch);
follow();
