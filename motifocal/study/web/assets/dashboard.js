// The dashboard fetches itself again and again, and says so when it cannot.
"use strict";

const EVERY = 10_000; // ms

async function refresh() {
  if (document.visibilityState !== "visible") return;
  try {
    const answer = await fetch("dashboard", { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("board").replaceWith(page.getElementById("board"));
    document.title = page.title;
  } catch (error) {
    document.getElementById("stale").textContent = ` – not up to date (${error.message})`;
  }
}

setInterval(refresh, EVERY);
document.addEventListener("visibilitychange", refresh);
