// Where in a YAML text the caret is, read line by line from its indentation: a text that is being typed parses seldom.

const KEY = /^(\s*(?:- +)*)(?:"([^"]*)"|'([^']*)'|([^\s#:'"[\]{},-][^:#]*?))\s*:(?=\s|$)/;

function keyOf(text) {
  const match = text.match(KEY);
  return match && { indent: match[1].length, name: match[2] ?? match[3] ?? match[4], end: match[0].length };
}

function says(text) {
  return text.trim() !== "" && !text.trimStart().startsWith("#");
}

// The keys above line `number` of `doc` that stand further left than `bound`, outermost first. Of a list that is its owner, which
// may stand as far left as the dashes do.
function above(doc, number, bound) {
  const path = [];
  for (let place = number - 1; place >= 1 && bound > 0; place -= 1) {
    const { text } = doc.line(place);
    if (!says(text)) continue;
    const key = keyOf(text);
    if (key && key.indent < bound) {
      path.unshift(key.name);
      bound = key.indent;
    }
    const dash = text.search(/\S/);
    if (text[dash] === "-" && dash < bound) bound = dash + 1;
  }
  return path;
}

// What can stand at `position`: `keys` below `path`, `values` of the key that `path` ends with, or either, in an item of its list.
export function placeIn(doc, position) {
  const line = doc.lineAt(position);
  const before = line.text.slice(0, position - line.from);
  const key = keyOf(before);
  if (key) return { path: [...above(doc, line.number, key.indent), key.name], keys: false, values: true };
  const start = before.match(/^\s*/)[0].length;
  const item = before[start] === "-";
  return { path: above(doc, line.number, item ? start + 1 : start), keys: true, values: item };
}

// The names below the top-level key `section`, such as the receivers that a text defines.
export function namesIn(doc, section) {
  const names = [];
  let inside = false;
  let depth = 0;
  for (let place = 1; place <= doc.lines; place += 1) {
    const key = keyOf(doc.line(place).text);
    if (!key) continue;
    if (key.indent === 0) {
      inside = key.name === section;
      depth = 0;
    } else if (inside) {
      depth ||= key.indent;
      if (key.indent === depth) names.push(key.name);
    }
  }
  return names;
}
