// Keys of the review page: choose a verdict, go to the next submission.

import { busy } from "./shell.js";

const VERDICTS = { a: "accept", x: "reject", b: "send_back" };

function verdict(value) {
  const box = document.querySelector(`#decide input[value="${value}"]`);
  if (!box) return;
  box.click();
  box.focus();
  if (value !== "accept") setTimeout(() => document.getElementById("reason").focus(), 60);
}

function step(by) {
  const all = [...document.querySelectorAll("#picks a")];
  const at = all.findIndex((one) => one.ariaCurrent === "true");
  all[Math.max(0, Math.min(all.length - 1, at + by))]?.click();
}

document.addEventListener("keydown", (event) => {
  const radio = event.target.type === "radio";
  if ((!radio && busy(event)) || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in VERDICTS) verdict(VERDICTS[event.key]);
  else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "o") document.getElementById("open")?.click();
  else return;
  event.preventDefault();
});
