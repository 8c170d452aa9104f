// The comparisons come from the server one by one, and every answer goes back before the next.
"use strict";

const WAITS = [1000, 2000, 4000, 8000, 15_000]; // ms before an answer is sent once more
const TOO_EARLY = 425;
const PATIENT_MS = 30_000; // for one answer of the server

class Served {
  // `trouble` is told in words what keeps an answer from its way, and null when it is over.
  constructor(trouble) {
    this.trouble = trouble;
    this.media = new Media();
  }

  // The comparison to judge now; null when there is none left. An answer that had not reached the
  // server when the page was closed goes first.
  async task() {
    const left = recalled("answer");
    if (left !== null) {
      try {
        return await this.vote(left);
      } catch (error) {
        if (!(error instanceof Refusal) || error.status === 401) throw error;
        keepSafe("answer", null); // it was there already, or is somebody else's by now
      }
    }
    return (await this.ask("task")).task;
  }

  // Store an answer and get the next comparison. Until the server has confirmed it, it is kept.
  async vote(answer) {
    keepSafe("answer", answer);
    const next = await this.ask("vote", answer);
    keepSafe("answer", null);
    return next.task;
  }

  // Ask until there is an answer. The store takes the same vote twice as one.
  async ask(path, body) {
    for (let turn = 0; ; turn += 1) {
      try {
        const answer = await this.once(path, body);
        this.trouble(null);
        return answer;
      } catch (error) {
        if (error instanceof Refusal && error.status === TOO_EARLY) {
          await pause(WAITS[0]); // the study asks for more time than one loop takes
          continue;
        }
        if (error instanceof Refusal && error.status < 500 && error.status !== 429) {
          this.trouble(null);
          throw error;
        }
        const why = error instanceof Refusal
          ? "The study cannot store answers at the moment." : "No connection.";
        this.trouble(path === "vote"
          ? `${why} Your answer is kept and is sent again until it is stored.`
          : `${why} Trying again.`);
        await pause(WAITS[Math.min(turn, WAITS.length - 1)]);
      }
    }
  }

  async once(path, body) {
    const sent = body === undefined ? {} : {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    };
    const giveUp = AbortSignal.timeout ? { signal: AbortSignal.timeout(PATIENT_MS) } : {};
    const answer = await fetch(path, { ...sent, ...giveUp, cache: "no-store" });
    if (answer.ok) return answer.json();
    const told = (answer.headers.get("content-type") || "").startsWith("application/json");
    throw new Refusal(answer.status, told ? await answer.json() : {});
  }

  end() {
    location.assign("end");
  }
}

// Wait, or until the connection is back.
function pause(milliseconds) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
  });
}

const backend = (trouble) => new Served(trouble);
addEventListener("DOMContentLoaded", () => comparison.start());
