// Rows of conditions over the selector's text field. Only the server reads selectors; here rows become text, never the reverse.
const WITHOUT_VALUES = new Set(["Exists", "DoesNotExist"]);

// Commas separate values; one in double quotes belongs to its value.
function split(text) {
  return (text.match(/(?:"(?:\\.|[^"\\])*"|[^,])+/g) ?? [])
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map((part) => {
      if (!/^".*"$/s.test(part)) return part;
      try { return String(JSON.parse(part)); } catch { return part; }
    });
}

function join(values) {
  return values.map((value) => (value === "" || /[,"]|^\s|\s$/.test(value) ? JSON.stringify(value) : value)).join(", ");
}

function textOf(rows) {
  const keys = rows.map((row) => row.key);
  const plain = rows.every((row) => row.operator === "In" && row.values.length === 1) && new Set(keys).size === keys.length
    && !keys.includes("matchLabels") && !keys.includes("matchExpressions");
  if (plain) return JSON.stringify(Object.fromEntries(rows.map((row) => [row.key, row.values[0]])), null, 2);
  const expressions = rows.map((row) => (WITHOUT_VALUES.has(row.operator) ? { key: row.key, operator: row.operator } : row));
  return JSON.stringify({ matchExpressions: expressions }, null, 2);
}

export function selectorEditor(form, template, readRows) {
  const area = form.elements.selector;
  const every = form.elements.match_all;
  const place = area.closest(".form-row");
  const copy = document.importNode(template.content, true);
  const editor = copy.querySelector(".selector-editor");
  const pattern = copy.querySelector(".selector-row");
  const rowsBox = editor.querySelector(".selector-rows");
  const showRaw = editor.querySelector(".show-raw");
  const showRows = editor.querySelector(".show-rows");
  const adder = editor.querySelector(".add-row");
  const listeners = [];
  const help = place.querySelector(".help");

  const write = () => {
    const rows = every.checked ? [] : [...rowsBox.children].map((row) => {
      const operator = row.querySelector(".row-operator").value;
      return {
        key: row.querySelector(".row-key").value.trim(),
        operator,
        values: WITHOUT_VALUES.has(operator) ? [] : split(row.querySelector(".row-values").value),
      };
    }).filter((row) => row.key !== "" || row.values.length > 0);
    area.value = textOf(rows);
    listeners.forEach((listener) => listener());
  };
  const shape = (row) => {
    row.querySelector(".row-values").hidden = WITHOUT_VALUES.has(row.querySelector(".row-operator").value);
  };
  const add = ({ key = "", operator = "In", values = [] } = {}) => {
    const row = pattern.cloneNode(true);
    row.querySelector(".row-key").value = key;
    row.querySelector(".row-operator").value = operator;
    row.querySelector(".row-values").value = join(values);
    shape(row);
    rowsBox.append(row);
    return row;
  };
  const fill = (rows) => {
    rowsBox.replaceChildren();
    rows.forEach(add);
    if (rows.length === 0) add();
  };
  const mode = (raw) => {
    area.hidden = !raw;
    if (help) help.hidden = !raw;
    rowsBox.hidden = raw;
    adder.hidden = raw;
    showRaw.hidden = raw;
    showRows.hidden = !raw;
  };
  const inert = () => {
    place.classList.toggle("is-inert", every.checked);
    for (const control of rowsBox.querySelectorAll("input, select, button")) control.disabled = every.checked;
    adder.disabled = every.checked;
  };

  rowsBox.addEventListener("input", (event) => {
    shape(event.target.closest(".selector-row"));
    write();
  });
  rowsBox.addEventListener("click", (event) => {
    const button = event.target.closest(".remove-row");
    if (!button) return;
    const row = button.closest(".selector-row");
    (row.nextElementSibling ?? row.previousElementSibling ?? adder).querySelector?.(".row-key")?.focus();
    row.remove();
    if (rowsBox.children.length === 0) add().querySelector(".row-key").focus();
    write();
  });
  // Enter in a row means the next row, not the form.
  rowsBox.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.closest("button")) return;
    event.preventDefault();
    add().querySelector(".row-key").focus();
  });
  adder.addEventListener("click", () => add().querySelector(".row-key").focus());
  showRaw.addEventListener("click", () => { mode(true); area.focus(); });
  showRows.addEventListener("click", async () => {
    const rows = await readRows();
    if (!rows) return;
    fill(rows);
    mode(false);
    inert();
  });
  every.addEventListener("change", () => {
    inert();
    if (!area.hidden) return;
    write();
  });

  area.before(editor);
  const rows = JSON.parse(template.dataset.rows);
  fill(rows ?? []);
  mode(rows === null);
  inert();
  return { changed(listener) { listeners.push(listener); } };
}
