// Keeps small pieces that stand on every page fresh, such as the bell and the fly-out of jobs: each names where it is read again, the
// topics that say when, and how often without a socket (data-seconds; none: not at all). It stays open or closed as it was left.
import { notifications } from "./notifications.js";

const PART = "pieces";
// Most pages are left sooner than that: they ask for no socket of their own.
const FIRST_MS = 2_000, HIDDEN_MS = 5_000;
const NEAR = 1, AT_REST = 60;

class Piece {
  #timer = 0;
  #readAt = performance.now();
  #reading = false;
  #changed = false;

  constructor(box) {
    this.box = box;
    this.topics = box.dataset.topics.split(",");
  }

  get #polls() {
    return Number(this.box.dataset.seconds ?? 0);
  }

  hear(topics) {
    if (topics.some((topic) => this.topics.includes(topic))) this.note();
  }

  // Something may have changed.
  note() {
    this.#changed = true;
    this.schedule();
  }

  schedule() {
    clearTimeout(this.#timer);
    if (document.hidden || this.#reading) return;
    let seconds = this.#polls;
    if (notifications.open) {
      seconds = this.#changed ? Math.max(NEAR, notifications.pace * (notifications.pace > NEAR ? 1 + Math.random() : 1)) : seconds && AT_REST;
    }
    if (seconds) this.#timer = setTimeout(() => this.#read(), this.#readAt + seconds * 1000 - performance.now());
  }

  async #read() {
    const focus = this.box.contains(document.activeElement) ? document.activeElement : null;
    const head = focus?.localName === "summary";
    this.#readAt = performance.now();
    // A link that has the focus would lose it.
    if (focus && !head) return this.schedule();
    this.#reading = true;
    this.#changed = false;
    try {
      const answer = await fetch(this.box.dataset.piece, { headers: { "X-Portal-Refresh": "live" }, redirect: "manual", signal: AbortSignal.timeout(10_000) });
      const text = answer.ok ? await answer.text() : "";
      const next = new DOMParser().parseFromString(text, "text/html").getElementById(this.box.id);
      if (next) this.#replace(next, head);
    } catch {
      // The next time.
    }
    this.#reading = false;
    this.schedule();
  }

  #replace(next, head) {
    const open = this.box.querySelector("details")?.open;
    if (next.dataset.seconds) this.box.dataset.seconds = next.dataset.seconds;
    else delete this.box.dataset.seconds;
    if (this.box.innerHTML === next.innerHTML) return;
    this.box.replaceChildren(...next.childNodes);
    const details = this.box.querySelector("details");
    if (details) details.open = Boolean(open);
    if (head) this.box.querySelector("summary")?.focus();
  }
}

const pieces = [...document.querySelectorAll("[data-piece]")].map((box) => new Piece(box));
if (pieces.length) {
  let waiting = 0;
  const begin = () => {
    notifications.start(PART);
    for (const piece of pieces) piece.schedule();
  };
  notifications.subscribe(PART, pieces.flatMap((piece) => piece.topics));
  notifications.addEventListener("hint", ({ detail }) => {
    for (const piece of pieces) piece.hear(detail.map(({ topic }) => topic));
  });
  // Nobody was told what happened between the page and its socket.
  notifications.addEventListener("open", () => {
    for (const piece of pieces) piece.note();
  });
  notifications.addEventListener("lost", () => {
    for (const piece of pieces) piece.schedule();
  });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(waiting);
    if (document.hidden) {
      waiting = setTimeout(() => notifications.stop(PART), HIDDEN_MS);
    } else {
      begin();
    }
  });
  addEventListener("pagehide", () => notifications.stop(PART));
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) begin();
  });
  for (const piece of pieces) piece.schedule();
  waiting = setTimeout(begin, FIRST_MS);
}
