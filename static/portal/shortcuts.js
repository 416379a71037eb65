// Keys that lead somewhere: never while somebody types, never with a modifier. The dialog says which there are; a preference switches
// them off.
const dialog = document.getElementById("shortcuts");
const targets = new Map([...(dialog?.querySelectorAll("[data-keys]") ?? [])].map((row) => [row.dataset.keys, row.dataset.url]));
const WAIT = 1_500;
let begun = 0;

function types(element) {
  return element instanceof HTMLElement && (element.isContentEditable || /^(input|textarea|select)$/i.test(element.tagName) || element.closest("[role=textbox], .cm-editor") !== null);
}

document.addEventListener("keydown", (event) => {
  if (!dialog || event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
  // The editor is in a shadow root: to the document, a key that is typed there has its host as the target.
  if (types(event.composedPath()[0])) return;
  const goes = performance.now() - begun < WAIT;
  begun = 0;
  if (goes && targets.has(event.key)) {
    event.preventDefault();
    location.assign(targets.get(event.key));
  } else if (event.key === "g") {
    begun = performance.now();
  } else if (event.key === "/") {
    const search = document.getElementById("searchbar");
    if (!search) return;
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "?") {
    event.preventDefault();
    dialog.showModal();
  }
});
