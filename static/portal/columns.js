/* Columns are put in order by buttons, arrow keys and dragging; without this module by their numbers. */
const chooser = document.getElementById("columns");
const chosen = chooser?.querySelector(".chosen-columns");
const said = document.getElementById("columns-said");
const rows = () => [...chosen.children];
const nameOf = (row) => row.querySelector(".column-tick").textContent.trim();

function number() {
  rows().forEach((row, place) => { row.querySelector(".column-place input").value = place + 1; });
}

function tell(row) {
  said.textContent = chooser.dataset.moved.replace("{name}", nameOf(row)).replace("{place}", rows().indexOf(row) + 1);
}

function move(row, by) {
  const beside = by < 0 ? row.previousElementSibling : row.nextElementSibling;
  if (!beside) return;
  if (by < 0) beside.before(row); else beside.after(row);
  number();
  tell(row);
}

function isMovable(row) {
  row.querySelector(".column-moves").hidden = false;
  row.draggable = true;
}

if (chosen) {
  chooser.classList.add("is-moved-by-hand");
  rows().forEach(isMovable);
  chooser.addEventListener("click", (event) => {
    const button = event.target.closest("[data-move]");
    if (!button) return;
    move(button.closest(".column-row"), Number(button.dataset.move));
    button.focus();
  });
  chooser.addEventListener("keydown", (event) => {
    const row = event.target.closest(".chosen-columns .column-row");
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!row || !by || event.target.type === "number") return;
    event.preventDefault();
    move(row, by);
    event.target.focus();
  });
  chooser.addEventListener("change", (event) => {
    const row = event.target.closest(".column-row");
    if (event.target.type !== "checkbox" || !event.target.checked || chosen.contains(row)) return;
    chosen.append(row);
    isMovable(row);
    number();
    event.target.focus();
    tell(row);
  });
  let dragged = null;
  chosen.addEventListener("dragstart", (event) => {
    dragged = event.target.closest(".column-row");
    event.dataTransfer.effectAllowed = "move";
  });
  chosen.addEventListener("dragover", (event) => {
    const over = event.target.closest(".column-row");
    if (!dragged) return;
    event.preventDefault();
    if (!over || over === dragged) return;
    const box = over.getBoundingClientRect();
    if (event.clientY < box.top + box.height / 2) over.before(dragged); else over.after(dragged);
  });
  chosen.addEventListener("dragend", () => {
    if (dragged) { number(); tell(dragged); }
    dragged = null;
  });
}
