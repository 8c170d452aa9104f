// A study without a server: a list of comparisons lies in data.js, answers stay in this browser and
// become a file at the end.
"use strict";

const FORMAT = "motifocal-answers-1";
const TRIES = 2;

const element = (id) => document.getElementById(id);

// What is kept under one name for as long as the browser keeps it; in memory where it keeps nothing.
class Kept {
  constructor(name) {
    this.name = name;
    this.held = null;
  }

  read() {
    try {
      return JSON.parse(localStorage.getItem(this.name)) ?? this.held;
    } catch (error) {
      if (!(error instanceof DOMException || error instanceof SyntaxError)) throw error;
      return this.held;
    }
  }

  write(value) {
    this.held = value;
    try {
      localStorage.setItem(this.name, JSON.stringify(value));
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
    }
  }
}

class Alone {
  constructor() {
    this.media = new Media();
    this.participant = participant();
    const study = `${STUDY.protocol.slice(0, 16)}:${STUDY.seed}`;
    this.kept = new Kept(`motifocal:${study}:${this.participant}`);
    this.state = this.kept.read() ??
      { worker: random(16), step: "consent", tries: 0, answers: [] };
  }

  get list() {
    return STUDY.lists[(this.participant - 1) % STUDY.lists.length];
  }

  change(values) {
    Object.assign(this.state, values);
    this.kept.write(this.state);
  }

  at(place) {
    const code = this.list[place];
    const [picture, prompt, one, other] = STUDY.items[code >> 1];
    const [left, right] = code & 1 ? [other, one] : [one, other];
    return { picture, prompt, left, right };
  }

  async task() {
    const place = this.state.answers.length;
    if (place >= this.list.length) return null;
    const next = place + 1 < this.list.length ? this.at(place + 1) : null;
    const upcoming = next ? [next.picture, next.left, next.right] : [];
    return { ...this.at(place), slot: String(place), number: place + 1, of: this.list.length, upcoming };
  }

  async vote({ slot, ...answer }) {
    const place = this.state.answers.length;
    if (slot === String(place)) this.change({ answers: [...this.state.answers, { place, ...answer }] });
    return this.task();
  }

  end() {
    this.change({ step: "end" });
    show("end");
  }

  // The file that is handed in, and under which name.
  file() {
    const held = {
      answers: this.state.answers, format: FORMAT, participant: this.participant,
      protocol: STUDY.protocol, seed: STUDY.seed, worker: this.state.worker,
    };
    const text = JSON.stringify(sorted({ ...held, checksum: checksum(JSON.stringify(sorted(held))) }));
    return [text, `answers-${this.participant}-${this.state.worker.slice(0, 8)}.json`];
  }
}

// The number in the address, ?p=3, else one that is drawn and kept.
function participant() {
  const given = new URLSearchParams(location.search).get("p");
  if (given !== null && /^[1-9][0-9]{0,6}$/.test(given)) return Number(given);
  const kept = new Kept(`motifocal:${STUDY.protocol.slice(0, 16)}:participant`);
  const drawn = kept.read() ?? 1 + (parseInt(random(4), 16) % STUDY.lists.length);
  kept.write(drawn);
  return drawn;
}

function random(bytes) {
  const drawn = crypto.getRandomValues(new Uint8Array(bytes));
  return [...drawn].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The same value with the names of every object in order, so that all programs write it alike.
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}

// CRC-32 in 8 hex digits: it tells of damage on the way, not of tampering.
function checksum(text) {
  let crc = 0xffffffff;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ((crc ^ 0xffffffff) >>> 0).toString(16).padStart(8, "0");
}

const alone = new Alone();
const backend = () => alone;

function show(step) {
  for (const part of ["consent", "instructions", "compare", "end"]) {
    element(`step-${part}`).hidden = part !== step;
  }
  document.body.classList.toggle("reading", step !== "compare");
  scrollTo(0, 0);
  if (step === "compare") comparison.start();
  if (step === "instructions") element("tried").hidden = alone.state.tries === 0;
  if (step === "end") finish();
}

function goTo(step) {
  alone.change({ step });
  show(step);
}

function check(event) {
  event.preventDefault();
  const given = new FormData(event.target);
  if (STUDY.check.every((right, number) => given.get(`question-${number}`) === String(right))) {
    goTo("compare");
    return;
  }
  alone.change({ tries: alone.state.tries + 1 });
  event.target.reset();
  goTo(alone.state.tries < TRIES ? "instructions" : "end");
}

function finish() {
  const out = alone.state.tries >= TRIES;
  element("finished").hidden = out;
  element("screened-out").hidden = !out;
  const [text, name] = alone.file();
  element("save").href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  element("save").download = name;
  element("save").addEventListener("click", () => {
    element("thanks").hidden = false;
  });
}

addEventListener("DOMContentLoaded", () => {
  element("agree").addEventListener("click", () => goTo("instructions"));
  element("questions").addEventListener("submit", check);
  show(alone.state.step);
});
