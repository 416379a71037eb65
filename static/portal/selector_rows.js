// Rows of conditions in every form that names agents by a selector, and how many agents it means while it is typed.
import { debounced } from "./debounced.js";
import { selectorEditor } from "./selector.js";

for (const template of document.querySelectorAll("template[data-selector-rows]")) {
  const form = template.closest("form");
  const place = template.closest(".selector-field");
  const panel = place.querySelector(".selector-reach");
  const keys = place.querySelector("datalist");

  const ask = async (signal) => {
    const body = new FormData();
    body.set("selector", form.elements.selector.value);
    if (form.elements.match_all.checked) body.set("match_all", "on");
    const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
    const answer = await fetch(template.dataset.url, { method: "POST", body, signal, headers });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const found = await answer.json();
    // Rendered and escaped by the server.
    panel.innerHTML = found.html;
    keys.replaceChildren(...found.keys.map((key) => new Option(key, key)));
    return found.rows;
  };

  const editor = selectorEditor(form, template, ask);
  const count = debounced(ask, 300);
  editor.changed(() => count());
  form.elements.selector.addEventListener("input", () => count());
  form.elements.match_all.addEventListener("change", () => count());
  // Asked for once somebody begins: a form that is only looked at asks nothing.
  place.addEventListener("focusin", () => count(0), { once: true });
}
