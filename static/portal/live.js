// Keeps the named parts of a page fresh by reading the page again: when a socket says that something on it has changed, and every few
// seconds where there is no socket. Where single rows can be read, those that have changed are, and the rest less often. All parts move,
// or none: while the person uses one of them the page says that it is paused, and why. Told that it is for this, the server may leave the
// rest of the page out. It renders; nothing here knows what the parts say.
import { notifications } from "./notifications.js";
import { enliven } from "./portal.js";

// Seconds between two reads: of what is on the page, of what may only move it (counters, who comes next), and of times that grow old.
const NEAR = 1, FAR = 5, AT_REST = 60;
const HIDDEN_SECONDS = 5;
const MOST_ROWS = 200;
const PART = "parts";
// Where single rows can be read, the page as a whole (counters, who is listed) is read so many times less often than they.
const WHOLE = 5;
// As many rows as the portal gives at once.
const MOST_READ = 100;

const box = document.getElementById("live");
if (box) {
  const word = box.querySelector(".live-word");
  const button = box.querySelector("button");
  const selectors = box.dataset.parts.split(",").map((part) => part.trim());
  const topics = (box.dataset.topics ?? "").split(",").map((topic) => topic.trim()).filter(Boolean);
  const shown = new Map();
  const socket = topics.length ? notifications : null;
  let paused = false;
  let lost = false;
  // What the page shows has ended, or the person is signed out: there is nothing to read again.
  let gone = false;
  let reading = false;
  let changed = "";
  // Topics of rows that have changed, where single rows can be read.
  const stale = new Set();
  let timer = 0;
  let readAt = performance.now();
  let wholeAt = readAt;
  let cost = 0;
  // Not before that moment: pages that hear the same, or lose the same, do not read together.
  let notBefore = 0;

  const parts = () => selectors.map((selector) => document.querySelector(selector)).filter(Boolean);

  // What keeps the parts as they are: the name of the words that say so, or "".
  const held = () => {
    const found = parts();
    if (found.some((part) => part.querySelector("input:checked"))) return "selected";
    if (found.some((part) => part.dataset.extended || part.querySelector("details[open].more"))) return "reading";
    return found.some((part) => part.contains(document.activeElement)) ? "focused" : "";
  };

  const show = () => {
    const reason = paused || gone ? "" : held();
    const state = gone ? "gone" : paused || reason ? "paused" : lost ? "lost" : "live";
    const text = box.dataset[reason || state];
    if (word.textContent !== text) word.textContent = text;
    box.classList.toggle("is-paused", state === "paused");
    box.classList.toggle("is-lost", state === "lost" || state === "gone");
    box.dataset.by = socket?.open ? "socket" : "polling";
    box.title = state === "live" ? box.dataset[socket?.open ? "bySocket" : "byPolling"] : "";
    button.hidden = state === "gone";
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

  // --- What is listened to ---------------------------------------------------------------------------------------------------------

  // Rows name their topics. Of a long page only the page's own topics are listened to.
  const rows = () => {
    const found = new Set(parts().flatMap((part) => [...part.querySelectorAll("[data-topic]")].map((row) => row.dataset.topic)));
    return found.size <= MOST_ROWS ? [...found] : [];
  };
  const subscribe = () => socket?.subscribe(PART, [...topics, ...rows()]);

  const hint = ({ detail }) => {
    const seen = rows();
    const mine = detail.filter(({ topic }) => topics.includes(topic) || seen.includes(topic));
    if (!mine.length) return;
    const near = mine.filter(({ topic }) => !seen.length || !topics.includes(topic));
    if (box.dataset.rows && seen.length) {
      for (const { topic } of near) stale.add(topic);
      changed ||= "far";
    } else if (near.length || !changed) {
      changed = near.length ? "near" : "far";
    }
    schedule();
  };

  // --- Reading ---------------------------------------------------------------------------------------------------------------------

  const fetched = async (address) => {
    // Not followed: where a redirect leads is said once, to the person.
    const answer = await fetch(address, { headers: { "X-Portal-Refresh": "live" }, redirect: "manual", signal: AbortSignal.timeout(10_000) });
    if (answer.type === "opaqueredirect" || answer.status === 204) {
      gone = true;
      socket?.stop(PART);
    }
    if (gone || !answer.ok) throw new Error(String(answer.status));
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };

  const rowOf = (tree, topic) => tree.querySelector(`[data-topic="${CSS.escape(topic)}"]`)?.closest("tr");

  // Reads the rows that have changed, and them alone.
  const readRows = async () => {
    const wanted = [...stale].slice(0, MOST_READ);
    const begun = performance.now();
    try {
      const address = wanted.map((topic) => `row=${encodeURIComponent(topic.split(":")[1])}`).join("&");
      const fresh = await fetched(`${box.dataset.rows}${box.dataset.rows.includes("?") ? "&" : "?"}${address}`);
      lost = false;
      if (paused || held()) return;
      for (const topic of wanted) {
        stale.delete(topic);
        const row = rowOf(document, topic);
        const next = rowOf(fresh, topic);
        if (!row || !next) continue;
        row.replaceChildren(...next.childNodes);
        enliven(row);
        row.dispatchEvent(new CustomEvent("portal:fresh", { bubbles: true }));
      }
      // What the whole page had is no longer what is shown.
      shown.clear();
    } catch {
      lost = true;
    } finally {
      readAt = performance.now();
      cost = readAt - begun;
    }
  };

  const read = async () => {
    const begun = performance.now();
    try {
      stale.clear();
      const fresh = await fetched(location.href.split("#")[0]);
      lost = false;
      document.dispatchEvent(new CustomEvent("portal:read", { detail: fresh }));
      // While the answer was under way the person may have begun to use a part.
      if (paused || held()) {
        changed ||= "far";
        return;
      }
      for (const selector of selectors) {
        const part = document.querySelector(selector);
        const next = fresh.querySelector(selector);
        if (!part || !next || shown.get(selector) === next.innerHTML) continue;
        shown.set(selector, next.innerHTML);
        replace(part, next);
      }
      subscribe();
    } catch {
      lost = true;
    } finally {
      readAt = wholeAt = performance.now();
      cost = readAt - begun;
    }
  };

  // When the whole page is to be read again.
  const wholeDue = () => {
    if (!socket?.open) return readAt + Number(box.dataset.seconds) * 1000;
    const pause = Math.max({ near: NEAR, far: FAR }[changed] ?? AT_REST, socket.pace * (box.dataset.rows && changed === "far" ? WHOLE : 1));
    return wholeAt + pause * 1000;
  };

  const refresh = async (whole = true) => {
    if (gone || paused || document.hidden || reading) return show();
    if (held()) {
      // Its end is not always heard of.
      clearTimeout(timer);
      timer = setTimeout(() => refresh(whole), 1000);
      return show();
    }
    reading = true;
    if (whole || lost || performance.now() >= wholeDue()) {
      changed = "";
      await read();
    } else {
      await readRows();
    }
    reading = false;
    show();
    schedule();
  };

  // Reads again when it is time. A page that is expensive to make is read less often, at most a tenth of the time; and where many
  // pages listen, as seldom as the server asks for, each at its own moment.
  const schedule = () => {
    clearTimeout(timer);
    if (gone || paused || document.hidden || reading) return;
    const now = performance.now();
    if (socket?.open && changed && socket.pace > NEAR) notBefore ||= now + Math.random() * socket.pace * 1000;
    const rowsDue = socket?.open && stale.size ? readAt + Math.max(NEAR, socket.pace) * 1000 : Infinity;
    const due = Math.min(wholeDue(), rowsDue);
    timer = setTimeout(() => {
      notBefore = 0;
      refresh(due < rowsDue);
    }, Math.max(due, readAt + 10 * cost, notBefore) - now);
  };

  // --- The person ------------------------------------------------------------------------------------------------------------------

  button.addEventListener("click", () => {
    const resumes = paused || held() !== "";
    if (resumes) release();
    paused = !resumes;
    if (paused) socket?.stop(PART);
    else socket?.start(PART);
    show();
    if (resumes) refresh();
  });
  for (const kind of ["change", "focusin", "focusout", "toggle", "portal:fresh"]) {
    document.addEventListener(kind, () => setTimeout(show), true);
  }
  let hiding = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (gone) return;
    if (document.hidden) {
      hiding = setTimeout(() => socket?.stop(PART), HIDDEN_SECONDS * 1000);
    } else if (!paused) {
      socket?.start(PART);
      refresh();
    }
  });
  addEventListener("pagehide", () => {
    clearTimeout(timer);
    socket?.stop(PART);
  });
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted && !paused && !gone) {
      socket?.start(PART);
      refresh();
    }
  });

  if (socket) {
    socket.addEventListener("hint", hint);
    socket.addEventListener("open", () => {
      // Something may have happened between the page's making and now.
      lost = false;
      changed ||= "far";
      show();
      schedule();
    });
    socket.addEventListener("lost", ({ detail: opened }) => {
      lost ||= opened;
      if (opened) notBefore = performance.now() + Math.random() * Number(box.dataset.seconds) * 1000;
      show();
      schedule();
    });
    subscribe();
    if (!document.hidden) socket.start(PART);
  }
  box.hidden = false;
  show();
  schedule();
}
