// What the page shows, kept in the address so that it can be passed on, and in the browser.
"use strict";

const SPEEDS = [0.25, 0.5, 1, 2];
const SIZES = ["small", "medium", "large"];
const SHELF = `motifocal-gallery:${location.pathname}`;

// The view of somebody who has changed nothing. Models are numbers into GALLERY.models.
function plainView() {
  return {
    query: "", scenario: "", pair: "", seed: GALLERY.seeds[0], size: "medium", speed: 1,
    order: GALLERY.models.map((_, i) => i), hidden: new Set(), shortcuts: true,
  };
}

// From the address; what it leaves open from the browser's memory, and then the plain view.
function readView(hash) {
  const view = { ...plainView(), ...remembered() };
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  view.query = said.get("q") ?? "";
  view.pair = said.get("pair") ?? "";
  const scenario = said.get("scenario") ?? "";
  if (GALLERY.pairs.some((pair) => pair.scenario === scenario)) view.scenario = scenario;
  const seed = Number(said.get("seed") ?? NaN);
  if (GALLERY.seeds.includes(seed)) view.seed = seed;
  if (SIZES.includes(said.get("size"))) view.size = said.get("size");
  if (SPEEDS.includes(Number(said.get("speed")))) view.speed = Number(said.get("speed"));
  if (said.has("model")) view.order = complete(said.getAll("model"));
  if (said.has("hide")) view.hidden = new Set(numbers(said.getAll("hide")));
  return view;
}

// The address's part after "#": whatever differs from the plain view.
function hashOf(view) {
  const plain = plainView();
  const said = new URLSearchParams();
  if (view.query) said.set("q", view.query);
  if (view.scenario) said.set("scenario", view.scenario);
  for (const name of ["seed", "size", "speed"]) {
    if (view[name] !== plain[name]) said.set(name, view[name]);
  }
  const name = (number) => GALLERY.models[number].name;
  if (view.order.some((number, i) => number !== plain.order[i])) {
    view.order.forEach((number) => said.append("model", name(number)));
  }
  view.order.forEach((number) => view.hidden.has(number) && said.append("hide", name(number)));
  if (view.pair) said.set("pair", view.pair);
  return said.toString();
}

// Models by name -> their numbers; names that there are not (any more) are left out.
function numbers(names) {
  return names.map((name) => GALLERY.models.findIndex((model) => model.name === name))
    .filter((number, i, all) => number >= 0 && all.indexOf(number) === i);
}

function complete(names) {
  return [...new Set([...numbers(names), ...GALLERY.models.keys()])];
}

// What stays from visit to visit, where the browser keeps anything for this page.
function remembered() {
  const held = shelf((storage) => JSON.parse(storage.getItem(SHELF)));
  if (!held) return {};
  const view = { shortcuts: held.shortcuts !== false };
  if (Array.isArray(held.order)) view.order = complete(held.order);
  if (Array.isArray(held.hidden)) view.hidden = new Set(numbers(held.hidden));
  if (SIZES.includes(held.size)) view.size = held.size;
  if (SPEEDS.includes(held.speed)) view.speed = held.speed;
  return view;
}

function remember(view) {
  const names = (list) => [...list].map((number) => GALLERY.models[number].name);
  const { shortcuts, size, speed } = view;
  const held = { order: names(view.order), hidden: names(view.hidden), size, speed, shortcuts };
  shelf((storage) => storage.setItem(SHELF, JSON.stringify(held)));
}

// A browser may refuse storage to pages, be full, or hold something that is no JSON: then nothing
// is remembered, and the address still is.
function shelf(use) {
  try {
    return use(localStorage);
  } catch (error) {
    if (error instanceof DOMException || error instanceof SyntaxError) return null;
    throw error;
  }
}
