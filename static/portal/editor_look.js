// The editor in the portal's colours: its variables reach into the shadow root, so light and dark follow by themselves.
import { EditorView, HighlightStyle, syntaxHighlighting, tags } from "./vendor/codemirror.js";

const mono = "var(--font-family-monospace)";

const parts = {
  "&": { color: "var(--body-fg)", backgroundColor: "var(--body-bg)", fontSize: ".8125rem", height: "100%" },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: mono, lineHeight: "1.5", overflow: "auto" },
  ".cm-content": { caretColor: "var(--body-fg)", padding: "8px 0" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--body-fg)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--selected-bg)",
  },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--selected-row) 45%, transparent)" },
  ".cm-gutters": { backgroundColor: "var(--darkened-bg)", color: "var(--body-quiet-color)", borderRight: "1px solid var(--hairline-color)" },
  ".cm-activeLineGutter": { backgroundColor: "var(--selected-row)" },
  ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": { backgroundColor: "var(--selected-bg)", outline: "1px solid var(--border-color)" },
  ".cm-searchMatch": { backgroundColor: "var(--wait-bg)", outline: "1px solid var(--wait)" },
  ".cm-selectionMatch": { backgroundColor: "var(--selected-bg)" },
  ".cm-foldPlaceholder": { backgroundColor: "var(--off-bg)", borderColor: "var(--border-color)", color: "var(--body-quiet-color)" },
  ".cm-panels": { backgroundColor: "var(--darkened-bg)", color: "var(--body-fg)" },
  ".cm-panels.cm-panels-top": { borderBottom: "1px solid var(--hairline-color)" },
  ".cm-panels.cm-panels-bottom": { borderTop: "1px solid var(--hairline-color)" },
  ".cm-panel.cm-search": { padding: "8px 28px 8px 8px", fontFamily: "var(--font-family-primary)" },
  ".cm-panel.cm-search label": { fontSize: ".75rem", display: "inline-block" },
  ".cm-panel.cm-search [name=close]": { color: "var(--body-fg)", fontSize: "1.125rem", cursor: "pointer", padding: "0 8px" },
  ".cm-textfield": { backgroundColor: "var(--body-bg)", color: "var(--body-fg)", border: "1px solid var(--border-color)", borderRadius: "4px", padding: "4px 6px", maxWidth: "100%", fontSize: ".75rem" },
  ".cm-button": { backgroundImage: "none", backgroundColor: "var(--body-bg)", color: "var(--link-fg)", border: "1px solid var(--border-color)", borderRadius: "6px", padding: "3px 9px", fontSize: ".75rem" },
  ".cm-button:active": { backgroundImage: "none", backgroundColor: "var(--selected-bg)" },
  ".cm-tooltip": { backgroundColor: "var(--body-bg)", color: "var(--body-fg)", border: "1px solid var(--border-color)", borderRadius: "6px", maxWidth: "min(32rem, 90vw)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: mono, maxHeight: "14em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 8px" },
  ".cm-tooltip-autocomplete ul li[aria-selected], .cm-tooltip-autocomplete-disabled ul li[aria-selected]": {
    backgroundColor: "var(--button-bg)", color: "#ffffff",
  },
  ".cm-completionDetail": { fontStyle: "normal", opacity: ".75", fontFamily: "var(--font-family-primary)" },
  ".cm-diagnostic": { whiteSpace: "pre-wrap", overflowWrap: "anywhere", padding: "5px 8px", fontFamily: "var(--font-family-primary)" },
  ".cm-diagnostic-error": { borderLeft: "4px solid var(--bad)" },
  ".cm-diagnostic-warning": { borderLeft: "4px solid var(--wait)" },
  ".cm-panel.cm-panel-lint ul [aria-selected]": { backgroundColor: "var(--selected-row)", color: "var(--body-fg)" },
  "&.cm-merge-b .cm-changedLine": { backgroundColor: "var(--ins-bg)" },
  "&.cm-merge-b .cm-changedText": { background: "none", borderBottom: "2px solid var(--ok)" },
  ".cm-deletedChunk": { backgroundColor: "var(--del-bg)" },
  ".cm-deletedChunk .cm-deletedText": { background: "none", borderBottom: "2px solid var(--bad)" },
  ".cm-insertedLine, .cm-deletedLine, .cm-deletedLine del": { textDecoration: "none" },
  "&.cm-merge-b .cm-changedLineGutter": { background: "var(--ok)" },
  ".cm-deletedLineGutter": { background: "var(--bad)" },
  ".cm-collapsedLines": { background: "var(--darkened-bg)", color: "var(--body-quiet-color)" },
  // The library's own sign is in few fonts.
  ".cm-collapsedLines:before, .cm-collapsedLines:after": { content: '"⋯"' },
};

const words = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--link-fg)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--ok)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom, tags.keyword], color: "var(--wait)" },
  { tag: [tags.comment, tags.meta], color: "var(--body-quiet-color)", fontStyle: "italic" },
  { tag: [tags.labelName, tags.typeName], color: "var(--wait)" },
  { tag: tags.invalid, color: "var(--bad)" },
]);

export function look(dark) {
  return [EditorView.theme(parts, { dark }), syntaxHighlighting(words)];
}

const darkly = matchMedia("(prefers-color-scheme: dark)");

export function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme === "dark" || (theme !== "light" && darkly.matches);
}

export function onScheme(heard) {
  darkly.addEventListener("change", () => heard(isDark()));
  new MutationObserver(() => heard(isDark())).observe(document.documentElement, { attributeFilter: ["data-theme"] });
}
