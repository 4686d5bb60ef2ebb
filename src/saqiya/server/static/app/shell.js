// What every page has: theme, menu, keys, messages, and the token that goes with every request that changes something.

const csrf = () => document.querySelector('meta[name="csrf"]').content;

/** Send JSON to the server; return its answer, or throw an Error with the server's own sentences. */
export async function send(url, body) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "X-CSRF-Token": csrf(), "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
  });
  const told = answer.headers.get("content-type")?.includes("json") ? await answer.json() : {};
  if (answer.ok) return told;
  const fault = told.error ?? { what: `the server answered ${answer.status}`, remedy: "Reload the page." };
  throw new Error(`${fault.what}. ${fault.remedy}`);
}

/** Say something that goes away again; screen readers hear it too. */
export function say(words, kind = "") {
  const note = document.createElement("div");
  note.className = kind;
  note.textContent = words;
  document.getElementById("toasts").append(note);
  setTimeout(() => note.remove(), kind === "bad" ? 9000 : 4000);
}

/** Whether a key press belongs to a field, a dialog or the browser, and not to the page's own keys. */
export function busy(event) {
  const at = event.target;
  return event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") !== null
    || at.closest?.("input, select, textarea, [contenteditable]") !== null;
}

const WHERE = { w: "/", f: "/failures", c: "/corrections", r: "/review", e: "/episodes", d: "/datasets", p: "/policies", l: "/plan" };
let going = 0;

function keys(event) {
  if (busy(event)) return;
  if (going && event.key in WHERE) {
    event.preventDefault();
    event.stopImmediatePropagation();
    location.assign(WHERE[event.key]);
  } else if (event.key === "g") {
    clearTimeout(going);
    going = setTimeout(() => { going = 0; }, 1200);
    event.stopImmediatePropagation();
    return;
  } else if (event.key === "?") {
    event.preventDefault();
    help();
  }
  clearTimeout(going);
  going = 0;
}

function help() {
  document.getElementById("help").showModal();
}

function theme() {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try { localStorage.setItem("theme", next); } catch { /* private windows keep nothing; the page still changes */ }
  document.dispatchEvent(new CustomEvent("theme"));
}

document.addEventListener("alpine:init", () => {
  const Alpine = window.Alpine;
  Alpine.data("menu", () => ({
    open: false,
    get shown() { return this.open ? "" : null; },
    get expanded() { return String(this.open); },
    toggle() { this.open = !this.open; },
  }));
  Alpine.data("countdown", () => ({
    left: 0, timer: 0,
    init() { this.tick(); this.timer = setInterval(() => this.tick(), 1000); },
    destroy() { clearInterval(this.timer); },
    tick() { this.left = Math.max(0, Math.round((Number(this.$el.dataset.untilMs) - Date.now()) / 1000)); },
    get text() {
      const two = (value) => String(value).padStart(2, "0");
      return this.left ? `${Math.floor(this.left / 60)}:${two(this.left % 60)} left` : "lease over";
    },
    get kind() { return this.left === 0 ? "chip bad" : this.left < 120 ? "chip warn" : "chip"; },
  }));
  Alpine.data("verdict", () => ({
    word: "",
    init() { this.word = this.$root.querySelector("[name=verdict]:checked")?.value ?? ""; },
    choose() { this.word = this.$el.value; },
    get accepts() { return this.word === "accept"; },
    get needsReason() { return this.word !== "" && !this.accepts; },
    get teaches() { return !this.needsReason; },
  }));
  Alpine.data("ask", () => ({
    show() { this.$refs.ask.showModal(); },
    hide() { this.$refs.ask.close(); },
  }));
});

// htmx sends what changes something with the session's token, and tells failures as sentences.
document.addEventListener("htmx:config:request", (event) => {
  event.detail.ctx.request.headers["X-CSRF-Token"] = csrf();
});
document.addEventListener("htmx:response:error", () => say("The server refused that. Reload the page to see why.", "bad"));
document.addEventListener("htmx:error", () => say("The server cannot be reached.", "bad"));

document.addEventListener("keydown", keys, true);
document.getElementById("theme")?.addEventListener("click", theme);
document.getElementById("help-open")?.addEventListener("click", help);
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    say("Copied.");
  });
}
// A form that was sent is not sent twice by an impatient second click.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
  setTimeout(() => { delete form.dataset.sent; }, 3000);
});
