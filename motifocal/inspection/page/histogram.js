// One measure's histogram: bars of all clips and of those shown, and a range that filters them.
"use strict";

const HEIGHT = 64; // of the drawing, in its own units; a bin is 10 wide

class Histogram {
  // `changed` is called with a range, or null for no filter.
  constructor(measure, changed) {
    this.measure = measure;
    this.changed = changed;
    this.range = null;
    const { key, title, unit, words = unit, help = "", bins, totals } = measure;
    this.said = element("span", { class: "range" });
    this.root = element("div", { class: "histogram", role: "group", title: help,
      "aria-labelledby": `measure-${key}` }, element("h3", { id: `measure-${key}` }, title),
      element("p", { class: "unit" }, words, this.said));
    const unknown = CLIPS.length - totals.reduce((sum, count) => sum + count, 0);
    const less = unknown ? `${number(unknown, 0)} not known` : "";
    if (bins.count < 2) {
      const value = bins.count ? [`all ${this.words(0)}`, less].filter(Boolean).join(", ") : "not known";
      this.root.append(element("p", { class: "single" }, value));
    } else {
      this.root.append(this.draw(), this.sliders(), this.ends(less));
    }
  }

  draw() {
    const { bins, totals } = this.measure;
    this.tallest = Math.max(...totals);
    this.bars = totals.map((total, i) => {
      const back = this.bar(i, total, "back");
      const front = this.bar(i, total, "front");
      return { back, front };
    });
    const hits = totals.map((total, i) => element("rect", { x: i * 10, y: 0, width: 10,
      height: HEIGHT, class: "hit" }, element("title", {}, `${this.words(i)}: ${many(total, "clip")}`)));
    this.svg = element("svg", { viewBox: `0 0 ${bins.count * 10} ${HEIGHT}`, class: "bars",
      preserveAspectRatio: "none", "aria-hidden": "true" },
      ...this.bars.map(({ back }) => back), ...this.bars.map(({ front }) => front), ...hits);
    this.svg.addEventListener("pointerdown", (event) => this.brush(event));
    return this.svg;
  }

  bar(i, count, name) {
    const made = element("rect", { x: i * 10 + 1, width: 8, class: name });
    this.size(made, count);
    return made;
  }

  size(bar, count) {
    const height = count ? Math.max(2, (count / this.tallest) * HEIGHT) : 0;
    bar.setAttribute("y", HEIGHT - height);
    bar.setAttribute("height", height);
  }

  // Drag over bars to take them; a click on the one that is taken lets it go.
  brush(event) {
    if (event.button !== 0) return;
    const before = this.range;
    const first = this.binAt(event);
    let moved = false;
    const move = (now) => {
      const last = this.binAt(now);
      moved ||= last !== first;
      this.set(Math.min(first, last), Math.max(first, last));
    };
    const end = () => {
      this.svg.removeEventListener("pointermove", move);
      const again = before && before[0] === first && before[1] === first;
      if (again && !moved) this.changed(null);
    };
    this.svg.setPointerCapture(event.pointerId);
    this.svg.addEventListener("pointermove", move);
    this.svg.addEventListener("lostpointercapture", end, { once: true });
    move(event);
  }

  binAt({ clientX }) {
    const { left, width } = this.svg.getBoundingClientRect();
    const { count } = this.measure.bins;
    return Math.min(Math.max(Math.floor(((clientX - left) / width) * count), 0), count - 1);
  }

  set(first, last) {
    const whole = first === 0 && last === this.measure.bins.count - 1;
    this.changed(whole ? null : [first, last]);
  }

  // The same for the keyboard, and for fingers.
  sliders() {
    const { title, bins } = this.measure;
    const slider = (side) => element("input", { type: "range", min: 0, max: bins.count - 1, step: 1,
      "aria-label": `${title}, ${side}`, class: side });
    [this.from, this.to] = [slider("from"), slider("to")];
    this.from.addEventListener("input", () =>
      this.set(Math.min(this.from.valueAsNumber, this.to.valueAsNumber), this.to.valueAsNumber));
    this.to.addEventListener("input", () =>
      this.set(this.from.valueAsNumber, Math.max(this.from.valueAsNumber, this.to.valueAsNumber)));
    return element("div", { class: "sliders" }, this.from, this.to);
  }

  ends(less) {
    const { bins } = this.measure;
    const last = bins.to(bins.count - 1);
    const most = last === Infinity ? `${number(bins.from(bins.count - 1), 2)} and more`
      : number(last, 2);
    return element("p", { class: "ends" }, element("span", {}, number(bins.from(0), 2)),
      element("span", {}, less), element("span", {}, most));
  }

  // A bin, or a stretch of bins, in words.
  words(first, last = first) {
    const { bins, unit } = this.measure;
    const from = number(bins.from(first), 2);
    const to = bins.to(last) === Infinity ? null : number(bins.to(last), 2);
    const span = to === null ? `${from} and more` : from === to ? from : `${from} to ${to}`;
    return unit ? `${span} ${unit}` : span;
  }

  // Show a range and how many clips the other filters leave in each bin.
  show(range, counts) {
    if (!this.bars) return;
    this.range = range ?? null;
    const [first, last] = range ?? [0, this.measure.bins.count - 1];
    this.said.textContent = range ? this.words(first, last) : "";
    this.bars.forEach(({ front }, i) => {
      this.size(front, counts[i]);
      front.classList.toggle("out", i < first || i > last);
    });
    this.from.value = first;
    this.to.value = last;
    this.from.setAttribute("aria-valuetext", this.words(first));
    this.to.setAttribute("aria-valuetext", this.words(last));
    // Where both meet at the right end, only the left one can still be moved.
    this.from.classList.toggle("upper", first === this.measure.bins.count - 1);
  }
}
