// The page of one try: one moment for everything, which the address names; everything else follows it.

import { Bands } from "./episode_bands.js";
import { Camera } from "./episode_cameras.js";
import { Plots } from "./episode_plots.js";
import { ask, clock, later, latest, through, turned } from "./episode_time.js";
import { busy, say, send } from "./shell.js";

const $ = (name) => document.getElementById(name);
const page = document.querySelector(".episode");
const known = JSON.parse($("overview").textContent);
const api = `/api/v1/episodes/${encodeURIComponent(known.id)}`;
const asked = new URLSearchParams(location.search);
const SPEEDS = ["0.25", "0.5", "1", "2"];

const state = {
  t: 0, view: [0, known.duration_ns], span: null, loops: false, playing: false, speed: 1, other: null, align: "time",
};
const cameras = known.cameras.map((info) => new Camera(known.id, info, figureOf(info, $("cameras"))));
let others = [];
const bands = new Bands($("bands"), known, (t) => { stop(); seek(t); });
const plots = new Plots($("plots"), known.id, known.tracks, {
  seek: (t) => { stop(); seek(t); },
  zoom,
  ready: () => { page.dataset.ready = "yes"; },
  whole: () => { page.dataset.whole = "yes"; },
  fail: (error) => say(error.message, "bad"),
});

