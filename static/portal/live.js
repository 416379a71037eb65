// Keeps the named parts of a page fresh by reading the page again, unless the person is using them. Told that it is for this, the
// server may leave the rest of the page out. The server renders; nothing here knows what the parts say.
import { enliven } from "./portal.js";

const box = document.getElementById("live");
if (box) {
  const word = box.querySelector(".live-word");
  const button = box.querySelector("button");
  const selectors = box.dataset.parts.split(",").map((part) => part.trim());
  const shown = new Map();
  let paused = false;
  let timer = 0;

  const show = (state) => {
    box.classList.toggle("is-paused", state === "paused");
    box.classList.toggle("is-lost", state === "lost");
    word.textContent = box.dataset[state];
    button.textContent = paused ? box.dataset.resume : box.dataset.pause;
  };

  const inUse = (part) =>
    part.contains(document.activeElement) || part.querySelector("input:checked, details[open].more") || part.dataset.extended;

  const refresh = async () => {
    if (paused || document.hidden) return;
    try {
      const answer = await fetch(location.href.split("#")[0], { headers: { "X-Portal-Refresh": "live" }, signal: AbortSignal.timeout(10_000) });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const selector of selectors) {
        const part = document.querySelector(selector);
        const next = fresh.querySelector(selector);
        if (!part || !next || inUse(part) || shown.get(selector) === next.innerHTML) continue;
        shown.set(selector, next.innerHTML);
        part.replaceChildren(...next.childNodes);
        enliven(part);
        part.dispatchEvent(new CustomEvent("portal:fresh", { bubbles: true }));
      }
      if (!paused) show("live");
    } catch {
      if (!paused) show("lost");
    }
  };

  const loop = async () => {
    const begun = performance.now();
    await refresh();
    // A page that is expensive to make is read less often: at most a tenth of the time.
    timer = setTimeout(loop, Math.max(Number(box.dataset.seconds) * 1000, 10 * (performance.now() - begun)));
  };

  button.addEventListener("click", () => {
    paused = !paused;
    show(paused ? "paused" : "live");
    if (!paused) refresh();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  addEventListener("pagehide", () => clearTimeout(timer));
  box.hidden = false;
  show("live");
  timer = setTimeout(loop, Number(box.dataset.seconds) * 1000);
}
