// Several files one beside the other: each gets a tab, and one is shown. Without JavaScript all stand one below the other.
export function fileTabs(files, label) {
  const list = document.createElement("div");
  list.className = "tabs file-tabs";
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", label);
  files.before(list);
  const tabs = [];
  let chosen = 0;

  const panels = () => [...files.children];
  const show = (place) => {
    const all = panels();
    chosen = Math.min(place, all.length - 1);
    const several = all.length > 1;
    list.hidden = !several;
    files.classList.toggle("is-tabbed", several);
    all.forEach((panel, number) => {
      panel.hidden = several && number !== chosen;
      if (several) panel.open = true;
      tabs[number].setAttribute("aria-selected", String(number === chosen));
      tabs[number].tabIndex = number === chosen ? 0 : -1;
    });
  };
  const nameOf = (panel) => {
    const typed = panel.querySelector("input[name$=key]")?.value.trim();
    return typed || panel.querySelector(".file-name").textContent.trim();
  };
  const add = (panel) => {
    const number = tabs.length;
    const tab = document.createElement("button");
    tab.type = "button";
    tab.id = `file-tab-${number}`;
    tab.setAttribute("role", "tab");
    panel.id ||= `file-${number}`;
    tab.setAttribute("aria-controls", panel.id);
    const name = document.createElement("span");
    name.textContent = nameOf(panel);
    const count = document.createElement("span");
    count.className = "tab-problems";
    tab.append(name, count);
    panel.setAttribute("aria-labelledby", tab.id);
    panel.addEventListener("input", (event) => {
      if (event.target.name?.endsWith("key")) name.textContent = nameOf(panel);
    });
    tab.addEventListener("click", () => show(number));
    tabs.push(tab);
    list.append(tab);
  };
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show((chosen + step + tabs.length) % tabs.length);
    tabs[chosen].focus();
  });

  panels().forEach(add);
  // What was refused must be seen.
  show(Math.max(panels().findIndex((panel) => panel.querySelector(".errorlist")), 0));
  return {
    show,
    append(panel) {
      add(panel);
      show(tabs.length - 1);
    },
    // How many problems each file has, in the order of the page.
    count(numbers) {
      tabs.forEach((tab, number) => {
        const sign = numbers[number]?.errors ? "✖" : "⚠";
        const many = numbers[number] ? numbers[number].errors + numbers[number].warnings : 0;
        tab.querySelector(".tab-problems").textContent = many ? ` ${sign} ${many}` : "";
      });
    },
  };
}