function figureOf(info, stage, other = false) {
  const figure = $("camera").content.firstElementChild.cloneNode(true);
  figure.dataset.camera = info.name;
  figure.style.setProperty("--aspect", info.width / info.height);
  figure.classList.toggle("other", other);
  const name = figure.querySelector("span");
  name.textContent = info.name.replace(/^camera\//, "") + (info.kind.startsWith("depth") ? ` (${info.kind}, each picture stretched)` : "");
  name.title = `${info.name}: ${info.width} × ${info.height}, ${info.pictures} pictures, ${info.kind}`;
  // Side by side a wide page has a row for each try, and a narrow one both of a camera beside each other.
  figure.style.setProperty("--pair", 2 * stage.querySelectorAll(other ? ".other" : ".cam:not(.other)").length + Number(other));
  stage.append(figure);
  return figure;
}

// -- the moment -------------------------------------------------------------------------------------------------------

function seek(t) {
  state.t = Math.min(known.duration_ns, Math.max(0, Math.round(t)));
  page.dataset.tNs = state.t;
  show();
  remember();
}

function show() {
  bands.move(state.t);
  plots.move(state.t);
  for (const camera of cameras) camera.show(state.t);
  if (state.other) for (const camera of others) camera.show(state.other.forth(state.t));
  $("now").firstChild.textContent = clock(state.t);
  $("bands").setAttribute("aria-valuenow", (state.t / 1e9).toFixed(3));
  $("bands").setAttribute("aria-valuetext", `${clock(state.t)} seconds`);
  settle();
}

function settle() {
  const all = state.other ? [...cameras, ...others] : cameras;
  page.dataset.settled = String(all.every((one) => one.settled));
}

const remember = later(() => {
  const words = new URLSearchParams([["t", (state.t / 1e9).toFixed(6).replace(/\.?0+$/, "")]]);
  if (state.span) words.set("span", state.span.map((t) => (t / 1e9).toFixed(3)).join(","));
  if (state.loops) words.set("loop", "1");
  if (state.speed !== 1) words.set("speed", state.speed);
  if (state.view[0] > 0 || state.view[1] < known.duration_ns) words.set("zoom", state.view.map((t) => (t / 1e9).toFixed(3)).join(","));
  if (state.other) {
    words.set("beside", state.other.id);
    if (state.align !== "time") words.set("align", state.align);
  }
  history.replaceState(null, "", `?${words}`);
  for (const link of document.querySelectorAll("[data-viewer]")) {
    link.href = `${api}/open?viewer=${link.dataset.viewer}&t=${(state.t / 1e9).toFixed(3)}`;
  }
}, 120);

/** One picture on or back, of the first camera; without cameras one row of the quickest plot that is drawn. */
function step(by) {
  stop();
  const stamps = cameras.find((one) => one.stamps.length)?.stamps ?? rows();
  if (!stamps.length) return;
  const at = latest(stamps, state.t);
  const to = stamps[Math.min(stamps.length - 1, Math.max(0, at + by))];
  seek(to);
}

function rows() {
  const all = [...plots.data.values()].map((one) => one.t_ns);
  return all.reduce((best, one) => (one.length > best.length ? one : best), []);
}

function jump(by) {
  const stops = [...known.events, ...known.said.failures].map((one) => one.t_ns).sort((a, b) => a - b);
  const found = by > 0 ? stops.find((t) => t > state.t) : stops.reverse().find((t) => t < state.t);
  if (found !== undefined) { stop(); seek(found); }
}

// -- playing ----------------------------------------------------------------------------------------------------------

let last = 0;

function play() {
  if (state.playing) return;
  const [begin, end] = bounds();
  if (state.t >= end || state.t < begin) seek(begin);
  state.playing = true;
  roll();
  last = performance.now();
  told();
  requestAnimationFrame(tick);
}

function roll() {
  for (const camera of cameras) camera.roll(state.t, state.speed);
  if (state.other) for (const camera of others) camera.roll(state.other.forth(state.t), state.speed);
}

function stop() {
  if (!state.playing) return;
  state.playing = false;
  for (const camera of [...cameras, ...others]) camera.halt();
  told();
  seek(state.t);
}

function bounds() { return state.loops && state.span ? state.span : [0, known.duration_ns]; }

function tick(now) {
  if (!state.playing) return;
  const [begin, end] = bounds();
  let t = state.t + (now - last) * 1e6 * state.speed;
  last = now;
  if (t >= end) {
    if (!state.loops) { seek(end); stop(); return; }
    t = begin + ((t - begin) % (end - begin));
  }
  state.t = Math.round(t);
  page.dataset.tNs = state.t;
  show();
  requestAnimationFrame(tick);
}

function told() {
  $("play").textContent = state.playing ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", state.playing ? "Pause" : "Play");
  $("play").setAttribute("aria-pressed", String(state.playing));
  $("loop").setAttribute("aria-pressed", String(state.loops));
  $("speed").value = String(state.speed);
}

function pace(speed) {
  state.speed = speed;
  if (state.playing) for (const camera of [...cameras, ...others]) camera.speed = speed;
  told();
  remember();
}

// -- spans and zoom ---------------------------------------------------------------------------------------------------

function mark(side) {
  const [begin, end] = state.span ?? [0, known.duration_ns];
  state.span = side === 0 ? [state.t, Math.max(end, state.t + 1e6)] : [Math.min(begin, state.t - 1e6), state.t];
  state.span = [Math.max(0, state.span[0]), Math.min(known.duration_ns, state.span[1])];
  state.loops = true;
  spanned();
}

function loop() {
  state.loops = !state.loops;
  if (state.loops && !state.span) state.span = [...state.view];
  spanned();
}

function spanned() {
  bands.span = state.loops ? state.span : null;
  bands.draw();
  told();
  remember();
}

function zoom(view) {
  const [begin, end] = view ?? [0, known.duration_ns];
  const least = Math.min(known.duration_ns, 2e6), middle = (begin + end) / 2;
  state.view = end - begin < least ? [middle - least / 2, middle + least / 2] : [begin, end];
  state.view = [Math.max(0, state.view[0]), Math.min(known.duration_ns, state.view[1])];
  bands.view = state.view;
  bands.draw();
  plots.look(state.view);
  $("whole").hidden = state.view[0] <= 0 && state.view[1] >= known.duration_ns;
  remember();
}

// -- another try beside it --------------------------------------------------------------------------------------------

async function beside(id, align) {
  for (const figure of document.querySelectorAll(".cam.other")) figure.remove();
  $("cameras").classList.remove("paired");
  others = [];
  state.other = null;
  state.align = align ?? "time";
  $("align").disabled = true;
  $("paired").textContent = "";
  if (!id) {
    bands.beside(null);
    plots.beside(null);
    remember();
    return;
  }
  const [pair, that] = await Promise.all([
    ask(`${api}/beside?other=${encodeURIComponent(id)}`), ask(`/api/v1/episodes/${encodeURIComponent(id)}/overview`),
  ]);
  const phased = pair.by_phase.length > 0;
  if (!phased) state.align = "time";
  const knots = state.align === "phase" ? pair.by_phase : pair.by_time;
  const other = {
    id: that.id, forth: (t) => through(knots, t), back: (t) => through(turned(knots), t),
    streams: new Set(that.tracks.map((one) => one.name)),
  };
  others = that.cameras.map((info) => new Camera(that.id, info, figureOf(info, $("cameras"), true)));
  await Promise.all(others.map((one) => one.open()));
  $("cameras").classList.toggle("paired", others.length > 0 && cameras.length > 0);
  $("cameras").style.setProperty("--columns", Math.max(cameras.length, others.length));
  state.other = other;
  $("align").disabled = !phased;
  $("align").value = state.align;
  const laid = state.align === "phase" ? `by ${pair.phases.length} phases (${pair.phases.join(", ")})` : "by the time since the start";
  $("paired").textContent = `${pair.same_start ? "The same start" : "Not the same start"}; laid over ${laid}. Dashed: ${that.key}`;
  bands.beside(that.bands, other.back);
  plots.beside(other);
  show();
  remember();
}

async function relatives() {
  const found = await ask(`${api}/like`), choice = $("beside");
  const wanted = asked.get("beside");
  if (wanted && !found.some((one) => one.id === wanted)) found.push({ id: wanted, key: wanted, source: "asked for" });
  for (const one of found) {
    const by = one.operator ? ` by ${one.operator}` : "";
    const key = one.key.replace(/[a-z_]+-[a-z0-9]+-[0-9a-f]{24}([0-9a-f]{8})/g, "…$1"); // the end of an id names it
    choice.append(new Option(`${one.source}${by}, ${key}`, one.id));
  }
  choice.disabled = !found.length;
  if (!found.length) choice.options[0].textContent = "no other try from this start";
  if (wanted) choice.value = wanted;
}

// -- a film of a simulated try ------------------------------------------------------------------------------------------

async function film() {
  const button = $("film");
  if (!button) return;
  const note = $("film-state");
  const wait = async () => {
    const { state: how } = await ask(`${api}/rehearsal`);
    if (how === "ready") location.reload();
    else if (how === "filming") setTimeout(wait, 700);
    else note.textContent = `There is no film: ${how}`;
  };
  const begun = () => { button.disabled = true; note.textContent = "Filming at the site, from its start and its logged actions …"; wait(); };
  button.addEventListener("click", async () => {
    try { await send(`${api}/rehearsal`, {}); begun(); } catch (error) { say(error.message, "bad"); }
  });
  if (known.rehearsal === "filming") begun();
}

// -- factors ------------------------------------------------------------------------------------------------------------

$("factor")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, words = { factor: form.factor.value.trim(), value: form.value.value.trim() };
  try {
    for (const one of await send(`${api}/factors`, words)) {
      const row = document.createElement("li");
      for (const [kind, text] of [["span", one.factor], ["b", one.value || "taken back"], ["small", one.author]]) {
        row.append(Object.assign(document.createElement(kind), { textContent: text }));
      }
      const before = [...$("factors").children].find((each) => each.firstElementChild.textContent === one.factor);
      if (before) before.replaceWith(row); else $("factors").append(row);
    }
    form.reset();
    say("It is on record under your name.");
  } catch (error) {
    say(error.message, "bad");
  }
});

