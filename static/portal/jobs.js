// Reads the fly-out of jobs again while one is under way. It stays open or closed as the person left it.
const SECONDS = 4;

const refresh = async () => {
  const box = document.getElementById("jobs-flyout");
  const address = box?.dataset.address;
  if (!address) return;
  const focus = box.contains(document.activeElement) ? document.activeElement : null;
  const head = focus?.localName === "summary";
  // A link that has the focus would lose it.
  if (!document.hidden && (!focus || head)) {
    try {
      const answer = await fetch(address, { headers: { "X-Portal-Refresh": "live" }, signal: AbortSignal.timeout(10_000) });
      if (!answer.ok || answer.redirected) return;
      const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("jobs-flyout");
      const open = box.querySelector("details")?.open;
      box.replaceChildren(...next.childNodes);
      if (box.querySelector("details")) box.querySelector("details").open = open;
      if (head) box.querySelector("summary")?.focus();
      if (!next.dataset.running) return;
    } catch {
      // The next time.
    }
  }
  setTimeout(refresh, SECONDS * 1000);
};

if (document.getElementById("jobs-flyout")?.dataset.running) setTimeout(refresh, SECONDS * 1000);
