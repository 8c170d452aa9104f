// Several videos play as one: they start together, loop together, and none runs ahead.
"use strict";

const PATIENCE = 4000; // ms; some browsers load nothing of a video before it plays
const APART = 0.5; // s between the first and the last from which on all are gathered again
const REFRESH = 1 / 60; // s; what a screen cannot show is no drift
const READY = ["loadeddata", "canplay", "canplaythrough", "seeked", "error", "emptied"];

class InStep {
  // `videos` are <video> elements and `rates` their frames per second. `refused` is called when
  // the browser lets no video play without a click.
  constructor(videos, rates, refused = () => {}) {
    this.members = videos.map((video, i) => ({ video, frame: 1 / (rates[i] || 25), shown: null, slow: false }));
    this.refused = refused;
    this.playing = false;
    this.rate = 1;
    this.aim = 0; // s; where all were last sent
    this.turn = 0; // of gathering: a newer call ends an older one
    this.gathering = false;
    this.next = 0; // the request for the next tick
    this.members.forEach((member) => this.watch(member));
  }

  // Those that can be played at all.
  get sound() {
    return this.members.filter(({ video }) => !video.error);
  }

  // Seconds of the longest, 0 as long as none is known.
  get duration() {
    return Math.max(0, ...this.sound.map(({ video }) => video.duration || 0));
  }

  // Seconds of the finest frames.
  get frame() {
    return Math.min(...this.members.map(({ frame }) => frame));
  }

  // Those that are not on their last frame yet, where the shorter ones wait for the others.
  get running() {
    return this.sound.filter((member) =>
      !(this.position(member) >= member.video.duration - member.frame));
  }

  // Where the row is, in seconds: where the slowest is that runs.
  get time() {
    if (!this.playing || this.gathering) return Math.min(this.aim, this.duration || Infinity);
    const running = this.running.map((member) => this.position(member));
    if (running.length) return Math.min(...running);
    return Math.max(0, ...this.sound.map((member) => this.position(member)));
  }

  // The frame that is shown, counted from 0 in the finest frames.
  get at() {
    return Math.min(Math.floor(this.time / this.frame + 1e-3), this.frames - 1);
  }

  get frames() {
    return Math.max(1, Math.round(this.duration / this.frame));
  }

  play() {
    if (this.playing) return;
    this.playing = true;
    const over = this.duration > 0 && this.time >= this.duration;
    this.gather(over ? 0 : this.time);
    cancelAnimationFrame(this.next);
    this.next = requestAnimationFrame((now) => this.tick(now));
  }

  // All stop on the same frame.
  pause() {
    if (this.playing) this.show(this.at);
  }

  // Stand on a frame; from the middle of a frame nothing slips into its neighbour.
  show(at) {
    this.playing = false;
    this.gather((Math.min(Math.max(at, 0), this.frames - 1) + 0.5) * this.frame);
  }

  setRate(rate) {
    this.rate = rate;
    this.members.forEach((member) => this.pace(member, false));
  }

  // Let go of the videos; they are not played again.
  end() {
    this.playing = false;
    this.turn += 1;
    for (const member of this.members) {
      if (member.callback) member.video.cancelVideoFrameCallback(member.callback);
      member.video.pause();
    }
  }

  // Bring all to one time, wait until every one of them is there and can go on, then go on.
  async gather(time) {
    const turn = ++this.turn;
    this.gathering = true;
    this.aim = time;
    for (const member of this.sound) {
      const { video, frame } = member;
      video.pause();
      member.shown = null;
      this.pace(member, false);
      const aim = Math.min(time, Math.max(0, (video.duration || Infinity) - frame / 2));
      if (video.ended || Math.abs(video.currentTime - aim) > 1e-3) video.currentTime = aim;
    }
    await Promise.all(this.sound.map(({ video }) => settled(video)));
    if (turn !== this.turn) return;
    this.gathering = false;
    if (this.playing) this.sound.forEach(({ video }) => this.start(video));
  }

  async start(video) {
    if (video.ended) return; // a shorter one that waits: it would begin anew
    try {
      await video.play();
    } catch (error) {
      // Paused or taken away before it began, or not playable, which its tile says.
      if (["AbortError", "NotSupportedError"].includes(error.name)) return;
      if (error.name !== "NotAllowedError") throw error;
      this.refused();
    }
  }

  tick(now) {
    if (!this.playing) return;
    if (!this.gathering && this.sound.length) this.align(now);
    this.next = requestAnimationFrame((later) => this.tick(later));
  }

  // All have ended: again from the start. One was stopped by the browser, or is far from the
  // others: gather. One is ahead by more than half a frame: it slows down until it is not.
  align(now) {
    if (this.sound.every(({ video }) => video.ended)) {
      this.gather(0);
      return;
    }
    const { running, time } = this;
    const positions = running.map((member) => this.position(member, now));
    const last = Math.min(...positions);
    const first = Math.max(...this.sound.map((member) => this.position(member, now)));
    const stopped = this.sound.some(({ video }) => video.paused && !video.ended);
    if (stopped || (running.length && first - last > APART)) {
      this.gather(time);
      return;
    }
    running.forEach((member, i) => {
      const ahead = positions[i] - last;
      const most = Math.max(member.frame / 2, REFRESH);
      this.pace(member, ahead > (member.slow ? most / 4 : most));
    });
  }

  pace(member, slow) {
    const rate = slow ? this.rate / 2 : this.rate;
    member.slow = slow;
    if (member.video.playbackRate !== rate) member.video.playbackRate = rate;
  }

  // The time of what is on the screen, where the browser tells it, else what the video plays.
  position({ video, frame, shown }, now = performance.now()) {
    if (!shown || video.paused) return video.currentTime;
    const since = ((now - shown.at) / 1000) * video.playbackRate;
    const position = shown.time + Math.min(Math.max(since, -frame), frame);
    // Farther from the video's own clock it is a frame of before a jump.
    return Math.abs(position - video.currentTime) < 2 * frame ? position : video.currentTime;
  }

  watch(member) {
    const { video } = member;
    if (!video.requestVideoFrameCallback) return;
    const seen = (_, { mediaTime, expectedDisplayTime }) => {
      member.shown = { time: mediaTime, at: expectedDisplayTime };
      member.callback = video.requestVideoFrameCallback(seen);
    };
    member.callback = video.requestVideoFrameCallback(seen);
  }
}

// Resolves when a video stands where it was sent and can play through, has failed, or has taken
// too long.
function settled(video) {
  return new Promise((resolve) => {
    const waiting = new AbortController();
    const done = () => {
      clearTimeout(timer);
      waiting.abort();
      resolve();
    };
    const look = () => {
      // At its end a video may have data for the present frame only.
      const enough = video.duration - video.currentTime < 0.5 ? 2 : 4;
      const there = !video.seeking && video.readyState >= enough;
      if (video.error || !video.src || there) done();
    };
    const timer = setTimeout(done, PATIENCE);
    READY.forEach((name) => video.addEventListener(name, look, { signal: waiting.signal }));
    look();
  });
}
