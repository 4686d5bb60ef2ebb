// Driving: what a person has in hand goes out sixty times a second, pictures come back, and the time between the two is
// measured here, from the moment an input was sent to the moment its picture is on the canvas.

import { busy } from "./shell.js";

const here = document.getElementById("drive");
const stage = document.getElementById("stage");
const canvas = document.getElementById("picture");
const paint = canvas.getContext("2d", { alpha: false });
const controls = JSON.parse(here.dataset.controls);
const at = (id) => document.getElementById(id);

const SEND_MS = 1000 / 60; // twice a step: what a step uses is never older than half of one
const DEAD_ZONE = 0.12;
const DRAG_PX = 90;
const WHEEL_MS = 120;
const RETRY_MS = 700;
const TAP_MS = 50; // so long a key that was only tapped counts as held: no tap falls between two steps
const ALARM_MS = 2000; // an alarm stays to be read, even where its score falls again at once
const SIGNALS = { Space: "control", Tab: "phase", Enter: "save", Escape: "discard", KeyS: "success", KeyF: "failure", KeyR: "redo" };
const PAD = { 2: "phase", 3: "control", 4: "failure", 5: "success", 8: "redo", 9: "save", 14: "discard" }; // X, Y, LB, RB, Back, Start, left
const PAD_SURE = { 0: "yes", 1: "no" }; // A, B
const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };
const WORDS = { autonomous: "policy drives", paused: "paused", recovery: "recovery", correction: "correction" };

const keys = new Map(); // since when they are held, by KeyboardEvent.code
const pads = new Map(); // held on the screen, by axis
let drag = null; // where a drag began, and where it is
let wheel = { way: 0, until: 0 };
let point = null; // where the pointer went since the last message
let pressed = [];
let state = { control: "", ended: "", over: "" };
let latency = null;
let socket = null;
let over = false;
let times = [];
let alarmed = 0;
let shown = -1;

// -- what goes out ---------------------------------------------------------------------------------------------------

function gamepad() {
  return [...(navigator.getGamepads?.() ?? [])].find((one) => one?.connected) ?? null;
}

/** The deflection of every axis: the strongest of keys, touch, stick and mouse. */
function deflections() {
  const pad = gamepad();
  return controls.axes.map((axis, i) => {
    const given = [(keys.has(axis.keys[1]) ? 1 : 0) - (keys.has(axis.keys[0]) ? 1 : 0), pads.get(i) ?? 0];
    if (pad && axis.stick >= 0) {
      const stick = (pad.axes[axis.stick] ?? 0) * (axis.flipped ? -1 : 1);
      given.push(Math.abs(stick) > DEAD_ZONE ? stick : 0);
    }
    if (pad && axis.switch) given.push((pad.buttons[0]?.pressed ? 1 : 0) - (pad.buttons[1]?.pressed ? 1 : 0));
    if (drag && i < 2) given.push(i === 0 ? (drag.x - drag.x0) / DRAG_PX : (drag.y0 - drag.y) / DRAG_PX);
    if (i === 2 && performance.now() < wheel.until) given.push(wheel.way);
    const most = given.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
    return Math.max(-1, Math.min(1, most));
  });
}

function send(signal = "") {
  if (!socket || socket.readyState !== WebSocket.OPEN) return;
  const told = { t: performance.now(), axes: deflections() };
  if (signal) told.signal = signal;
  if (point) told.point = point;
  if (latency !== null) told.latency = latency;
  point = null;
  socket.send(JSON.stringify(told));
}

function tick() {
  const pad = gamepad();
  const asks = at("sure").open, acts = asks ? PAD_SURE : PAD;
  for (let button = 0; button < (pad?.buttons.length ?? 0); button += 1) {
    const down = pad.buttons[button].pressed;
    if (down && !pressed[button] && acts[button]) {
      if (asks) at("sure").close(acts[button]); else press(acts[button]);
    }
    pressed[button] = down;
  }
  send();
}

function press(signal) {
  if (over) return;
  if (signal === "discard") at("sure").showModal();
  else send(signal);
}

// -- keys, mouse, touch ----------------------------------------------------------------------------------------------

const mine = (code) => controls.axes.some((axis) => axis.keys.includes(code));
const onControl = (event) => event.target.closest?.("a, button, summary, input, select, textarea") !== null;

