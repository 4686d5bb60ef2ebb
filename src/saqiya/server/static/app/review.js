// The review page: the line of the submission with its pictures, spans that keep in step with what is typed, and keys.

import { Camera } from "./episode_cameras.js";
import { ask } from "./episode_time.js";
import { Line } from "./review_line.js";
import { busy, say, send } from "./shell.js";

const VERDICTS = { a: "accept", x: "reject", b: "send_back" };
const MOST_SPANS = 20;
const $ = (name) => document.getElementById(name);
const form = $("decide");

// -- verdicts --------------------------------------------------------------------------------------------------------

function verdict(value) {
  const box = form?.querySelector(`input[value="${value}"]`);
  if (!box) return;
  const again = box.checked && value === "accept";
  box.click();
  box.focus();
  if (again && $("against")) $("against").checked = true; // pressed once more: they saw the warning
  if (value !== "accept") setTimeout(() => $("reason").focus(), 60);
}

function step(by) {
  const all = [...document.querySelectorAll("#picks a")];
  const at = all.findIndex((one) => one.ariaCurrent === "true");
  all[Math.max(0, Math.min(all.length - 1, at + by))]?.click();
}

// -- the line --------------------------------------------------------------------------------------------------------

const known = $("line-known") && JSON.parse($("line-known").textContent);
const watching = $("open")?.getAttribute("href");
const cameras = [];
const line = known && new Line($("line"), known, { seek, change: form ? change : null, author: $("line").dataset.author });

function seek(t) {
  for (const camera of cameras) camera.show(t);
  $("moment").textContent = `${line.seconds(t)} s · ${line.acting(t)}`;
  const link = new URL(watching, location.href);
  link.searchParams.set("t", (t / 1e9).toFixed(3));
  $("open").href = link;
}

const rows = () => [...document.querySelectorAll(".from-to")];

/** The fields of a row; one that is not there yet is made. */
function fields(row) {
  while (rows().length <= row) another();
  return rows()[row].querySelectorAll("input");
}

function another() {
  const all = rows(), made = all.at(-1).cloneNode(true);
  for (const [at, name] of ["from", "to"].entries()) {
    const field = made.querySelectorAll("input")[at];
    made.querySelectorAll("label")[at].htmlFor = field.id = `${name}-${all.length}`;
    field.value = "";
  }
  all.at(-1).after(made);
  $("another").hidden = rows().length >= MOST_SPANS;
}

/** A span was moved on the line: say it in numbers. */
function change(row, span) {
  if (row >= MOST_SPANS) { line.remove(row, false); say(`A review names at most ${MOST_SPANS} spans.`, "bad"); return; }
  const [from, to] = fields(row);
  from.value = span ? line.seconds(span[0]) : "";
  to.value = span ? line.seconds(span[1]) : "";
  for (const one of [from, to]) one.setCustomValidity("");
  if (span) $("spans").open = true;
}

/** Numbers were typed: move the span there. */
function typed(row) {
  const [from, to] = fields(row), [start, end] = [from, to].map((one) => (one.value.trim() ? Number(one.value.replace(",", ".")) : null));
  const wrong = [start, end].some(Number.isNaN) ? "Seconds from the beginning, as a number."
    : start !== null && end !== null && !(start >= 0 && start < end) ? "It ends before it begins."
    : start !== null && start * 1e9 >= known.duration_ns ? "The try is over by then." : "";
  to.setCustomValidity(wrong);
  if (wrong) { to.reportValidity(); return; }
  if (start === null || end === null) { line.remove(row, false); to.setCustomValidity(start === end ? "" : "A span has two ends."); return; }
  const span = line.set(row, start * 1e9, end * 1e9);
  line.move(span[0]);
}

function warn(by) {
  const all = [...document.querySelectorAll("#warnings a")];
  const at = all.findIndex((one) => one.ariaCurrent === "true");
  (all[at + by] ?? (at < 0 ? all[by > 0 ? 0 : all.length - 1] : null))?.click();
}

/** Pictures of the moment, of each camera there is. */
async function look(infos) {
  for (const info of infos) {
    const figure = document.createElement("figure"), words = document.createElement("figcaption");
    figure.dataset.camera = info.name;
    figure.style.setProperty("--aspect", info.width / info.height);
    words.append(document.createElement("output"));
    figure.append(document.createElement("canvas"), document.createElement("video"), words);
    $("shots").append(figure);
    cameras.push(new Camera(known.id, info, figure));
  }
  await Promise.all(cameras.map((one) => one.open()));
  seek(line.t);
}

async function film() {
  const api = `/api/v1/episodes/${encodeURIComponent(known.id)}`, note = $("film-state");
  $("film").disabled = true;
  note.textContent = "Filming at the site, from its start and its logged actions …";
  try {
    let { state } = await send(`${api}/rehearsal`, {});
    while (state === "filming") {
      await new Promise((done) => { setTimeout(done, 400); });
      ({ state } = await ask(`${api}/rehearsal`));
    }
    note.textContent = state === "ready" ? "" : `There is no film: ${state}`;
    $("film").hidden = state === "ready";
    if (state === "ready") await look((await ask(`${api}/overview`)).cameras);
  } catch (error) { note.textContent = error.message; }
}

if (line) {
  for (const one of document.querySelectorAll("#warnings a")) {
    one.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // in a window of its own
      event.preventDefault();
      for (const other of document.querySelectorAll("#warnings a")) other.ariaCurrent = other === one ? "true" : null;
      line.point(Number(one.dataset.startNs), Number(one.dataset.endNs));
      $("watch").scrollIntoView({ block: "nearest" });
    });
  }
  seek(0);
  if (known.cameras.length) look(known.cameras).catch((error) => say(error.message, "bad"));
  $("film")?.addEventListener("click", film);
  if (known.rehearsal === "filming" && $("film")) film();
}
if (form) {
  form.addEventListener("change", (event) => {
    const row = rows().indexOf(event.target.closest(".from-to"));
    if (row >= 0) typed(row);
  });
  for (const one of rows().slice(1)) if ([...one.querySelectorAll("input")].every((field) => !field.value)) one.remove(); // made again when needed
  $("another").hidden = false;
  $("another").addEventListener("click", another);
  for (const [row, one] of rows().entries()) if ([...one.querySelectorAll("input")].every((field) => field.value)) typed(row); // kept by the browser
}

const KEYS = {
  j: () => step(1), k: () => step(-1), o: () => $("open")?.click(), e: () => warn(1), E: () => warn(-1), v: () => $("film")?.click(),
  ",": () => line?.step(-1), ".": () => line?.step(1), "[": () => form && line?.mark(0), "]": () => form && line?.mark(1),
};

document.addEventListener("keydown", (event) => {
  const box = ["radio", "checkbox"].includes(event.target.type);
  if ((!box && busy(event)) || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in VERDICTS) verdict(VERDICTS[event.key]);
  else if (event.key in KEYS) KEYS[event.key]();
  else if (event.key === "Enter" && form && !event.target.closest("a, button, summary, input")) form.requestSubmit();
  else return;
  event.preventDefault();
});
