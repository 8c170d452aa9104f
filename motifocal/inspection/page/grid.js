// The clips as a grid of which only what is near the screen is in the document.
"use strict";

const NEAR = 1; // screens above and below what is seen that are kept ready

class Grid {
  // `open` is called with the place of a clip that was chosen.
  constructor(root, open) {
    this.root = root;
    this.shown = []; // places of clips, in order
    this.cards = new Map(); // place of a clip -> its card in the document
    this.current = 0; // which of those shown the keyboard is at
    this.probe = element("li", { class: "card probe", "aria-hidden": "true" });
    root.after(element("ul", { class: "probes", "aria-hidden": "true" }, this.probe));
    this.soon = this.soon.bind(this);
    addEventListener("scroll", this.soon, { passive: true });
    // In a frame of its own: laying changes the height of what is observed.
    const changed = new ResizeObserver(() => requestAnimationFrame(() => this.lay()));
    changed.observe(root);
    changed.observe(this.probe);
    root.addEventListener("keydown", (event) => this.pressed(event));
    root.addEventListener("focusin", ({ target }) => {
      const card = target.closest(".card");
      if (card) this.setCurrent(this.shown.indexOf(Number(card.dataset.place)));
    });
    root.addEventListener("click", ({ target }) => {
      const card = target.closest(".card");
      if (card) open(Number(card.dataset.place));
    });
  }

  show(shown) {
    const held = this.shown[this.current];
    const other = this.shown.length !== shown.length || shown.some((one, i) => one !== this.shown[i]);
    this.shown = shown;
    this.current = Math.max(shown.indexOf(held), 0);
    this.lay();
    // Whoever was far down sees other clips now: from the first on.
    const top = this.root.getBoundingClientRect().top - this.above();
    if (other && top < 0) scrollBy({ top, behavior: "instant" });
  }

  // What the tools cover of the screen.
  above() {
    return parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop) || 0;
  }

  // How many columns there are and how high all is; what a card measures, the style says.
  lay() {
    const style = getComputedStyle(this.probe);
    const gap = parseFloat(style.marginRight);
    const least = parseFloat(style.width);
    const width = this.root.clientWidth;
    this.columns = Math.max(1, Math.floor((width + gap) / (least + gap)));
    this.pitch = { x: (width + gap) / this.columns, y: parseFloat(style.height) + gap };
    this.width = this.pitch.x - gap;
    const rows = Math.ceil(this.shown.length / this.columns);
    this.root.style.height = `${rows * this.pitch.y}px`;
    this.draw();
  }

  soon() {
    this.waiting ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.waiting);
    this.waiting = null;
    const top = -this.root.getBoundingClientRect().top;
    const row = (height) => Math.floor(height / this.pitch.y);
    const first = Math.max(row(top - NEAR * innerHeight), 0) * this.columns;
    const last = (row(top + (1 + NEAR) * innerHeight) + 1) * this.columns;
    const wanted = new Map();
    const focused = this.root.contains(document.activeElement);
    this.shown.slice(first, Math.max(last, 0)).forEach((place, i) => wanted.set(place, first + i));
    // What has the focus stays, however far it is scrolled away.
    if (focused && this.shown.length) wanted.set(this.shown[this.current], this.current);
    for (const [place, card] of this.cards) {
      if (!wanted.has(place)) {
        card.remove();
        this.cards.delete(place);
      }
    }
    let before = null; // in the document as on the screen, for those who have it read to them
    for (const [place, index] of [...wanted].sort((a, b) => a[1] - b[1])) {
      const card = this.cards.get(place) ?? this.add(place);
      this.put(card, index);
      const next = before ? before.nextSibling : this.root.firstChild;
      // Moving what has the focus would take the focus from it.
      if (next !== card && !card.contains(document.activeElement)) this.root.insertBefore(card, next);
      before = card;
    }
  }

  add(place) {
    const card = cardOf(place);
    this.cards.set(place, card);
    return card;
  }

  put(card, index) {
    const [x, y] = [index % this.columns, Math.floor(index / this.columns)];
    card.style.width = `${this.width}px`;
    card.style.transform = `translate(${x * this.pitch.x}px, ${y * this.pitch.y}px)`;
    card.setAttribute("aria-posinset", index + 1);
    card.setAttribute("aria-setsize", this.shown.length);
    card.firstChild.tabIndex = index === this.current ? 0 : -1;
  }

  setCurrent(index) {
    if (index < 0) return;
    this.current = index;
    for (const [place, card] of this.cards) {
      card.firstChild.tabIndex = place === this.shown[index] ? 0 : -1;
    }
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(innerHeight / this.pitch.y) - 1) * this.columns;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
      PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity };
    if (!Object.hasOwn(steps, event.key)) return;
    event.preventDefault();
    this.focus(this.current + steps[event.key]);
  }

  // Bring one of those shown to the screen, with the focus on it.
  focus(index) {
    if (!this.shown.length) return;
    const here = this.root.contains(document.activeElement);
    this.setCurrent(Math.min(Math.max(index, 0), this.shown.length - 1));
    const top = this.root.getBoundingClientRect().top + scrollY
      + Math.floor(this.current / this.columns) * this.pitch.y;
    if (top - this.above() < scrollY) scrollTo({ top: top - this.above(), behavior: "instant" });
    const below = top + this.pitch.y - innerHeight;
    if (below > scrollY) scrollTo({ top: below, behavior: "instant" });
    if (here) document.activeElement.blur(); // else what had it would be kept as well
    this.draw();
    this.cards.get(this.shown[this.current])?.firstChild.focus({ preventScroll: true });
  }
}

// One clip: its image, name and faults. All of it is a button that opens the details.
function cardOf(place) {
  const clip = CLIPS[place];
  const cut = clip.name.lastIndexOf("/") + 1;
  const name = element("span", { class: "name", title: clip.name }, clip.name.slice(cut));
  if (cut) name.prepend(element("span", { class: "unseen" }, clip.name.slice(0, cut)));
  const titles = faultsOf(clip).map(({ code }) => REPORT.faults[code].title);
  const state = element("span", { class: "state" }, mark(clip.level),
    element("span", { class: "words" }, titles.length ? titles.join(", ") : quickFacts(clip)));
  const button = element("button", { type: "button", class: "open" },
    element("span", { class: "frame" }, spriteOf(clip)), name, state);
  return element("li", { class: "card", "data-place": place }, button);
}

function quickFacts({ seconds, moving_fraction }) {
  const words = [];
  if (seconds !== null) words.push(`${number(seconds)} s`);
  if (moving_fraction !== null) words.push(`${number(moving_fraction * 100, 0)} % moves`);
  return words.join(", ") || "Good";
}

// A window of one cell on the 2 x 4 cells of a clip's thumbnail; the style moves what is behind it.
function spriteOf(clip) {
  if (!clip.thumb) return element("span", { class: "lacks" }, "no image");
  const image = element("img", { alt: "", loading: "lazy", decoding: "async", src: clip.thumb });
  const window = element("span", { class: "sprite" }, image);
  window.style.setProperty("--ratio", clip.thumb_width / clip.thumb_height);
  image.addEventListener("error", () =>
    window.replaceWith(element("span", { class: "lacks" }, "no image")), { once: true });
  return window;
}
