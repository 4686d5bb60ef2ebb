// Keys of the operator's queue; everything else on the page is a form.

import { busy } from "./shell.js";

document.addEventListener("keydown", (event) => {
  if (busy(event) || event.defaultPrevented) return;
  const drive = document.querySelector("[data-drive]");
  const claim = document.getElementById("claim");
  const onControl = event.target.closest("a, button, summary") !== null;
  if (event.key === "Enter" && !onControl && drive) drive.click();
  else if ((event.key === "c" || (event.key === "Enter" && !onControl)) && claim && !claim.disabled) claim.click();
  else return;
  event.preventDefault();
});

// Others claim too: the queue is asked for anew when something was stored, but never under the eyes of who reads in it.
document.body.addEventListener("stored", () => {
  const reading = document.querySelector("#offers details[open]") ?? document.activeElement?.closest("#offers");
  if (!reading) document.body.dispatchEvent(new CustomEvent("queue"));
});
