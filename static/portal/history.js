// The fleet over time as a chart. Numbers come from the REST API; without JavaScript the table below says the same.
const box = document.getElementById("history-chart");
const lines = box ? [...box.querySelectorAll("[data-name]")].map((span) => ({ name: span.dataset.name, title: span.textContent })) : [];
const COLOURS = { total: "--body-quiet-color", connected: "--link-fg", healthy: "--ok", unhealthy: "--wait", in_sync: "--secondary", failed: "--bad" };
const DASHES = { total: [2, 3], unhealthy: [6, 3], in_sync: [8, 2, 2, 2], failed: [4, 2] };
let plot = null;
let data = null;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Times as all pages write them, in the reader's zone.
const zone = document.querySelector('meta[name="portal-time-zone"]')?.content;
const written = new Intl.DateTimeFormat("en-CA", { timeZone: zone, dateStyle: "short", timeStyle: "short", hourCycle: "h23" });
const DAY = 86_400;

function stamp(seconds) {
  return written.format(new Date(seconds * 1e3)).replace(",", "");
}

function labels(_plot, places, _axis, _space, step) {
  let before = "";
  return places.map((at) => {
    const [day, time] = stamp(at).split(" ");
    if (step >= DAY) return day;
    const text = day === before ? time : `${time}\n${day}`;
    before = day;
    return text;
  });
}

function draw() {
  plot?.destroy();
  const axis = { stroke: colour("--body-quiet-color"), grid: { stroke: colour("--hairline-color"), width: 1 }, ticks: { show: false } };
  plot = new window.uPlot({
    width: box.clientWidth,
    height: 220,
    ...(zone ? { tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1e3), zone) } : {}),
    series: [{ label: box.dataset.time, value: (_plot, at) => (at ? stamp(at) : "–") }, ...lines.map(({ name, title }) => ({ label: title, stroke: colour(COLOURS[name]), width: 1.5, dash: DASHES[name], points: { show: data[0].length < 3 } }))],
    axes: [{ ...axis, values: labels }, { ...axis, size: 56, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5] }],
    scales: { x: { range: (_plot, low, high) => (high > low ? [low, high] : [low - 3_600, high + 3_600]) }, y: { range: (_plot, _low, high) => [0, Math.max(high * 1.05, 1)] } },
    legend: { live: true },
  }, data, box);
}

async function show() {
  const answer = await fetch(box.dataset.url, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const { points, resolution } = await answer.json();
  if (!points.length) return;
  data = [[], ...lines.map(() => [])];
  let last = 0;
  for (const point of points) {
    const at = Date.parse(point.at) / 1e3;
    // A time without samples is a gap, not a line.
    if (last && at - last > 2 * resolution) {
      data[0].push(last + resolution);
      lines.forEach((_line, place) => data[place + 1].push(null));
    }
    last = at;
    data[0].push(at);
    lines.forEach(({ name }, place) => data[place + 1].push(point[name]));
  }
  box.replaceChildren();
  box.hidden = false;
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", document.getElementById("history-heading").textContent);
  draw();
  new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: 220 })).observe(box);
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

if (box && window.uPlot) show();
