// What can stand where the caret is: components, their settings, references in pipelines, environment variables, and what
// templates are filled in with. What there is to choose from the server says once, and again when other agents are meant.
import { snippetCompletion } from "./vendor/codemirror.js";
import { namesIn, placeIn } from "./editor_paths.js";

const SECTIONS = ["receivers", "processors", "exporters", "connectors", "extensions"];
const SIGNALS = ["traces", "metrics", "logs"];
const OF_SERVICE = ["telemetry", "pipelines", "extensions"];
const ENVIRONMENT = ["GOMEMLIMIT", "HOSTNAME", "K8S_NODE_NAME", "K8S_POD_NAME", "MY_POD_IP", "OTEL_EXPORTER_OTLP_ENDPOINT"];
// In characters; in longer texts nobody looks for variables that are used already.
const MOST_READ = 65_536;

const plain = (type) => type.replace(/^(?:\?|\[\]|\{\})+/, "");
const named = (labels, detail = "") => [...new Set(labels)].map((label) => ({ label, detail }));

// The type of the settings at `path` below a component, by the known schemas; "" when that is not known.
function typeAt({ components, types }, section, id, path) {
  let type = components[section]?.[id.split("/")[0]] ?? "";
  for (const name of path) {
    const fields = types[plain(type)];
    if (fields) type = fields[name] ?? fields["*"] ?? "";
    else type = /^\??\{\}/.test(type) ? plain(type) : "";
  }
  return type;
}

function settingsAt(known, section, id, path) {
  const fields = known.schemas.types[plain(typeAt(known.schemas, section, id, path))] ?? {};
  return named(Object.keys(fields).filter((key) => key !== "*"));
}

function keysAt(path, known) {
  const [section, id, ...below] = path;
  if (section === undefined) return named([...SECTIONS, "service"]);
  if (SECTIONS.includes(section)) {
    return id === undefined ? named(known.components[section] ?? [], known.source) : settingsAt(known, section, id, below);
  }
  if (section !== "service") return [];
  if (id === undefined) return named(OF_SERVICE);
  if (id === "pipelines") return named([SIGNALS, SECTIONS.slice(0, 3)][below.length] ?? []);
  return id === "telemetry" ? settingsAt(known, section, id, below) : [];
}

function valuesAt(doc, path, known) {
  const [section, id, ...below] = path;
  if (section === "service" && id === "extensions") return named(namesIn(doc, "extensions"));
  if (section === "service" && id === "pipelines") {
    if (below.length !== 2) return [];
    const joins = below[1] === "processors" ? [] : namesIn(doc, "connectors");
    return [...named(namesIn(doc, below[1])), ...named(joins, "connectors")];
  }
  if (id === undefined) return [];
  const type = plain(typeAt(known.schemas, section, id, below));
  if (type === "bool") return named(["true", "false"]);
  return /^~?[\w.+-]+(?:\|[\w.+-]+)+$/.test(type) ? named(type.replace("~", "").split("|")) : [];
}

// Within `{{ … }}` or `{% … %}`: `{typed, options}`, else `null`.
function inTemplate(before, known) {
  const open = before.match(/\{[{%]([^{}]*)$/);
  if (!open) return null;
  const member = open[1].match(/\b(vars|secrets)\.(\w*)$/);
  if (member) return { typed: member[2], options: named(known[member[1]], member[1]) };
  const label = open[1].match(/\blabels\["([^"]*)$/);
  if (label) return { typed: label[1], options: known.labels.map((key) => ({ label: key, closing: '"]' })) };
  const filter = open[1].match(/\|\s*(\w*)$/);
  if (filter) return { typed: filter[1], options: named(known.filters) };
  const whole = [...known.labels.map((key) => `labels["${key}"]`), ...known.vars.map((name) => `vars.${name}`),
    ...known.secrets.map((name) => `secrets.${name}`)];
  return { typed: open[1].match(/[\w.]*$/)[0], options: named(whole) };
}

function inEnvironment(before, doc) {
  const open = before.match(/\$\{(env:)?(\w*)$/);
  if (!open) return null;
  const used = doc.length > MOST_READ ? [] : [...doc.toString().matchAll(/\$\{env:(\w+)\}/g)].map((match) => match[1]);
  const names = [...new Set([...used, ...ENVIRONMENT])];
  return { typed: open[2], options: names.map((name) => ({ label: `${open[1] ? "" : "env:"}${name}`, closing: "}" })) };
}

// What the option ends with is not doubled where the editor closed it already.
function closed({ label, detail, closing = "" }, rest) {
  let kept = closing;
  while (kept && rest.startsWith(kept[kept.length - 1])) kept = kept.slice(0, -1);
  return { label, detail, apply: label + kept };
}

// `ask` gives what there is to choose from, or `null` while that is not known.
export function completionSource(ask) {
  return async (context, kind) => {
    const { explicit, pos, state } = context;
    const line = state.doc.lineAt(pos);
    const before = line.text.slice(0, pos - line.from);
    const rest = line.text.slice(pos - line.from);
    if (/(?:^|\s)#/.test(before)) return null;
    const answer = ({ typed, options }) => (options.length ? { from: pos - typed.length, options } : null);
    const plainly = (found) => found && answer({ ...found, options: found.options.map((item) => closed(item, rest)) });
    const environment = inEnvironment(before, state.doc);
    if (environment) return plainly(environment);
    if (!explicit && !/[\w{[".|-]$/.test(before)) return null;
    const known = await ask();
    if (!known || context.aborted) return null;
    const template = inTemplate(before, known);
    if (template) return plainly(template);
    if (kind !== "yaml") return null;
    const typed = before.match(/[\w./]*$/)[0];
    if (!explicit && typed === "") return null;
    const { path, keys, values } = placeIn(state.doc, pos);
    const wanted = values ? valuesAt(state.doc, path, known) : [];
    // A key gets its colon, unless it has one.
    const asKey = (item) => (/^\s*:/.test(rest) ? item : snippetCompletion(`${item.label}:`, item));
    if (keys) wanted.push(...keysAt(path, known).map(asKey));
    return answer({ typed, options: wanted.filter(({ label }) => label !== typed) });
  };
}
