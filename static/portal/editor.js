// A plain text area with line numbers; lines with problems are marked, and the caret can be sent to a place.
export function codeEditor(area) {
  const box = document.createElement("div");
  box.className = "code-editor";
  const gutter = document.createElement("pre");
  gutter.className = "gutter";
  gutter.setAttribute("aria-hidden", "true");
  area.replaceWith(box);
  box.append(gutter, area);
  let marks = {};
  let lines = 0;

  const draw = () => {
    gutter.replaceChildren();
    for (let line = 1; line <= lines; line += 1) {
      const kind = marks[line];
      if (kind) {
        const mark = document.createElement("span");
        mark.className = kind;
        mark.textContent = `${kind === "error" ? "✖" : "⚠"} ${line}`;
        gutter.append(mark, "\n");
      } else {
        gutter.append(`${line}\n`);
      }
    }
    gutter.scrollTop = area.scrollTop;
  };
  const recount = () => {
    const now = area.value.split("\n").length;
    if (now === lines) return;
    lines = now;
    draw();
  };
  area.addEventListener("input", recount);
  area.addEventListener("scroll", () => { gutter.scrollTop = area.scrollTop; });
  recount();

  return {
    mark(found) {
      marks = found;
      draw();
    },
    go(line, column) {
      const before = area.value.split("\n").slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
      const place = Math.min(before + Math.max(column - 1, 0), area.value.length);
      area.focus();
      area.setSelectionRange(place, place);
      const height = parseFloat(getComputedStyle(area).lineHeight);
      area.scrollTop = Math.max((line - 5) * height, 0);
    },
  };
}