document.addEventListener("keydown", (event) => {
  if (busy(event) || over) return;
  if (mine(event.code)) {
    event.preventDefault();
    if (!event.repeat) { keys.set(event.code, performance.now()); send(); }
    return;
  }
  const signal = SIGNALS[event.code];
  // Whoever walks through the page by keyboard keeps Tab, Space and Enter: they drive only from the picture.
  if (!signal || event.shiftKey || (onControl(event) && ["Space", "Tab", "Enter"].includes(event.code))) return;
  event.preventDefault();
  if (!event.repeat) press(signal);
});
document.addEventListener("keyup", (event) => {
  const since = keys.get(event.code);
  if (since === undefined) return;
  const released = () => { if (keys.get(event.code) === since && keys.delete(event.code)) send(); };
  setTimeout(released, Math.max(0, TAP_MS - (performance.now() - since)));
});
window.addEventListener("blur", () => { keys.clear(); pads.clear(); drag = null; send(); });

const human = () => state.control === "recovery" || state.control === "correction";

function pointed(event) {
  const box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  const left = box.left + (box.width - canvas.width * scale) / 2;
  const top = box.top + (box.height - canvas.height * scale) / 2;
  const within = (value) => Math.max(0, Math.min(1, value));
  return [within((event.clientX - left) / (canvas.width * scale)), within((event.clientY - top) / (canvas.height * scale))];
}

canvas.addEventListener("pointerdown", (event) => {
  stage.focus({ preventScroll: true });
  canvas.setPointerCapture(event.pointerId);
  if (controls.pointer.length) point = pointed(event);
  else drag = { x0: event.clientX, y0: event.clientY, x: event.clientX, y: event.clientY };
  send();
});
canvas.addEventListener("pointermove", (event) => {
  if (drag) { drag.x = event.clientX; drag.y = event.clientY; }
  // While it is paused a pointer that only passes by begins nothing.
  if (controls.pointer.length && (event.buttons || human())) point = pointed(event);
});
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { drag = null; send(); });
canvas.addEventListener("wheel", (event) => {
  if (controls.pointer.length || controls.axes.length < 3 || document.activeElement !== stage) return;
  event.preventDefault();
  wheel = { way: event.deltaY < 0 ? 1 : -1, until: performance.now() + WHEEL_MS };
}, { passive: false });

for (const button of document.querySelectorAll("[data-axis]")) {
  const axis = Number(button.dataset.axis);
  const hold = (way) => { if (way) pads.set(axis, way); else pads.delete(axis); button.classList.toggle("held", way !== 0); send(); };
  button.addEventListener("pointerdown", (event) => { button.setPointerCapture(event.pointerId); hold(Number(button.dataset.way)); });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(name, () => hold(0));
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}
for (const button of document.querySelectorAll("[data-signal]")) {
  button.addEventListener("click", () => { press(button.dataset.signal); stage.focus({ preventScroll: true }); });
}
for (const one of document.querySelectorAll("[data-code]")) one.textContent = NAMES[one.dataset.code] ?? one.dataset.code.replace("Key", "").toLowerCase();
at("sure").addEventListener("close", () => { if (at("sure").returnValue === "yes") send("discard"); at("sure").returnValue = ""; stage.focus(); });

// -- what comes back -------------------------------------------------------------------------------------------------

async function frame(data) {
  const size = new DataView(data).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size)));
  const image = await createImageBitmap(new Blob([new Uint8Array(data, 4 + size)], { type: "image/jpeg" }));
  if (canvas.width !== image.width || canvas.height !== image.height) { canvas.width = image.width; canvas.height = image.height; }
  paint.drawImage(image, 0, 0);
  image.close();
  const now = performance.now();
  if (header.echo > 0 && header.echo !== shown) { latency = now - header.echo; shown = header.echo; }
  if (header.steps !== state.steps) times.push(now);
  if (broken !== null) { anew = header.steps < broken; broken = null; }
  state = header;
}

function veil() {
  if (state.over) return state.over === "success" ? "Done. Enter saves, r does it again." : "Time is up. r does it again, Enter saves.";
  if (state.control !== "paused") { anew = false; return ""; }
  const begin = controls.pointer.length ? "Press on the picture, or an arrow key, to begin." : "Press an arrow key, or drag on the picture, to begin.";
  if (anew) return `The server had stopped: what you did is kept as an aborted try, and this one is new. ${begin}`;
  return state.alone ? begin : `${begin} Space: the policy goes on.`;
}

/** What the monitor says of the policy: the banner is there as long as the alarm is and the policy acts. */
function watched(said) {
  at("watched").hidden = !said;
  if (!said) return;
  at("score").textContent = said.score === null ? "–" : said.score.toFixed(2);
  at("threshold").textContent = `/ ${said.threshold.toFixed(2)}`;
  if (said.alarm) {
    alarmed = performance.now();
    if (at("alarm-text").textContent !== said.reason) at("alarm-text").textContent = said.reason;
  }
  const shown = state.control === "autonomous" && !state.over && performance.now() - alarmed < ALARM_MS && alarmed > 0;
  if (at("alarm").hidden === shown) at("alarm").hidden = !shown;
}

