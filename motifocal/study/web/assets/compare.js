// A comparison on the screen: watch both videos, choose the better one, say why, submit.
"use strict";

const NAMES = { left: "left", right: "right" };
const KEYS = { ArrowLeft: "left", 1: "left", ArrowRight: "right", 2: "right", t: "tie" };
const WATCH = "Watch both videos to the end once.";
const READY_WORDS = "Choose when you are ready.";

const at = (id) => document.getElementById(id);

// The back end said no; `reason` is a word for why, or the status.
class Refusal extends Error {
  constructor(status, { error = String(status), words = "" }) {
    super(words || `The server refused (${status}).`);
    this.status = status;
    this.reason = error;
  }
}

class Comparison {
  constructor() {
    this.backend = backend((words) => this.say("banner", words));
    this.videos = { left: at("left").querySelector("video"), right: at("right").querySelector("video") };
    this.choices = [...document.querySelectorAll(".choice")];
    this.reasons = [...document.querySelectorAll("#reasons input")];
    this.step = "loading"; // then watch, choose, why, sending
    this.pair = null;
    this.listen();
  }

  listen() {
    this.choices.forEach((button) => {
      button.addEventListener("click", () => this.choose(button.dataset.choice));
    });
    at("why").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.reasons.forEach((box) => box.addEventListener("change", () => this.offer()));
    at("back").addEventListener("click", () => this.back());
    at("replay").addEventListener("click", () => this.pair?.replay());
    at("ask").addEventListener("click", () => at("help").showModal());
    document.addEventListener("keydown", (event) => this.press(event));
    document.addEventListener("visibilitychange", () => this.measure?.look());
  }

  async start() {
    await this.next(() => this.backend.task());
  }

  // Get a comparison from the back end and show it, or leave where there is none.
  async next(get) {
    let task;
    try {
      task = await get();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.lost(error);
      return;
    }
    if (task === null) this.backend.end();
    else await this.show(task);
  }

  // What was asked for belongs to somebody else by now, or nobody knows us any more.
  lost(refusal) {
    if (["expired", "answered", "unknown", "not yours"].includes(refusal.reason)) {
      this.stuck("This comparison has waited too long and went to somebody else.", "Show the next",
        () => this.start());
    } else {
      this.stuck(refusal.message, "Load the page again", () => location.reload());
    }
  }

  async show(task) {
    this.task = task;
    this.clear();
    at("sentence").textContent = task.prompt;
    at("bar").max = task.of;
    at("bar").value = task.number - 1;
    at("place").textContent = `${task.number} of ${task.of}`;
    try {
      await Promise.all([this.paint(task.picture), this.loaded("left"), this.loaded("right")]);
    } catch (error) {
      this.stuck(`The comparison cannot be shown: ${error.message}.`, "Try again",
        () => this.show(task));
      return;
    }
    if (this.task !== task) return;
    at("loading").hidden = true;
    at("pair").classList.add("shown");
    const ratios = Object.values(this.videos).map((one) => one.videoWidth / one.videoHeight || 1);
    at("pair").style.setProperty("--ratio", String(Math.max(...ratios)));
    this.measure = new Measure(task.slot);
    this.step = "watch";
    this.status(WATCH);
    this.play();
    if (this.measure.kept.loops > 0) this.unlock();
    this.backend.media.prepare(task);
  }

  clear() {
    this.pair?.end();
    this.pair = null;
    this.step = "loading";
    at("pair").classList.remove("shown");
    at("loading").hidden = false;
    at("stuck").hidden = true;
    this.turnTo("choose");
    this.mark(null);
    this.reasons.forEach((box) => { box.checked = false; });
    this.choices.forEach((button) => { button.disabled = true; });
    this.status("");
  }

  async paint(token) {
    at("picture").src = this.backend.media.address(token);
    await at("picture").decode().catch(() => { throw new Error("the image cannot be loaded"); });
  }

  async loaded(side) {
    await load(this.videos[side], await this.backend.media.video(this.task[side]));
  }

