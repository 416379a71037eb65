// Keeps the named parts of a page fresh by reading the page again. All of them move, or none: while the person uses one of them
// the page says that it is paused, and why. Told that it is for this, the server may leave the rest of the page out. It renders; nothing
// here knows what the parts say.
import { enliven } from "./portal.js";

const box = document.getElementById("live");
if (box) {
  const word = box.querySelector(".live-word");
  const button = box.querySelector("button");
  const selectors = box.dataset.parts.split(",").map((part) => part.trim());
  const shown = new Map();
  let paused = false;
  let lost = false;
  let timer = 0;

  const parts = () => selectors.map((selector) => document.querySelector(selector)).filter(Boolean);

  // What keeps the parts as they are: the name of the words that say so, or "".
  const held = () => {
    const found = parts();
    if (found.some((part) => part.querySelector("input:checked"))) return "selected";
    if (found.some((part) => part.dataset.extended || part.querySelector("details[open].more"))) return "reading";
    return found.some((part) => part.contains(document.activeElement)) ? "focused" : "";
  };

  const show = () => {
    const reason = paused ? "" : held();
    const state = paused || reason ? "paused" : lost ? "lost" : "live";
    const text = box.dataset[reason || state];
    if (word.textContent !== text) word.textContent = text;
    box.classList.toggle("is-paused", state === "paused");
    box.classList.toggle("is-lost", state === "lost");
    button.textContent = state === "paused" ? box.dataset.resume : box.dataset.pause;
  };

  // Releases whatever held the parts.
  const release = () => {
    for (const part of parts()) {
      delete part.dataset.extended;
      for (const details of part.querySelectorAll("details[open].more")) details.open = false;
      for (const input of part.querySelectorAll("input:checked")) input.checked = false;
      part.dispatchEvent(new CustomEvent("portal:released", { bubbles: true }));
      if (part.contains(document.activeElement)) document.activeElement.blur();
    }
  };

  const replace = (part, next) => {
    const open = new Map([...part.querySelectorAll("details[data-filter-title]")].map((item) => [item.dataset.filterTitle, item.open]));
    part.replaceChildren(...next.childNodes);
    for (const item of part.querySelectorAll("details[data-filter-title]")) item.open = open.get(item.dataset.filterTitle) ?? item.open;
    enliven(part);
    part.dispatchEvent(new CustomEvent("portal:fresh", { bubbles: true }));
  };

  const refresh = async () => {
    if (paused || document.hidden || held()) return show();
    try {
      const answer = await fetch(location.href.split("#")[0], { headers: { "X-Portal-Refresh": "live" }, signal: AbortSignal.timeout(10_000) });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      lost = false;
      document.dispatchEvent(new CustomEvent("portal:read", { detail: fresh }));
      // While the answer was under way the person may have begun to use a part.
      if (paused || held()) return show();
      for (const selector of selectors) {
        const part = document.querySelector(selector);
        const next = fresh.querySelector(selector);
        if (!part || !next || shown.get(selector) === next.innerHTML) continue;
        shown.set(selector, next.innerHTML);
        replace(part, next);
      }
    } catch {
      lost = true;
    }
    show();
  };

  const loop = async () => {
    const begun = performance.now();
    await refresh();
    // A page that is expensive to make is read less often: at most a tenth of the time.
    timer = setTimeout(loop, Math.max(Number(box.dataset.seconds) * 1000, 10 * (performance.now() - begun)));
  };

  button.addEventListener("click", () => {
    const resumes = paused || held() !== "";
    if (resumes) release();
    paused = !resumes;
    show();
    if (resumes) refresh();
  });
  for (const kind of ["change", "focusin", "focusout", "toggle", "portal:fresh"]) {
    document.addEventListener(kind, () => setTimeout(show), true);
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  addEventListener("pagehide", () => clearTimeout(timer));
  box.hidden = false;
  show();
  timer = setTimeout(loop, Number(box.dataset.seconds) * 1000);
}
