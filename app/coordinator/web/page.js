// The page: asks the API, follows its events, and asks again what a change may have touched.
const STATES = ["blocked", "ready", "claimed", "completed", "failed", "cancelled"];
const KEPT_EVENTS = 50;
const CALM_MS = 500; // at most this often is everything asked again
const RETRY_MS = 2000;
const IDLE_MS = 10_000; // what changes without an event: ages, and what was measured

const find = (id) => document.getElementById(id);
const token = () => sessionStorage.getItem("token");

class NeedsToken extends Error {}

async function ask(path, options = {}) {
  const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
  const answer = await fetch(path, { ...options, headers: { ...headers, ...options.headers } });
  if (answer.status === 401) throw new NeedsToken();
  if (!answer.ok) throw Object.assign(new Error(`${path} answers ${answer.status}`), { status: answer.status });
  return answer;
}

const get = async (path) => (await ask(path)).json();

// Text only ever goes in as text: titles and names are what strangers wrote.
function cell(content, kind = "td") {
  const made = document.createElement(kind);
  if (content instanceof Node) made.append(content);
  else made.textContent = content ?? "";
  return made;
}

function row(...contents) {
  const made = document.createElement("tr");
  made.append(...contents.map((content) => cell(content)));
  return made;
}

function marked(word) {
  const made = document.createElement("span");
  made.className = word;
  made.textContent = word;
  return made;
}

function ago(time) {
  const seconds = Math.max(0, Math.round((Date.now() - new Date(time)) / 1000));
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return new Date(time).toLocaleString();
}

function describe(event) {
  const made = document.createElement("li");
  const what = [event.kind.replaceAll("_", " "), event.agent && `by ${event.agent}`, event.data.reason];
  const time = new Date(event.at).toLocaleTimeString([], { hour12: false });
  made.textContent = `${time}  ${what.filter(Boolean).join(" · ")}`;
  return made;
}

// In the feed, where an event stands among those of other items, it leads to its own.
function link(event) {
  const made = describe(event);
  if (event.item) made.append(" · ", opener({ id: event.item, title: `…${event.item.slice(-8)}` }));
  return made;
}

async function showHistory(item) {
  const { events } = await get(`v1/work/${encodeURIComponent(item.id)}/history`);
  find("history-title").textContent = item.title;
  find("history-events").replaceChildren(...events.map(describe));
  find("history").showModal();
}

function opener(item) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = item.title;
  made.addEventListener("click", () => showHistory(item));
  return made;
}

// A chart each: its element, its series, and what the caption says of the newest value.
const CHARTS = [
  {
    id: "throughput",
    series: [["submitted", "--quiet"], ["claimed", "--mark"], ["completed", "--good"]],
    values: (trend) => ["submitted", "claimed", "completed"].map((name) => trend[name].map((count) => (count * 60) / trend.span_seconds)),
    now: ([, , completed]) => `${Math.round(completed.at(-1))} completed`,
  },
  { id: "latency", series: [["ms", "--mark"]], values: (trend) => [trend.p95_ms], now: ([ms]) => `${last(ms)} ms` },
  { id: "queue-age", series: [["s", "--bad"]], values: (trend) => [trend.oldest_ready_seconds], now: ([age]) => `${Math.round(last(age))} s` },
];
const CHART_HEIGHT = 140;
// A span that nobody measured yet has no value.
const last = (values) => values.findLast((one) => one !== null) ?? 0;
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
const drawn = new Map();

// A canvas does not know light-dark(): the colour as an element of the page has it.
function colour(name) {
  const probe = find("trend");
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.style.color = "";
  return found;
}

function draw(trend) {
  for (const chart of CHARTS) {
    const values = chart.values(trend);
    find(`${chart.id}-now`).textContent = chart.now(values);
    if (!drawn.has(chart.id)) drawn.set(chart.id, plot(chart));
    drawn.get(chart.id).setData([trend.starts, ...values]);
  }
}

