// Links of a pipeline graph lead to the line in which a component is defined. Without JavaScript they lead to the file.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.(".pipelines a[data-line], .pipelines-table a[data-line]");
  // SVG's own links have an animated href.
  const target = link && document.getElementById((link.href.baseVal ?? link.getAttribute("href")).slice(1));
  if (!target) return;
  event.preventDefault();
  for (let outer = target.parentElement; outer; outer = outer.parentElement) {
    if (outer instanceof HTMLDetailsElement) outer.open = true;
  }
  const tab = target.closest(".tab");
  if (tab?.hidden) document.querySelector(`#tabs a[href="#${tab.id}"]`)?.click();
  const text = target instanceof HTMLTextAreaElement ? target.value : target.textContent;
  const lines = text.split("\n");
  const number = Math.min(Number(link.dataset.line), lines.length);
  const begin = lines.slice(0, number - 1).reduce((sum, line) => sum + line.length + 1, 0);
  const end = begin + lines[number - 1].length;
  const height = parseFloat(getComputedStyle(target).lineHeight) || 18;
  target.focus({ preventScroll: true });
  if (target instanceof HTMLTextAreaElement) {
    target.setSelectionRange(begin, end);
  } else {
    const range = document.createRange();
    range.setStart(target.firstChild, begin);
    range.setEnd(target.firstChild, end);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }
  target.scrollTop = Math.max((number - 5) * height, 0);
  target.scrollIntoView({ block: "nearest" });
  if (!(target instanceof HTMLTextAreaElement)) getSelection().focusNode?.parentElement?.scrollIntoView({ block: "nearest" });
});
