// The code can be copied with one press, where the browser allows it.
"use strict";

const copy = document.getElementById("copy");
if (copy && navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById("code").textContent);
    document.getElementById("copied").textContent = "Copied";
  });
}