function plot(chart) {
  const element = find(chart.id);
  const axis = { stroke: () => colour("--quiet"), grid: { stroke: () => colour("--line"), width: 1 } };
  const options = {
    width: element.clientWidth,
    height: CHART_HEIGHT,
    legend: { show: false },
    axes: [{ ...axis, values: (_, times) => times.map(clock) }, { ...axis, size: 60 }],
    scales: { y: { range: (_, __, high) => [0, Math.max(1, high)] } },
    series: [{}, ...chart.series.map(([label, name]) => ({ label, stroke: () => colour(name), width: 2, points: { size: 4, show: true } }))],
  };
  const made = new uPlot(options, [[], ...chart.series.map(() => [])], element);
  new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: CHART_HEIGHT })).observe(element);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => made.redraw());
  return made;
}

async function refresh() {
  const [health, { teams }, { items }, { agents }, trend] = await Promise.all(
    ["v1/health", "v1/reports/teams", "v1/work?count=20", "v1/agents", "v1/reports/trend"].map(get),
  );
  draw(trend);
  find("score").textContent = health.score;
  find("parts").replaceChildren(
    ...health.parts.map((part) => row(part.name, `${part.value} ${part.unit}`, part.weight, part.score)),
  );
  find("teams").replaceChildren(
    ...teams.map((team) => row(team.team ?? "(none)", ...STATES.map((state) => team.items[state] ?? 0))),
  );
  find("work").replaceChildren(
    ...items.map((item) => row(opener(item), marked(item.status), item.priority, item.team, item.agent)),
  );
  find("agents").replaceChildren(
    ...agents.map((agent) =>
      row(agent.name, marked(agent.status), agent.team, `${agent.claimed}/${agent.capacity ?? "∞"}`, ago(agent.last_seen_at)),
    ),
  );
}

let planned = null;
function refreshSoon() {
  planned ??= setTimeout(() => {
    planned = null;
    refresh().catch(report);
  }, CALM_MS);
}

// Not EventSource, which cannot send a token.
async function follow() {
  let place = null;
  for (;;) {
    try {
      const answer = await ask("v1/events/stream", { headers: place ? { "Last-Event-ID": place } : {} });
      find("connection").textContent = "live";
      refreshSoon();
      let rest = "";
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const lines = (rest + value).split(/\r?\n/);
        rest = lines.pop();
        for (const line of lines) {
          if (line.startsWith("id:")) place = line.slice(3).trim();
          if (line.startsWith("data:") && line.slice(5).trim()) tell(JSON.parse(line.slice(5)));
        }
      }
    } catch (error) {
      if (error instanceof NeedsToken) return report(error);
      // The store was restored: what it told before is not known to it.
      if (error.status === 400) place = null;
    }
    find("connection").textContent = "not connected, trying again …";
    await new Promise((resume) => setTimeout(resume, RETRY_MS));
  }
}

function tell(event) {
  const list = find("events");
  list.prepend(link(event));
  while (list.children.length > KEPT_EVENTS) list.lastChild.remove();
  refreshSoon();
}

function report(error) {
  if (error instanceof NeedsToken) {
    find("page").hidden = true;
    find("sign-in").hidden = false;
    find("sign-in-fault").textContent = token() ? "The token is unknown or revoked." : "";
    find("connection").textContent = "signed out";
    find("token").focus();
  } else {
    find("connection").textContent = error.message;
  }
}

find("sign-in").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  sessionStorage.setItem("token", find("token").value.trim());
  start();
});

async function start() {
  try {
    const { events } = await get("v1/events?count=20");
    find("sign-in").hidden = true;
    find("page").hidden = false;
    find("events").replaceChildren(...events.map(link));
    await refresh();
    setInterval(refreshSoon, IDLE_MS);
    follow();
  } catch (error) {
    report(error);
  }
}

start();
