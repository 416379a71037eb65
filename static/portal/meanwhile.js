// A page that keeps some of its parts fresh tells when the rest of it has become old, and offers to load it anew.
import { isEdited } from "./leaving.js";

const note = document.getElementById("meanwhile");
const shown = document.getElementById("progress-now")?.dataset;
if (note && shown) {
  const { edition, revision } = shown;
  const keep = note.querySelector(".keep");
  const offer = () => {
    if (keep && !note.hidden) keep.hidden = !isEdited(keep.form);
  };
  // A page that hears of changes is read again only when there are some.
  for (const kind of ["input", "change"]) document.addEventListener(kind, offer);
  document.addEventListener("portal:read", (event) => {
    const now = event.detail.getElementById("progress-now")?.dataset;
    if (!now || now.edition === edition) return;
    const what = note.querySelector(".what");
    const said = now.revision === revision ? now.edited : now.published;
    if (what.textContent !== said) what.textContent = said;
    note.hidden = false;
    offer();
  });
}
