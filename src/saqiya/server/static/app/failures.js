// The queue of failures: a list that holds only what is in view, keys for every step, and the map beside it.

import { busy, say, send } from "./shell.js";
import { FailureMap } from "./map.js";
import { showMoment } from "./moment.js";

const ROW_PX = 44, PART = 200, AHEAD = 6;
const list = document.getElementById("list");
const inner = document.getElementById("rows");
const card = document.getElementById("card");
const filters = document.getElementById("filters");

let total = -1, at = -1, shown = "", asked = 0;
let parts = new Map();
const done = []; // what was said on this page and can be undone, the newest last

const query = (more = {}) => new URLSearchParams({ ...Object.fromEntries(new FormData(filters)), ...more });

async function part(number) {
  if (!parts.has(number)) {
    const held = parts;
    held.set(number, fetch(`/failures/rows?${query({ first: number * PART })}`).then(async (answer) => {
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const told = await answer.json();
      if (held === parts) resize(told.total);
      if (told.behind) later(2500);
      return told.rows;
    }));
  }
  return parts.get(number);
}

async function row(index) {
  return (await part(Math.floor(index / PART)))[index % PART];
}

function resize(count) {
  if (count === total) return;
  total = count;
  inner.style.height = `${total * ROW_PX}px`;
  list.classList.toggle("none", total === 0);
  document.getElementById("total").textContent = total === 1 ? "1 failure" : `${total.toLocaleString("en")} failures`;
  if (at >= total) at = total - 1;
}

/** Draw the rows in view; what is not in view is not in the page. */
async function draw() {
  const turn = ++asked;
  const first = Math.max(0, Math.floor(list.scrollTop / ROW_PX) - AHEAD);
  await part(Math.floor(first / PART)); // which says how long the list is, and so how high
  const last = Math.ceil((list.scrollTop + list.clientHeight) / ROW_PX) + AHEAD;
  const found = [];
  for (let index = first; index < Math.min(last, total); index += 1) found.push([index, await row(index)]);
  if (turn !== asked) return;
  inner.replaceChildren(...found.filter(([, one]) => one).map(([index, one]) => item(index, one)));
  list.toggleAttribute("data-ready", true);
}

function item(index, [id, key, label, state, moment, phase, person]) {
  const made = document.createElement("div");
  made.className = `item ${state}`;
  made.id = `row-${id}`;
  made.role = "option";
  made.ariaSelected = String(index === at);
  made.ariaSetSize = String(total);
  made.ariaPosInSet = String(index + 1);
  made.style.top = `${index * ROW_PX}px`;
  const title = label ? label.replaceAll("_", " ") : "no mode yet";
  made.append(
    text("title", title), text("end sub", state),
    text("sub", `${key}${phase ? `, ${phase.replaceAll("_", " ")}` : ""}`), text("end sub", `${person ? `${person}, ` : ""}at ${moment.toFixed(1)} s`),
  );
  made.addEventListener("click", () => choose(index));
  return made;
}

function text(kind, words) {
  const made = document.createElement("span");
  made.className = kind;
  made.textContent = words;
  return made;
}

