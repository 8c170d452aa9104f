// Which cards are loaded, which of them play, and which one is the current one.
"use strict";

// Browsers allow a page some 75 videos at once, phones some 40; beyond that they refuse more.
const MOST_VIDEOS = matchMedia("(pointer: coarse)").matches ? 30 : 60;
const SETTLING = 120; // ms; cards that fly past are not loaded

let playing = false;
let current = null; // the card that the player and the keys are about

const nearness = new IntersectionObserver((entries) => noted(entries, "near"),
  { rootMargin: "100% 0px" });
const sight = new IntersectionObserver((entries) => noted(entries, "seen"));

function watch(card) {
  nearness.observe(card.root);
  sight.observe(card.root);
}

function noted(entries, what) {
  for (const { target, isIntersecting } of entries) cardOf.get(target)[what] = isIntersecting;
  soon();
}

let settling = 0;
function soon() {
  settling ||= setTimeout(plan, SETTLING);
}

// Load the near cards, those in the middle of the screen first, as far as the browser allows.
function plan() {
  settling = 0;
  const middle = innerHeight / 2;
  const distance = new Map(cards.filter((card) => card.near && !card.root.hidden).map((card) => {
    const { top, bottom } = card.root.getBoundingClientRect();
    return [card, Math.abs((top + bottom) / 2 - middle)];
  }));
  const near = [...distance.keys()].sort((a, b) => distance.get(a) - distance.get(b));
  const kept = new Set();
  let room = MOST_VIDEOS;
  for (const card of near) {
    room -= card.shown(view).length;
    if (room < 0 && kept.size) break;
    kept.add(card);
  }
  for (const card of cards.filter((card) => card.row && !kept.has(card))) {
    card.unload();
    card.time = 0;
  }
  kept.forEach((card) => card.row || card.load(view));
  if (!current?.seen || current.root.hidden) setCurrent(near.find((card) => card.seen) ?? current);
  cards.forEach(drive);
}

function drive(card) {
  if (!card.row) return;
  if (playing && card.seen && !document.hidden) card.row.play();
  else card.row.pause();
}

function setPlaying(now) {
  playing = now;
  document.body.classList.toggle("playing", now);
  at("play-label").textContent = now ? "Pause" : "Play";
  cards.forEach(drive);
}

function setCurrent(card) {
  if (card === current) return;
  current?.root.classList.remove("current");
  current = card;
  current?.root.classList.add("current");
}
