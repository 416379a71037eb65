// The configuration form: conditions as rows over the selector's text, editors over the files' texts, and previews while
// typing. The text fields stay the truth: what the rows say is written into them, and without JavaScript they are all there is.
import { debounced } from "./debounced.js";
import { selectorEditor } from "./selector.js";
import { fileEditors } from "./editor_files.js";

const template = document.getElementById("selector-template");
const form = template?.closest("form");

async function ask(url, panel, signal) {
  panel.classList.add("is-busy");
  const body = new FormData(form);
  body.delete("_save");
  const answer = await fetch(url, { method: "POST", body, signal, headers: { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value } });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const found = await answer.json();
  // Rendered and escaped by the server.
  panel.innerHTML = found.html;
  panel.classList.remove("is-busy");
  return found;
}

if (form) {
  const reach = document.getElementById("reach");
  const problems = document.getElementById("problems");
  const publish = document.getElementById("publish");
  const selector = selectorEditor(form, template, async () => (await ask(template.dataset.url, reach)).rows);
  const files = document.getElementById("files");
  const editors = fileEditors(form, files);
  let changing = null;
  let newFiles = false;

  const label = () => {
    if (!changing || !publish) return;
    const number = changing[newFiles ? 1 : 0];
    publish.textContent = number === 1 ? publish.dataset.labelOne : publish.dataset.label.replace("{N}", String(number));
  };
  const count = debounced(async (signal) => {
    const found = await ask(template.dataset.url, reach, signal);
    changing = found.changing;
    label();
  }, 300);
  const check = debounced(async (signal) => {
    if (editors.large && !("refused" in problems.dataset)) {
      editors.mark([]);
      problems.textContent = editors.said;
      return;
    }
    const found = await ask(problems.dataset.url, problems, signal);
    editors.mark(found.findings);
    newFiles = found.new_files;
    label();
    if (!("refused" in problems.dataset)) return;
    // Once, after the form came back: to the line that is why, unless a field has an error that stands before it.
    delete problems.dataset.refused;
    const elsewhere = [...form.querySelectorAll(".form-row .errorlist")].some((list) => !files.contains(list));
    if (!elsewhere) problems.querySelector(".bad button[data-line]")?.click();
  }, 600);

  const targeting = new Set(["kind", "selector", "match_all", "priority", "enabled"]);
  for (const kind of ["input", "change"]) {
    form.addEventListener(kind, (event) => {
      if (targeting.has(event.target.name)) count();
      if (files.contains(event.target) || event.target.name === "force") check();
    });
  }
  selector.changed(() => count());
  problems.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-line]");
    if (!button) return;
    editors.go(Number(button.dataset.file), Number(button.dataset.line), Number(button.dataset.column));
  });
  // Without a script the server adds the empty form, and shows the page anew.
  document.getElementById("add-file").addEventListener("click", (event) => {
    event.preventDefault();
    const place = files.children.length;
    const copy = document.importNode(document.getElementById("file-template").content, true);
    for (const element of copy.querySelectorAll("[name], [id], [for]")) {
      for (const name of ["name", "id", "for"]) {
        const value = element.getAttribute(name);
        if (value) element.setAttribute(name, value.replace("__N__", String(place)));
      }
    }
    files.append(copy);
    form.elements.file_count.value = String(place + 1);
    const file = files.children[place];
    editors.append(file);
    file.querySelector("input:not([type=hidden])").focus();
  });
  // Nothing is wrong yet with a form that nobody has touched.
  if ("now" in problems.dataset) {
    count(0);
    check(0);
  }
}
