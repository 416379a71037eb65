// What every page has: buttons that copy. Buttons stay hidden without JavaScript, where they could do nothing.
async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Plain http on another machine has no clipboard object; the old command still works there.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

// What is larger than its box is scrolled by keys too, once it can be focused.
const boxes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});

export function enliven(root) {
  for (const box of root.querySelectorAll(".table-scroll, .results, .bounded, #reach, .side")) boxes.observe(box);
  for (const button of root.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const target = document.getElementById(button.dataset.copy);
  const before = button.textContent;
  try {
    await copy(target.textContent);
    button.textContent = button.dataset.done;
  } catch {
    // Refused by the browser: select the text, so that one key copies it.
    getSelection().selectAllChildren(target);
    return;
  }
  setTimeout(() => { button.textContent = before; }, 1500);
});

enliven(document);
