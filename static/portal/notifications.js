// Hears over one socket what has changed, and comes back with growing, jittered pauses when it is lost or refused. It knows topics
// and hints, and nothing of pages: whoever listens decides what to read again. A page has one socket, whoever of its parts listens.
const RESTART = 1001, SIGNED_OUT = 4401, RIGHT_LOST = 4403;
const LONGEST = 300_000;

class Notifications extends EventTarget {
  // Topics by the part of the page that listens, and the parts that do at present.
  #topics = new Map();
  #socket = null;
  #wanted = new Set();
  #failures = 0;
  #timer = 0;
  // Seconds that the server asks for between two reads of one page.
  pace = 1;

  // Whether hints come.
  get open() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  start(part) {
    this.#wanted.add(part);
    if (!this.#socket && !this.#timer) this.#connect();
  }

  stop(part) {
    this.#wanted.delete(part);
    if (this.#wanted.size) return;
    clearTimeout(this.#timer);
    this.#timer = 0;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  // Replaces the topics of a part; costs nothing when they are the same.
  subscribe(part, topics) {
    if (topics.join("\n") === this.#topics.get(part)?.join("\n")) return;
    this.#topics.set(part, topics);
    if (this.open) this.#send();
  }

  #send() {
    this.#socket.send(JSON.stringify({ subscribe: [...new Set([...this.#topics.values()].flat())] }));
  }

  #connect() {
    this.#timer = 0;
    let opened = false;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    let socket;
    try {
      socket = new WebSocket(`${scheme}//${location.host}/ws/notifications`);
    } catch {
      return this.#again(LONGEST);
    }
    this.#socket = socket;
    socket.addEventListener("open", () => {
      if (socket !== this.#socket) return;
      opened = true;
      this.#send();
      this.dispatchEvent(new Event("open"));
    });
    socket.addEventListener("message", (event) => {
      if (socket !== this.#socket) return;
      this.#failures = 0;
      const said = JSON.parse(event.data);
      this.pace = said.pace ?? this.pace;
      if (said.changes) this.dispatchEvent(new CustomEvent("hint", { detail: said.changes }));
    });
    socket.addEventListener("close", ({ code }) => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      // What a refusal says, a page is not told: full, not allowed, or no such server in between.
      const base = code === SIGNED_OUT || code === RIGHT_LOST ? LONGEST : code === RESTART ? 2_000 : opened ? 1_000 : 10_000;
      this.#again(Math.min(base * 2 ** this.#failures, LONGEST));
      this.#failures += 1;
      this.dispatchEvent(new CustomEvent("lost", { detail: opened }));
    });
  }

  // Half of the pause is chance, so that pages that were lost together do not come back together.
  #again(milliseconds) {
    if (this.#wanted.size) this.#timer = setTimeout(() => this.#connect(), milliseconds * (0.5 + Math.random() / 2));
  }
}

export const notifications = new Notifications();
