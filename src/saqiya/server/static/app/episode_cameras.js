// Cameras. Standing still, a picture is asked for by its number, which is looked up among the camera's own stamps: the
// one whose [t_i, t_i+1) holds the moment. Playing, the camera's own packets run as a film in which picture i begins at
// i / rate, whatever its stamp; it is held to the stamps all the way, and on stopping the exact picture comes back.

import { ask, clock, latest } from "./episode_time.js";

const KEPT = 40, AHEAD = 2, AHEAD_MS = 250, TOO_FAR = 2;

export class Camera {
  constructor(episode, info, figure) {
    this.url = `/api/v1/episodes/${encodeURIComponent(episode)}`;
    this.info = info;
    this.figure = figure;
    this.canvas = figure.querySelector("canvas");
    this.video = figure.querySelector("video");
    this.told = figure.querySelector("output");
    this.canvas.width = info.width;
    this.canvas.height = info.height;
    this.video.width = info.width;
    this.video.height = info.height;
    this.brush = this.canvas.getContext("2d");
    this.stamps = [];
    this.pictures = new Map();
    this.asked = new Map();
    this.wanted = this.drawn = -1;
    this.plays = info.film_rate_hz > 0;
    this.rolling = false;
    this.query = `camera=${encodeURIComponent(info.name)}`;
    this.video.addEventListener("error", () => { this.plays = false; this.halt(); });
  }

  async open() {
    this.stamps = (await ask(`${this.url}/stamps?${this.query}`)).t_ns;
    const n = this.stamps.length;
    this.rate = n > 1 ? (n - 1) / ((this.stamps[n - 1] - this.stamps[0]) / 1e9 || 1) : 1;
  }

  /** The number of the picture that was the latest at a moment; before the first, the first. */
  index(t) { return Math.max(0, latest(this.stamps, t)); }

  get settled() { return !this.stamps.length || (this.drawn === this.wanted && !this.rolling); }

  show(t) {
    if (!this.stamps.length) return;
    this.wanted = this.index(t);
    if (this.rolling) this.follow(); else this.draw();
  }

  // -- standing still ------------------------------------------------------------------------------------------------

  async draw() {
    const index = this.wanted;
    if (index === this.drawn) return;
    const held = this.pictures.get(index);
    if (held) {
      this.paint(index, held);
      this.readAhead(index);
      return;
    }
    if (this.asked.size >= 2) return; // one under way and one behind it: the newest wish is served when one comes back
    try {
      await this.fetch(index);
    } catch (error) {
      this.tell(String(error.message ?? error));
      return;
    }
    this.draw();
  }

  fetch(index) {
    if (!this.asked.has(index)) {
      const coming = fetch(`${this.url}/picture?${this.query}&index=${index}`).then(async (answer) => {
        if (!answer.ok) throw new Error((await answer.json()).error?.what ?? answer.status);
        const picture = await createImageBitmap(await answer.blob());
        this.pictures.set(index, picture);
        while (this.pictures.size > KEPT) {
          const oldest = this.pictures.keys().next().value;
          this.pictures.get(oldest).close();
          this.pictures.delete(oldest);
        }
      }).finally(() => this.asked.delete(index));
      this.asked.set(index, coming);
    }
    return this.asked.get(index);
  }

  paint(index, picture) {
    this.brush.drawImage(picture, 0, 0, this.canvas.width, this.canvas.height);
    this.drawn = index;
    this.label(index);
    this.figure.dispatchEvent(new CustomEvent("drawn", { bubbles: true }));
  }

  /** Get the neighbours of a picture at which somebody stays: the next step is then at once there. */
  async readAhead(index) {
    await new Promise((done) => { setTimeout(done, AHEAD_MS); });
    for (let step = 1; step <= AHEAD; step += 1) {
      for (const near of [index + step, index - step]) {
        if (this.drawn !== index || this.wanted !== index) return;
        if (near >= 0 && near < this.stamps.length && !this.pictures.has(near)) await this.fetch(near).catch(() => {});
      }
    }
  }

  label(index) {
    this.figure.dataset.index = index;
    this.tell(`#${index} · ${clock(this.stamps[index])} s`);
  }

  tell(words) { this.told.textContent = words; }

  // -- playing -------------------------------------------------------------------------------------------------------

  /** Let the film run from where the pictures stand. */
  roll(t, speed) {
    this.wanted = this.index(t);
    if (!this.plays || this.stamps.length < 2) return;
    if (!this.video.src) this.video.src = `${this.url}/film?${this.query}`;
    this.rolling = true;
    this.speed = speed;
    this.jump();
    this.video.play().catch(() => {});
    if (this.video.requestVideoFrameCallback) this.watch();
  }

  watch() {
    this.video.requestVideoFrameCallback((_, frame) => {
      if (!this.rolling) return;
      const index = Math.floor(frame.mediaTime * this.info.film_rate_hz + 0.5) - this.info.film_first;
      this.running = Math.min(Math.max(index, 0), this.stamps.length - 1);
      if (!this.video.seeking) this.figure.classList.add("rolling");
      this.label(this.running);
      this.watch();
    });
  }

  /** Hold the film to the stamps: wait where it is ahead, jump where it is behind. */
  follow() {
    const number = Math.floor(this.video.currentTime * this.info.film_rate_hz) - this.info.film_first;
    const ahead = number - this.wanted;
    if (this.video.seeking) return;
    if (ahead < -TOO_FAR || ahead > 4 * TOO_FAR) this.jump();
    else if (ahead > TOO_FAR && !this.video.paused) this.video.pause();
    else if (ahead <= 0 && this.video.paused && !this.video.ended) this.video.play().catch(() => {});
    const pace = this.speed * (this.rate / this.info.film_rate_hz) * (ahead < 0 ? 1.06 : ahead > 0 ? 0.94 : 1);
    if (Math.abs(this.video.playbackRate - pace) > 0.005) this.video.playbackRate = Math.min(8, Math.max(0.07, pace));
  }

  jump() { this.video.currentTime = (this.wanted + this.info.film_first + 0.5) / this.info.film_rate_hz; }

  /** Stop the film; the exact picture is drawn over it. */
  halt() {
    this.rolling = false;
    this.video.pause();
    this.figure.classList.remove("rolling");
    this.drawn = -1;
    this.draw();
  }
}
