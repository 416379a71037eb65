// CodeMirror over a text area, which stays the form's value: what is typed is written into it, and what others write into it is
// shown. It lives in a shadow root, whose style sheets are objects, so that the pages' policy needs no exception for it.
import {
  Compartment, EditorState, EditorView, StreamLanguage, autocompletion, bracketMatching, closeBrackets, closeBracketsKeymap,
  completionKeymap, defaultKeymap, drawSelection, foldGutter, foldKeymap, highlightActiveLine, highlightActiveLineGutter,
  highlightSelectionMatches, highlightSpecialChars, history, historyKeymap, indentOnInput, indentUnit, indentWithTab, jsonLanguage,
  keymap, lineNumbers, lintGutter, lintKeymap, search, searchKeymap, setDiagnostics, toml, unifiedMergeView, yamlLanguage,
} from "./vendor/codemirror.js";
import { isDark, look, onScheme } from "./editor_look.js";

// In characters. Above it nothing is coloured, folded or completed; the text can be edited all the same.
const MOST_COLOURED = 512 * 1024;
// Up to this size each edit is in the text area at once; a larger text follows when typing pauses.
const MOST_AT_ONCE = 64 * 1024;

const tomlLanguage = StreamLanguage.define(toml);

export function languageOf(contentType) {
  const kind = contentType.toLowerCase();
  if (/json/.test(kind)) return "json";
  if (/toml/.test(kind)) return "toml";
  return kind === "" || /ya?ml/.test(kind) ? "yaml" : "text";
}

function coloured(kind) {
  return { json: jsonLanguage, toml: tomlLanguage, yaml: yamlLanguage }[kind] ?? [];
}

// `words`: what CodeMirror says, in the reader's language. `complete`: a source of completions. `label`: what the text is.
export function codeEditor(area, { words, complete, label, contentType }) {
  const host = document.createElement("div");
  host.className = "code-host";
  area.before(host);
  area.classList.add("is-behind");
  area.tabIndex = -1;
  area.setAttribute("aria-hidden", "true");
  const root = host.attachShadow({ mode: "open" });
  const [language, scheme, difference] = [new Compartment(), new Compartment(), new Compartment()];
  let kind = languageOf(contentType());
  let large = area.value.length > MOST_COLOURED;
  let writing = false;
  let timer = 0;
  let found = [];

  const helps = () => (large ? [] : [coloured(kind), foldGutter(), indentOnInput(), bracketMatching(), closeBrackets(),
    highlightSelectionMatches(), autocompletion({ override: [(context) => complete(context, kind)], icons: false })]);

  const write = () => {
    clearTimeout(timer);
    timer = 0;
    writing = true;
    area.value = view.state.doc.toString();
    area.dispatchEvent(new Event("input", { bubbles: true }));
    writing = false;
  };
  const flush = () => { if (timer) write(); };
  const grown = () => {
    const now = view.state.doc.length > MOST_COLOURED;
    if (now === large) return;
    large = now;
    view.dispatch({ effects: language.reconfigure(helps()) });
    host.dispatchEvent(new CustomEvent("editor:large", { bubbles: true, detail: large }));
  };

  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: area.value,
      extensions: [
        EditorState.phrases.of(words),
        EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0", spellcheck: "false", autocapitalize: "off", autocorrect: "off" }),
        EditorState.tabSize.of(2), indentUnit.of("  "),
        lineNumbers(), highlightActiveLineGutter(), lintGutter(), highlightSpecialChars(), history(), drawSelection(),
        highlightActiveLine(), search({ top: true }), language.of(helps()), scheme.of(look(isDark())), difference.of([]),
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, ...completionKeymap,
          ...lintKeymap, indentWithTab]),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged || writing) return;
          if (update.state.doc.length <= MOST_AT_ONCE) return write();
          clearTimeout(timer);
          timer = setTimeout(write, 300);
        }),
        EditorView.domEventHandlers({ blur: flush }),
      ],
    }),
  });

  const read = () => {
    if (writing || area.value === view.state.doc.toString()) return;
    writing = true;
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: area.value } });
    writing = false;
  };
  area.addEventListener("input", () => { read(); setTimeout(grown); });
  area.form?.addEventListener("reset", () => setTimeout(read));
  // Before anybody reads the form, whoever it is.
  area.form?.addEventListener("submit", flush, true);
  area.form?.addEventListener("formdata", (event) => {
    if (!timer) return;
    flush();
    event.formData.set(area.name, area.value);
  });
  addEventListener("beforeunload", flush, true);
  onScheme((dark) => view.dispatch({ effects: scheme.reconfigure(look(dark)) }));
  if (large) setTimeout(() => host.dispatchEvent(new CustomEvent("editor:large", { bubbles: true, detail: true })));

  const placeOf = (line, column) => {
    const at = view.state.doc.line(Math.min(Math.max(line, 1), view.state.doc.lines));
    return { at, from: Math.min(at.from + Math.max(column - 1, 0), at.to) };
  };

  return {
    host,
    get text() { return view.state.doc.toString(); },
    get size() { return view.state.doc.length; },
    // Problems at their lines: `{line, column, severity, message}`.
    mark(problems) {
      found = problems.map(({ line, column, severity, message }) => {
        const { at, from } = placeOf(line, column);
        const blank = at.text.slice(from - at.from).match(/^\S*/)[0].length;
        return { from, to: Math.min(from + Math.max(blank, 1), Math.max(at.to, from)), severity, message };
      });
      view.dispatch(setDiagnostics(view.state, found));
    },
    go(line, column) {
      const { from } = placeOf(line, column);
      view.focus();
      view.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
    },
    speak(contentTypeNow) {
      const now = languageOf(contentTypeNow);
      if (now === kind) return;
      kind = now;
      view.dispatch({ effects: language.reconfigure(helps()) });
    },
    // Against `original`; `null` for the text alone.
    compare(original) {
      const shown = original === null ? [] : unifiedMergeView({
        original, mergeControls: false, collapseUnchanged: { margin: 3, minSize: 6 }, diffConfig: { scanLimit: 2_000, timeout: 500 },
      });
      view.dispatch({ effects: difference.reconfigure(shown) });
    },
  };
}
