// Suggestions while somebody types a query. The server knows what may stand where; without this the box is a box.
const box = document.querySelector("#searchbar[data-suggest]");
if (box) {
  const list = document.createElement("ul");
  Object.assign(list, { id: "query-suggestions", className: "query-suggestions", hidden: true });
  list.setAttribute("role", "listbox");
  box.after(list);
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": list.id, "aria-expanded": "false" })) box.setAttribute(name, value);
  let start = 0;
  let end = 0;
  let chosen = -1;
  let timer = 0;
  let asked = 0;

  const close = () => {
    list.hidden = true;
    chosen = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };

  const mark = (place) => {
    chosen = place;
    [...list.children].forEach((row, number) => row.setAttribute("aria-selected", String(number === place)));
    const row = list.children[place];
    if (!row) return box.removeAttribute("aria-activedescendant");
    row.scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", row.id);
  };

  const take = (row) => {
    const text = row.dataset.text;
    const done = /[^:=<]$/.test(text);
    box.value = `${box.value.slice(0, start)}${text}${done ? " " : ""}${box.value.slice(end)}`;
    const place = start + text.length + (done ? 1 : 0);
    box.focus();
    box.setSelectionRange(place, place);
    close();
    if (!done) ask();
  };

  const show = (found) => {
    list.replaceChildren(...found.suggestions.map((each, number) => {
      const row = document.createElement("li");
      Object.assign(row, { id: `query-suggestion-${number}` });
      row.dataset.text = each.text;
      row.setAttribute("role", "option");
      const code = document.createElement("code");
      code.textContent = each.text;
      const said = document.createElement("span");
      said.className = "quiet";
      said.textContent = each.count === null ? each.title : String(each.count);
      row.append(code, said);
      return row;
    }));
    list.hidden = found.suggestions.length === 0;
    box.setAttribute("aria-expanded", String(!list.hidden));
    mark(-1);
  };

  const ask = async () => {
    const number = ++asked;
    end = box.selectionStart ?? box.value.length;
    const url = `${box.dataset.suggest}?${new URLSearchParams({ q: box.value.slice(0, end) })}`;
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" } });
      if (!answer.ok || number !== asked || document.activeElement !== box) return;
      const found = await answer.json();
      start = found.start;
      show(found);
    } catch {
      close();
    }
  };

  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 150);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && list.hidden) return void ask();
    if (list.hidden) return;
    const count = list.children.length;
    if (event.key === "ArrowDown") mark((chosen + 1) % count);
    else if (event.key === "ArrowUp") mark((chosen - 1 + count) % count);
    else if (event.key === "Escape") close();
    else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) take(list.children[chosen]);
    else return;
    event.preventDefault();
  });
  list.addEventListener("mousedown", (event) => {
    const row = event.target.closest("li");
    if (!row) return;
    event.preventDefault();
    take(row);
  });
  box.addEventListener("blur", close);
}
