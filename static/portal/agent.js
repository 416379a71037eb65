// The agent's page: sections become tabs, and older events are added in place. Without JavaScript all sections stand one below
// the other and the links lead to them.
const nav = document.getElementById("tabs");
if (nav) {
  const links = [...nav.querySelectorAll("a")];
  const sections = links.map((link) => document.querySelector(link.hash));
  nav.setAttribute("role", "tablist");
  links.forEach((link, place) => {
    link.setAttribute("role", "tab");
    link.id = `tab-${link.hash.slice(1)}`;
    link.setAttribute("aria-controls", link.hash.slice(1));
    sections[place].setAttribute("role", "tabpanel");
    sections[place].setAttribute("aria-labelledby", link.id);
  });
  nav.parentElement.classList.add("tabbed");

  const open = (hash) => {
    // An address may name a part of a tab.
    const named = hash.length > 1 ? document.getElementById(decodeURIComponent(hash.slice(1)))?.closest(".tab") : null;
    const chosen = Math.max(sections.indexOf(named), 0);
    links.forEach((link, place) => {
      link.setAttribute("aria-selected", String(place === chosen));
      link.tabIndex = place === chosen ? 0 : -1;
      sections[place].hidden = place !== chosen;
    });
  };

  nav.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    history.replaceState(null, "", link.hash);
    open(link.hash);
  });
  nav.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const here = links.indexOf(document.activeElement);
    if (!step || here < 0) return;
    event.preventDefault();
    const next = links[(here + step + links.length) % links.length];
    next.focus();
    next.click();
  });
  addEventListener("hashchange", () => open(location.hash));
  // A refused form must be seen.
  open(document.querySelector(".errornote, .errorlist") ? "#edit" : location.hash);
}

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-load-more]");
  if (!link || event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  try {
    const answer = await fetch(`${link.href}&fragment=1`);
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    link.closest("#timeline-lines, #content")?.setAttribute("data-extended", "1");
    link.parentElement.replaceWith(...fresh.body.childNodes);
  } catch {
    location.href = link.href;
  }
});
