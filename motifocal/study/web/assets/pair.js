// Two videos of one comparison: loaded whole, started together, kept in step, counted in loops.
"use strict";

const LOADING_MS = 30_000;

class Pair extends InStep {
  // `looped` is called each time that both have been seen to the end, `refused` when the browser
  // plays nothing without a tap.
  constructor(left, right, { looped, refused }) {
    super([left, right], [], refused);
    this.looped = looped;
  }

  // The longer one has ended, so both start again, together.
  gather(time) {
    if (this.playing && this.members.every(({ video }) => video.ended)) this.looped();
    return super.gather(time);
  }

  // From the start; a loop that was broken off does not count.
  replay() {
    this.playing = true;
    super.gather(0);
    cancelAnimationFrame(this.next);
    this.next = requestAnimationFrame((now) => this.tick(now));
  }
}

// Give a video its source and wait until it can be played through.
function load(video, address) {
  return new Promise((resolve, reject) => {
    const waiting = new AbortController();
    const done = (settle, value) => {
      clearTimeout(timer);
      waiting.abort();
      settle(value);
    };
    const timer = setTimeout(() => done(reject, new Error("it took too long")), LOADING_MS);
    const listen = (name, what) => video.addEventListener(name, what, { signal: waiting.signal });
    listen("canplaythrough", () => done(resolve));
    // Some browsers load no more than this before a tap; the rest follows when it plays.
    listen("suspend", () => video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && done(resolve));
    listen("error", () => done(reject, new Error("a video cannot be played")));
    video.src = address;
    video.load();
  });
}

// How long a comparison has been on the screen, how much of that it was hidden, and how often the
// videos played through. Outlives a reload of the page.
class Measure {
  constructor(slot) {
    const kept = recalled("measure");
    const same = kept !== null && kept.slot === slot;
    this.kept = same ? kept : { slot, shown: Date.now(), hidden: 0, loops: 0 };
    // From here on by a clock that nobody sets.
    this.before = Math.max(0, Date.now() - this.kept.shown);
    this.since = performance.now();
    this.hiddenSince = null;
    this.look();
  }

  look() {
    const hidden = document.visibilityState === "hidden";
    if (hidden && this.hiddenSince === null) this.hiddenSince = performance.now();
    if (!hidden && this.hiddenSince !== null) {
      this.kept.hidden += performance.now() - this.hiddenSince;
      this.hiddenSince = null;
    }
    this.keep();
  }

  looped() {
    this.kept.loops += 1;
    this.keep();
  }

  keep() {
    keepSafe("measure", this.kept);
  }

  read() {
    this.look();
    const day = 86_400_000;
    const whole = (ms) => Math.min(day, Math.round(ms));
    return {
      milliseconds: whole(this.before + performance.now() - this.since),
      loops: this.kept.loops,
      hidden_milliseconds: whole(this.kept.hidden),
    };
  }
}

// What has to outlive a reload lies in this tab's storage. Where a browser has none, or no room in
// it, the study goes on without.
function keepSafe(name, value) {
  try {
    sessionStorage.setItem(`study:${name}`, JSON.stringify(value));
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

function recalled(name) {
  try {
    return JSON.parse(sessionStorage.getItem(`study:${name}`));
  } catch (error) {
    if (!(error instanceof DOMException || error instanceof SyntaxError)) throw error;
    return null;
  }
}