function tell() {
  watched(state.monitor);
  times = times.filter((one) => performance.now() - one < 1000);
  stage.dataset.control = state.control;
  at("control").textContent = WORDS[state.control] ?? state.control;
  at("said").textContent = state.said ? `you say: ${state.said}` : "";
  at("left").textContent = `${Math.ceil(state.left_s)} s`;
  at("steps").textContent = state.human_steps;
  at("takeovers").textContent = state.takeovers;
  at("redos").textContent = state.redos;
  at("latency").textContent = latency === null ? "–" : latency.toFixed(0);
  at("rate").textContent = times.length;
  at("late").textContent = state.late ? `${state.late} late` : "";
  const words = state.notice || veil();
  if (words || !at("veil").dataset.until || performance.now() > Number(at("veil").dataset.until)) {
    at("veil-text").textContent = words;
    at("veil").hidden = !words;
    at("veil").dataset.until = state.notice ? performance.now() + 2500 : 0;
  }
  for (const button of document.querySelectorAll("#acts [data-signal]")) {
    const signal = button.dataset.signal;
    const able = {
      control: !state.over && (state.control === "autonomous" || !state.alone),
      phase: !state.over && (state.control === "paused" || state.control === "recovery"),
      redo: state.control !== "autonomous" || state.over,
      save: state.human_steps > 0,
    }[signal] ?? true;
    button.disabled = !able;
    if (button.hasAttribute("aria-pressed")) button.setAttribute("aria-pressed", String(state.said === signal));
  }
  const control = document.querySelector('[data-signal="control"]');
  control.hidden = Boolean(state.alone);
  document.querySelector('[data-signal="phase"] span').textContent = state.control === "paused" ? "Begin" : "Correct";
  control.querySelector("span").textContent =
    state.control === "autonomous" ? "Take over" : state.control === "paused" ? "Let the policy go on" : "Hand back";
}

function landed(told) {
  over = true;
  const why = told.refused ?? (told.ended === "fault" ? told.fault : null);
  const title = told.refused ? "You cannot drive now" : told.moved ? "You drive in another window"
    : told.submission ? "Handed in" : told.ended === "discarded" ? "Discarded" : "The drive ended";
  const none = told.moved ? "It goes on there." : "Nothing was kept.";
  const kept = told.episode ? " What you did is kept as an aborted try." : "";
  const text = why ? `${why.what}. ${why.remedy}${kept}` : told.lost ? `${told.lost}${/[.!?]$/.test(told.lost) ? "" : "."}${kept}`
    : told.submission ? "A reviewer looks at it next." : told.episode ? "What you did is kept as an aborted try." : none;
  at("done-title").textContent = title;
  at("done-text").textContent = text.charAt(0).toUpperCase() + text.slice(1);
  at("done").classList.toggle("bad", Boolean(why || told.lost));
  at("done-episode").hidden = !told.episode;
  if (told.episode) at("done-episode").href = `/episodes/${told.episode}`;
  at("done-again").hidden = Boolean(told.submission);
  at("done").hidden = false;
  at("veil").hidden = true;
  at("alarm").hidden = true;
  at("control").textContent = "ended";
  for (const button of document.querySelectorAll("#acts button, #pads button")) button.disabled = true;
  at("done").scrollIntoView({ block: "nearest" });
}

/** How many steps there were when the connection broke; a drive that has fewer when it is back is another one. */
let broken = null;
let anew = false;

let waiting = null;
let painting = false;

/** Say that a picture was drawn, or will never be: the server keeps few on the way, so that none is old when it comes. */
function seen() {
  if (socket.readyState === WebSocket.OPEN) socket.send("k");
}

/** Draw the newest picture; one that comes while another is drawn takes the place of whatever waited. */
async function show(data) {
  if (waiting) seen();
  waiting = data;
  if (painting) return;
  painting = true;
  while (waiting) {
    const next = waiting;
    waiting = null;
    await frame(next);
    seen();
    if (!over) tell();
  }
  painting = false;
}

function connect() {
  const query = new URLSearchParams({ begin: here.dataset.begin });
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/drive/${encodeURIComponent(here.dataset.lease)}/socket?${query}`);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", (event) => {
    if (typeof event.data === "string") { landed(JSON.parse(event.data)); return; }
    show(event.data);
  });
  socket.addEventListener("close", (event) => {
    if (over) return;
    if (event.code === 1008) { landed({ refused: { what: event.reason || "the server refused", remedy: "Load the page again." } }); return; }
    broken ??= state.steps ?? null;
    at("veil-text").textContent = "The connection broke; trying again. Nothing moves meanwhile.";
    at("veil").hidden = false;
    setTimeout(connect, RETRY_MS);
  });
}

stage.focus({ preventScroll: true });
setInterval(tick, SEND_MS);
connect();