/** Choose a failure: mark it, scroll to it, show its card, ring it on the map. News must not scroll who reads elsewhere. */
export async function choose(index, { focus = true, scroll = true } = {}) {
  if (total < 1) return;
  at = Math.max(0, Math.min(total - 1, index));
  const top = at * ROW_PX;
  if (scroll && top < list.scrollTop) list.scrollTop = top;
  if (scroll && top + ROW_PX > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW_PX - list.clientHeight;
  const found = await row(at);
  await draw();
  if (!found) return;
  list.setAttribute("aria-activedescendant", `row-${found[0]}`);
  if (focus && document.activeElement === document.body) list.focus({ preventScroll: true });
  map.choose(at);
  const mode = modes.get(found[2]);
  if (mode && found[0] !== shown) lookAt(mode.dataset.medoid, mode.dataset.name);
  await look(found[0]);
}

async function look(id, { anew = false } = {}) {
  if (id === shown && !anew) return;
  shown = id;
  const answer = await fetch(`/failures/${id}/card`, { headers: { Accept: "text/html" } });
  if (!answer.ok || shown !== id) return;
  const words = await answer.text();
  if (shown !== id) return;
  card.innerHTML = words;
  const figure = card.querySelector("[data-moment]");
  const stands = document.getElementById("stands")?.dataset.medoid === id; // then its clip is made for the map anyway
  if (figure) quietly(showMoment(figure, id, { ask: stands, about: "this failure" }));
}

/** Show the clip of the failure that stands for a mode; legend and list lead here. */
function lookAt(medoid, label) {
  const place = document.getElementById("stands");
  if (!place || place.dataset.medoid === medoid) return;
  place.hidden = !medoid; // what is in no mode yet has nothing that stands for it
  if (!medoid) return;
  place.dataset.medoid = medoid;
  document.getElementById("stands-mode").textContent = label;
  const open = document.getElementById("stands-open");
  open.hidden = false;
  open.dataset.show = medoid;
  quietly(showMoment(document.getElementById("stands-moment"), medoid, { about: `the failure that stands for ${label}` }));
}

const modes = new Map([...document.querySelectorAll(".legend button")].map((one) => [one.dataset.label, one]));
const quietly = (work) => { work.catch((error) => say(error.message, "bad")); };

/** Read the queue again and stay at the same place: what left it makes room for the next. */
async function again() {
  parts = new Map();
  const before = total, was = at;
  await part(Math.max(0, Math.floor(Math.max(at, 0) / PART)));
  const [now] = total > 0 ? await Promise.all([row(Math.min(Math.max(at, 0), total - 1))]) : [null];
  await draw();
  if (!now) {
    shown = "";
    card.innerHTML = '<div class="empty"><p>Nothing is left in this queue.</p></div>';
  } else {
    if (at >= 0) await choose(at, { focus: false, scroll: at !== was });
    await look(now[0], { anew: true });
  }
  if (total !== before) map.load(query());
}

const urls = { a: "assign", d: "dismiss", w: "advise" };
const dialogs = { a: "ask-assign", n: "ask-name", d: "ask-dismiss", w: "ask-words" };
const told = { a: "Assigned.", n: "Named.", d: "Dismissed. u takes it back.", w: "Kept." };

function ask(key) {
  const box = document.getElementById(dialogs[key]);
  const form = box.querySelector("form");
  box.returnValue = "";
  box.showModal();
  const field = form.elements[0];
  field.focus();
  field.select?.();
  return new Promise((resolve) => {
    box.addEventListener("close", () => resolve(box.returnValue === "yes" ? Object.fromEntries(new FormData(form)) : null), { once: true });
  });
}

async function say_of(key) {
  const found = at >= 0 ? await row(at) : null;
  if (!found) return;
  const words = await ask(key);
  list.focus({ preventScroll: true });
  if (!words) return;
  const mode = document.getElementById("undoable")?.dataset.mode;
  if (key === "n" && !mode) {
    say("It is in no mode yet: the next triage puts it into one.", "bad");
    return;
  }
  const url = key === "n" ? `/api/v1/modes/${mode}/name` : `/api/v1/failures/${found[0]}/${urls[key]}`;
  const made = await send(url, words);
  if (key !== "w") done.push(made.id);
  for (const field of document.querySelectorAll(`#${dialogs[key]} input, #${dialogs[key]} textarea`)) field.value = "";
  say(told[key]);
  await again();
}

for (const field of document.querySelectorAll("dialog select, dialog textarea")) {
  field.addEventListener("keydown", (event) => { // Enter says yes from every field; with Shift a text goes on
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    field.form.requestSubmit(field.form.querySelector("button.main"));
  });
}

async function undo() {
  const what = done.pop() ?? document.getElementById("undoable")?.dataset.noun;
  if (!what) {
    say("There is nothing to undo here.");
    return;
  }
  await send("/api/v1/undo", { what });
  say("Taken back.");
  await again();
}

const steps = {
  j: () => choose(at + 1), ArrowDown: () => choose(at + 1),
  k: () => choose(at - 1), ArrowUp: () => choose(at - 1),
  PageDown: () => choose(at + 10), PageUp: () => choose(at - 10),
  Home: () => choose(0), End: () => choose(total - 1),
  a: () => say_of("a"), n: () => say_of("n"), d: () => say_of("d"), w: () => say_of("w"),
  u: undo, o: () => document.getElementById("open")?.click(), Enter: () => document.getElementById("open")?.click(),
};
const named = new Set(["ArrowDown", "ArrowUp", "PageDown", "PageUp", "Home", "End", "Enter"]);

async function press(key) {
  try {
    await steps[key]();
  } catch (error) {
    say(error.message, "bad");
  }
}

document.addEventListener("keydown", (event) => {
  if (busy(event) || !(event.key in steps) || event.defaultPrevented) return;
  if (named.has(event.key) && document.activeElement !== list) return;
  event.preventDefault();
  press(event.key);
});
document.addEventListener("click", (event) => {
  const key = event.target.closest?.("[data-key]")?.dataset.key;
  if (key) press(key);
  const failure = event.target.closest?.("[data-show]")?.dataset.show;
  if (failure) look(failure);
});
list.addEventListener("scroll", () => { draw().catch((error) => say(error.message, "bad")); }, { passive: true });
addEventListener("resize", () => draw());
filters.addEventListener("change", () => filters.requestSubmit());
for (const button of modes.values()) {
  for (const come of ["pointerenter", "focus"]) {
    button.addEventListener(come, () => lookAt(button.dataset.medoid, button.dataset.name));
  }
  button.addEventListener("click", () => {
    const select = document.getElementById("f-label");
    select.value = button.ariaPressed === "true" ? "" : button.dataset.label;
    filters.requestSubmit();
  });
}
let soon = 0;
function later(wait) {
  clearTimeout(soon);
  soon = setTimeout(() => { if (!document.querySelector("dialog[open]")) again().catch(() => {}); }, wait);
}
document.body.addEventListener("stored", (event) => {
  const kinds = Object.keys(event.detail.kinds);
  if (!kinds.some((kind) => ["failure", "failure_mode", "dismissal", "assignment", "undo", "mode_name", "advice"].includes(kind))) return;
  later(400);
});

const map = new FailureMap(document.getElementById("map"), (index) => choose(index));
await Promise.all([draw(), map.load(query())]);
if (total > 0 && at < 0) await choose(0, { focus: false, scroll: false });
if (document.activeElement === document.body) list.focus({ preventScroll: true });
