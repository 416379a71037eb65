// The files of the configuration form in editors: tabs, comparison with what is live, problems at their lines, completion.
import { codeEditor } from "./editor.js";
import { completionSource } from "./editor_completion.js";
import { fileTabs } from "./editor_tabs.js";

// In characters, of all files together: longer texts are checked when they are sent, not while somebody types.
const MOST_CHECKED = 256 * 1024;

// Asks once for each selector what there is to complete.
function vocabulary(form, url) {
  const questions = new Map();
  let schemas = null;
  return () => {
    const body = new FormData();
    for (const name of ["csrfmiddlewaretoken", "configuration", "selector", "match_all"]) {
      const control = form.elements[name];
      if (control && (control.type !== "checkbox" || control.checked)) body.set(name, control.value);
    }
    if (schemas === null) body.set("schemas", "1");
    const key = `${body.get("selector")}\n${body.has("match_all")}`;
    if (!questions.has(key)) {
      const asked = fetch(url, { method: "POST", body }).then(async (answer) => {
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        const found = await answer.json();
        schemas = found.schemas ?? schemas;
        return { ...found, schemas };
      });
      // Asked again at the next letter.
      asked.catch((error) => { questions.delete(key); console.info(`completion: ${error.message}`); });
      questions.set(key, asked);
    }
    return questions.get(key).catch(() => null);
  };
}

export function fileEditors(form, files) {
  const { texts, words, urls } = JSON.parse(document.getElementById("editor-texts").textContent);
  const complete = completionSource(vocabulary(form, urls.completions));
  let live = null;

  const liveText = async (file) => {
    live ??= fetch(urls.live).then((answer) => {
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      return answer.json();
    });
    try {
      const former = file.querySelector("input[name$=former], input[name=main_file]")?.value ?? "";
      return (await live).files[former.replace(/^=/, "")] ?? "";
    } catch (error) {
      live = null;
      throw error;
    }
  };

  const toolbar = (file, editor) => {
    const bar = document.createElement("div");
    bar.className = "editor-bar";
    const help = document.createElement("span");
    help.className = "quiet editor-help";
    help.textContent = texts.help;
    if (urls.live) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet-button compare-live";
      button.textContent = texts.compare;
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", async () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        try {
          editor.compare(on ? await liveText(file) : null);
          button.setAttribute("aria-pressed", String(on));
        } catch (error) {
          help.textContent = texts.unreachable;
          console.info(`comparison: ${error.message}`);
        }
      });
      bar.append(button);
    }
    bar.append(help);
    editor.host.before(bar);
    editor.host.addEventListener("editor:large", (event) => {
      help.textContent = event.detail ? texts.large : texts.help;
      help.classList.toggle("wait", event.detail);
    });
  };

  const editorOf = (file) => {
    const area = file.querySelector("textarea.code");
    if (!area) return null;
    const type = file.querySelector("input[name$=content_type]");
    const contentType = () => type?.value ?? "";
    const label = file.querySelector(`label[for="${area.id}"]`)?.textContent.trim() ?? "";
    const editor = codeEditor(area, { words, complete, label, contentType });
    type?.addEventListener("input", () => editor.speak(contentType()));
    toolbar(file, editor);
    return editor;
  };

  // One entry for each file in the order of the page; none for bytes that are no text.
  const editors = [...files.querySelectorAll(".config-file")].map(editorOf);
  const tabs = fileTabs(files, texts.files);

  return {
    // Too much to be checked at every pause.
    get large() { return editors.reduce((sum, editor) => sum + (editor?.size ?? 0), 0) > MOST_CHECKED; },
    said: texts.unchecked,
    append(file) {
      editors.push(editorOf(file));
      tabs.append(file);
    },
    // Findings as the server gives them: `{place, line, column, severity, message}`.
    mark(findings) {
      const each = editors.map(() => []);
      for (const item of findings) each[item.place]?.push(item);
      editors.forEach((editor, place) => editor?.mark(each[place]));
      tabs.count(each.map((some) => ({
        errors: some.filter(({ severity }) => severity === "error").length,
        warnings: some.filter(({ severity }) => severity !== "error").length,
      })));
    },
    go(place, line, column) {
      tabs.show(place);
      files.children[place]?.setAttribute("open", "");
      editors[place]?.go(line, column);
    },
  };
}