// -- how it ended -------------------------------------------------------------------------------------------------------

$("ended")?.addEventListener("click", async (event) => {
  const outcome = event.target.dataset.outcome;
  if (!outcome) return;
  try {
    const [made] = await send(`${api}/outcomes`, { outcome });
    const row = document.createElement("li");
    for (const [kind, text] of [["b", made.outcome], ["small", `person: ${made.author}`]]) {
      row.append(Object.assign(document.createElement(kind), { textContent: text }));
    }
    $("outcomes").querySelector(".soft:only-child")?.remove();
    $("outcomes").append(row);
    say("It is on record under your name.");
  } catch (error) {
    say(error.message, "bad");
  }
});

// -- hands --------------------------------------------------------------------------------------------------------------

const KEYS = {
  " ": () => (state.playing ? stop() : play()), k: () => (state.playing ? stop() : play()),
  ",": () => step(-1), ".": () => step(1), ArrowLeft: () => step(-1), ArrowRight: () => step(1),
  "<": () => step(-10), ">": () => step(10),
  Home: () => { stop(); seek(0); }, End: () => { stop(); seek(known.duration_ns); },
  "[": () => mark(0), "]": () => mark(1), l: loop, e: () => jump(1), E: () => jump(-1), z: () => zoom(null),
  1: () => pace(0.25), 2: () => pace(0.5), 3: () => pace(1), 4: () => pace(2),
};

