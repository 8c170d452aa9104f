// One pair on the page: its prompt, its image, and the models' videos, loaded while it is near.
"use strict";

// An element with attributes and children; text only ever becomes a text node.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

class Card {
  constructor(pair, number, view, refused) {
    this.pair = pair;
    this.refused = refused;
    this.words = `${pair.prompt} ${pair.image} ${pair.scenario}`.toLowerCase();
    this.near = false; // within a screen of what is seen
    this.seen = false; // on the screen
    this.row = null; // the videos while they are loaded
    this.time = 0; // where they begin when they are loaded
    this.arranged = "";
    this.tiles = GALLERY.models.map((model) => this.tile(model));
    this.strip = element("div", { class: "tiles" }, this.picture());
    this.root = element("article", { class: "pair", "aria-labelledby": `pair-${number}` },
      this.heading(number), this.strip);
    this.fill(view);
    this.arrange(view);
  }

  heading(number) {
    const { prompt, scenario, image, key } = this.pair;
    const link = element("a", { class: "link", href: `#pair=${encodeURIComponent(key)}` }, image);
    link.title = "A link to this pair";
    const place = element("p", { class: "place" }, link);
    if (!image.startsWith(scenario)) place.prepend(element("span", {}, scenario));
    return element("header", {}, element("h2", { id: `pair-${number}` }, prompt), place);
  }

  picture() {
    const frame = element("div", { class: "frame" });
    const { width, height } = GALLERY.models.find((model) => model.width) ?? {};
    if (width) frame.style.aspectRatio = `${width} / ${height}`;
    if (this.pair.picture) {
      const image = element("img", { alt: `Image ${this.pair.image}`, loading: "lazy" });
      image.src = this.pair.picture;
      frame.append(image);
    } else {
      frame.append(lacking("missing"));
    }
    return element("figure", { class: "tile given" }, frame,
      element("figcaption", {}, "image"));
  }

  tile({ name, width, height }) {
    const frame = element("div", { class: "frame" });
    if (width) frame.style.aspectRatio = `${width} / ${height}`;
    return element("figure", { class: "tile" }, frame, element("figcaption", {}));
  }

  // Say in every tile what it holds for the view's seed; videos come with `load`.
  fill(view) {
    this.cells(view).forEach(({ address, lacks }, number) => {
      const [frame, caption] = this.tiles[number].children;
      const { name } = GALLERY.models[number];
      frame.replaceChildren(...(address ? [] : [lacking(lacks)]));
      caption.replaceChildren(
        !address ? name : element("a", { href: address, target: "_blank", rel: "noopener",
          title: "Open the file" }, name));
    });
  }

  // Put the models in the view's order and hide those that are hidden; loaded videos stay.
  arrange(view) {
    const now = `${view.order} ${[...view.hidden]}`;
    if (now === this.arranged) return;
    this.arranged = now;
    for (const number of view.order) {
      this.tiles[number].hidden = view.hidden.has(number);
      this.strip.append(this.tiles[number]);
    }
  }

  cells(view) {
    return this.pair.videos[GALLERY.seeds.indexOf(view.seed)];
  }

  // The numbers of the models that have a video to show.
  shown(view) {
    const cells = this.cells(view);
    return view.order.filter((number) => !view.hidden.has(number) && cells[number].address);
  }

  load(view) {
    const cells = this.cells(view);
    const numbers = this.shown(view);
    const videos = numbers.map((number) => this.video(number, cells[number].address));
    const rates = numbers.map((number) => GALLERY.models[number].fps);
    this.row = new InStep(videos, rates, this.refused);
    this.row.setRate(view.speed);
    this.row.gather(this.time);
  }

  video(number, address) {
    const { name } = GALLERY.models[number];
    const video = element("video", { preload: "auto", playsinline: "", disablepictureinpicture: "",
      disableremoteplayback: "", "aria-label": `${name}: ${this.pair.prompt}` });
    video.muted = true;
    const frame = this.tiles[number].firstChild;
    video.addEventListener("error", () => {
      if (video.isConnected) frame.replaceChildren(lacking("cannot be played"));
    });
    video.addEventListener("loadedmetadata", async () => {
      if (await madeSeekable(video, address)) this.row.gather(this.row.time);
    }, { once: true });
    video.src = address;
    frame.replaceChildren(video);
    return video;
  }

  // Take the videos away, so that the browser lets go of their decoders.
  unload() {
    this.time = this.row.time;
    this.row.end();
    for (const { video } of this.row.members) {
      const frame = video.parentNode;
      if (frame) frame.replaceChildren();
      URL.revokeObjectURL(video.src);
      video.removeAttribute("src");
      video.load();
    }
    this.row = null;
  }
}

// Simple servers send no parts of files, and Chromium then never jumps: take the whole file.
// Resolves to whether the video begins anew for that.
async function madeSeekable(video, address) {
  const { seekable } = video;
  if (seekable.length && seekable.end(0) > 0) return false;
  const answer = await fetch(address);
  const whole = await answer.blob();
  if (!video.isConnected || !answer.ok) return false;
  video.src = URL.createObjectURL(whole);
  return true;
}

function lacking(why) {
  return element("p", { class: "lacks" }, why);
}
