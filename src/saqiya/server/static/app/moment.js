// The clip of a failure's moment: its picture first, then the film, which the server makes when somebody looks at it.

import { send } from "./shell.js";

const AGAIN_MS = 700;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const shownIn = new WeakMap();

/** Show a failure's clip in a figure. With `ask` it is made now if it is not there; else a button offers to make it. */
export async function showMoment(figure, failure, { ask = true, about = "" } = {}) {
  shownIn.set(figure, failure);
  figure.replaceChildren();
  const url = `/api/v1/failures/${failure}/clip`;
  const current = () => figure.isConnected && shownIn.get(figure) === failure;
  let told = await known(url);
  if (!current()) return;
  if (told.state === "possible" && (ask || told.still)) told = await send(url, {});
  if (current() && told.still) figure.replaceChildren(picture(`${url}/still`, about));
  while (current() && told.state === "filming") {
    caption(figure, "The clip is being made.");
    await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS); });
    told = await known(url);
    if (told.state === "possible" && current()) told = await send(url, {}); // it waited too long, and others came first
  }
  if (!current()) return;
  if (told.state === "ready") play(figure, url, about);
  else if (told.state === "possible") offer(figure, failure, about);
  else caption(figure, `There is no clip: ${told.state}.`);
}

async function known(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  if (!answer.ok) return { state: `the server answered ${answer.status}`, still: false };
  return answer.json();
}

function picture(url, about) {
  const made = document.createElement("img");
  made.src = url;
  made.alt = `The moment of ${about}`;
  return made;
}

function caption(figure, words) {
  let made = figure.querySelector("figcaption");
  if (!made) {
    made = document.createElement("figcaption");
    made.className = "soft small";
    figure.append(made);
  }
  made.textContent = words;
}

function play(figure, url, about) {
  const film = document.createElement("video");
  Object.assign(film, { muted: true, loop: true, playsInline: true, controls: true, preload: "auto" });
  film.poster = `${url}/still`;
  film.src = `${url}/film`;
  film.ariaLabel = `Clip of ${about}`;
  figure.replaceChildren(film);
  caption(figure, "Three seconds before the moment and two after it; the border is red from the moment on.");
  if (!still.matches) film.play().catch(() => {}); // a browser that does not play by itself shows the picture
}

function offer(figure, failure, about) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = "Film this failure";
  made.addEventListener("click", () => showMoment(figure, failure, { about }));
  figure.replaceChildren(made);
  caption(figure, "It has no cameras. The site can carry out its logged actions again.");
}