  play() {
    this.pair = new Pair(this.videos.left, this.videos.right, {
      looped: () => this.looped(),
      refused: () => this.stuck("Your browser waits for you to start the videos.", "Play", () => {
        at("stuck").hidden = true;
        this.pair.replay();
      }),
    });
    this.pair.play();
  }

  looped() {
    this.measure.looped();
    if (this.step === "watch") this.unlock();
  }

  unlock() {
    this.step = "choose";
    this.choices.forEach((button) => { button.disabled = false; });
    this.status(READY_WORDS);
  }

  choose(choice) {
    if (this.step === "watch") this.status(`${WATCH} Then choose.`);
    if (this.step !== "choose" || !this.choices.some((one) => one.dataset.choice === choice)) return;
    this.step = "why";
    this.choice = choice;
    this.mark(choice);
    const tie = choice === "tie";
    at("chosen").textContent = tie ? "You see no difference." : `Why is the ${this.called(choice)} video better?`;
    at("reasons").hidden = tie;
    this.turnTo("why");
    at("chosen").focus({ preventScroll: true });
  }

  // On a narrow screen left is above right.
  called(side) {
    const name = document.querySelector(`[data-choice="${side}"] .stacked`);
    return name.offsetParent ? name.textContent.toLowerCase() : NAMES[side];
  }

  back() {
    if (this.step !== "why") return;
    this.step = "choose";
    this.mark(null);
    this.turnTo("choose");
    this.choices.find((button) => button.dataset.choice === this.choice).focus();
    this.status(READY_WORDS);
  }

  // The button to submit, as soon as there is something to submit; until then the word on why not.
  offer() {
    const ready = this.step === "why" && (this.choice === "tie" || this.given().length > 0);
    at("submit").classList.toggle("away", !ready);
    at("status").classList.toggle("away", ready);
    if (this.step === "why" && !ready) this.status("Choose at least one reason.");
  }

  given() {
    return this.reasons.filter((box) => box.checked).map((box) => box.value);
  }

  async submit() {
    if (this.step !== "why") return;
    const reasons = this.choice === "tie" ? [] : this.given();
    if (this.choice !== "tie" && !reasons.length) {
      this.reasons[0].focus();
      return;
    }
    this.step = "sending";
    this.offer();
    this.status("Saving");
    const answer = { slot: this.task.slot, choice: this.choice, reasons, ...this.measure.read() };
    await this.next(() => this.backend.vote(answer));
    at("question").focus({ preventScroll: true });
  }

  press(event) {
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || at("help").open) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const todo = this.meant(key, event.target);
    if (!todo) return;
    event.preventDefault();
    todo();
  }

  // What a key does now, if anything.
  meant(key, target) {
    if (key === "?") return () => at("help").showModal();
    if (key === "r") return () => this.pair?.replay();
    if (this.step !== "why") return key in KEYS ? () => this.choose(KEYS[key]) : null;
    const box = this.choice === "tie" ? undefined : this.reasons[Number(key) - 1];
    if (box) return () => box.click();
    if (key === "Escape") return () => this.back();
    // On a button it presses that button.
    const submits = key === "Enter" && !(target instanceof HTMLButtonElement);
    return submits ? () => this.submit() : null;
  }

  // Show one of the two steps of the answer.
  turnTo(step) {
    const away = (id, is) => at(id).classList.toggle("away", is);
    away("choose", step !== "choose");
    away("why", step !== "why");
    away("back", step !== "why");
    this.offer();
  }

  mark(choice) {
    ["left", "right"].forEach((side) => {
      at(side).classList.toggle("better", choice === side);
      at(side).classList.toggle("other", choice !== null && choice !== side && choice !== "tie");
    });
  }

  stuck(words, todo, action) {
    at("loading").hidden = true;
    at("stuck-words").textContent = words;
    at("again").textContent = todo;
    at("again").onclick = action;
    at("stuck").hidden = false;
    at("again").focus();
  }

  status(words) {
    at("status").textContent = words;
  }

  say(id, words) {
    at(id).hidden = words === null;
    if (words !== null) at(id).textContent = words;
  }
}

const comparison = new Comparison();
