// Pictures and videos by their random names: loaded whole, ahead of time, and let go of again.
"use strict";

class Media {
  constructor() {
    this.held = new Map(); // name -> promise of an address
  }

  address(name) {
    return `media/${encodeURIComponent(name)}`;
  }

  // The address of a video that is loaded whole. A page from the disk cannot fetch, and need not.
  video(name) {
    if (location.protocol === "file:") return Promise.resolve(this.address(name));
    if (!this.held.has(name)) {
      const loading = this.fetched(name);
      loading.catch(() => this.held.delete(name)); // so that it is tried again when asked for
      this.held.set(name, loading);
    }
    return this.held.get(name);
  }

  async fetched(name) {
    const answer = await fetch(this.address(name));
    if (!answer.ok) throw new Error(`a video could not be loaded (${answer.status})`);
    return URL.createObjectURL(await answer.blob());
  }

  // Load the next comparison while this one is looked at, and let go of the last.
  prepare({ left, right, upcoming }) {
    const wanted = new Set([left, right, ...upcoming]);
    for (const [name, loading] of this.held) {
      if (wanted.has(name)) continue;
      this.held.delete(name);
      loading.then((address) => URL.revokeObjectURL(address), () => {});
    }
    const [picture, ...videos] = upcoming;
    if (picture) new Image().src = this.address(picture);
    videos.forEach((name) => this.video(name));
  }
}
