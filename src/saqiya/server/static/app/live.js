// What was stored while the page is open: an event "stored" on the body for htmx and the other modules.

const sign = () => document.getElementById("live");

function show(on) {
  const at = sign();
  if (!at) return;
  at.dataset.live = on ? "on" : "off";
  at.textContent = on ? "live" : "not connected";
}

const source = new EventSource("/live");
source.addEventListener("hello", () => show(true));
source.addEventListener("stored", (event) => {
  show(true);
  const told = JSON.parse(event.data);
  document.body.dispatchEvent(new CustomEvent("stored", { detail: told }));
  const words = Object.entries(told.kinds).map(([kind, n]) => `${n} ${kind.replaceAll("_", " ")}`);
  document.getElementById("told").textContent = `New: ${words.slice(0, 3).join(", ")}`; // for screen readers
});
source.addEventListener("error", () => show(false));
addEventListener("pagehide", () => source.close());
document.addEventListener("htmx:after:swap", () => show(source.readyState === EventSource.OPEN));
