// Asks before an edited form is left, which the browser does in its own words. Edited is what differs from the page as it came, or
// a form that the server sent back with what had been typed.
const FORMS = "form[data-ask-leaving], .change-form #content-main > form[method=post]";

function differs(control) {
  if (control.type === "checkbox" || control.type === "radio") return control.checked !== control.defaultChecked;
  if (control instanceof HTMLSelectElement) return [...control.options].some((option) => option.selected !== option.defaultSelected);
  return "defaultValue" in control && control.type !== "hidden" && control.value !== control.defaultValue;
}

export function isEdited(form) {
  if (form.dataset.askLeaving === "edited" || form.querySelector("[data-unsaved]")) return true;
  // A control without a name only helps to write another one.
  return touched.has(form) && [...form.elements].some((control) => control.name && differs(control));
}

// What the browser itself filled in again is nothing that a person typed on this page.
const touched = new WeakSet();
let sent = null;

for (const kind of ["input", "change"]) {
  document.addEventListener(kind, (event) => {
    const form = event.target.closest?.(FORMS);
    if (form) touched.add(form);
  });
}
document.addEventListener("submit", (event) => { sent = event.target; });
// The page is shown once more, as it was left.
addEventListener("pageshow", () => { sent = null; });
addEventListener("beforeunload", (event) => {
  if ([...document.querySelectorAll(FORMS)].some((form) => form !== sent && isEdited(form))) event.preventDefault();
});