document.addEventListener("keydown", (event) => {
  if (busy(event) || (event.key === " " && event.target.closest?.("button, a, summary"))) return;
  const act = event.shiftKey && event.key.startsWith("Arrow")
    ? () => { stop(); seek(state.t + (event.key === "ArrowRight" ? 1e9 : -1e9)); } : KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
$("play").addEventListener("click", KEYS[" "]);
$("back").addEventListener("click", KEYS[","]);
$("on").addEventListener("click", KEYS["."]);
$("loop").addEventListener("click", loop);
$("whole").addEventListener("click", () => zoom(null));
$("speed").addEventListener("change", (event) => pace(Number(event.target.value)));
$("link").addEventListener("click", async () => {
  remember();
  try { await navigator.clipboard.writeText(location.href); say("The address of this moment is copied."); } catch { say(location.href); }
});
$("beside").addEventListener("change", (event) => beside(event.target.value, state.align).catch((error) => say(error.message, "bad")));
$("align").addEventListener("change", (event) => beside(state.other?.id, event.target.value).catch((error) => say(error.message, "bad")));
for (const button of document.querySelectorAll("[data-t-ns]:not(.episode)")) {
  button.addEventListener("click", () => { stop(); seek(Number(button.dataset.tNs)); });
}
page.addEventListener("drawn", settle);
document.addEventListener("theme", () => bands.draw());
for (const link of document.querySelectorAll("[data-viewer]")) {
  link.addEventListener("click", () => say(link.dataset.viewer === "rerun" ? "Open what comes with: rerun FILE.rrd" : "Open what comes in Foxglove, or with: foxglove-studio FILE.mcap"));
}

async function begin() {
  const pairOf = (name) => (asked.get(name) ?? "").split(",").map((s) => Math.round(Number(s) * 1e9)).filter(Number.isFinite);
  const [span, view] = [pairOf("span"), pairOf("zoom")];
  if (span.length === 2 && span[0] < span[1]) state.span = span;
  state.loops = asked.get("loop") === "1" && state.span !== null;
  state.speed = SPEEDS.includes(asked.get("speed")) ? Number(asked.get("speed")) : 1;
  const wished = Number(asked.get("t"));
  const first = known.said.failures[0]?.t_ns ?? 0;
  const opening = Promise.all(cameras.map((one) => one.open().catch((error) => one.tell(error.message))));
  zoom(view.length === 2 && view[0] < view[1] ? view : null);
  spanned();
  await opening;
  seek(asked.has("t") && Number.isFinite(wished) ? wished * 1e9 : first);
  film();
  if (asked.get("beside")) await beside(asked.get("beside"), asked.get("align"));
  await relatives();
}

begin().catch((error) => say(error.message, "bad"));
