// Choosing rows of a list that is replaced while one looks at it. Django's own script keeps the boxes of the first rows.
const bar = document.querySelector("#changelist-form .actions");
if (bar) {
  const across = bar.querySelector("input.select-across");
  const counter = bar.querySelector(".action-counter");
  const boxes = () => [...document.querySelectorAll("#result_list input.action-select")];
  const all = () => document.getElementById("action-toggle");
  let last = null;

  const show = () => {
    const rows = boxes();
    const chosen = rows.filter((row) => row.checked).length;
    const whole = rows.length > 0 && chosen === rows.length;
    const total = Number(document.getElementById("list-total")?.dataset.total ?? rows.length);
    if (!whole) across.value = "0";
    const everywhere = across.value === "1";
    for (const row of rows) row.closest("tr").classList.toggle("selected", row.checked);
    if (all()) all().checked = whole;
    counter.textContent = interpolate(
      ngettext("%(sel)s of %(cnt)s selected", "%(sel)s of %(cnt)s selected", chosen), { sel: chosen, cnt: rows.length }, true);
    const visible = { ".action-counter": !everywhere, ".all": everywhere, ".clear": everywhere, ".question": whole && !everywhere && total > rows.length };
    for (const [name, is] of Object.entries(visible)) bar.querySelector(name)?.classList.toggle("hidden", !is);
  };

  const choose = (rows, checked) => {
    for (const row of rows) row.checked = checked;
    show();
  };

  document.addEventListener("change", (event) => {
    if (event.target.id === "action-toggle") choose(boxes(), event.target.checked);
    else if (event.target.matches("#result_list input.action-select")) show();
  });
  document.addEventListener("click", (event) => {
    const box = event.target.closest("#result_list input.action-select");
    if (box) {
      const rows = boxes();
      const [from, to] = [rows.indexOf(last), rows.indexOf(box)].sort((one, two) => one - two);
      if (event.shiftKey && from >= 0) choose(rows.slice(from, to + 1), box.checked);
      last = box;
    }
    const link = event.target.closest(".actions .question a, .actions .clear a");
    if (!link) return;
    event.preventDefault();
    across.value = link.closest(".question") ? "1" : "0";
    if (across.value === "0") choose(boxes(), false);
    show();
  });
  for (const kind of ["portal:fresh", "portal:released"]) document.addEventListener(kind, show);
  addEventListener("pageshow", show);
  show();
}
