// The map of modes: every failure as a point, alike ones together, drawn on a canvas so that ten thousand stay quick.

const LIGHT = ["#1f6fb2", "#c2551d", "#2f8f5b", "#9a4fb0", "#b98a00", "#17899c", "#b8336a", "#6b6f2a"];
const DARK = ["#74b9ee", "#f09868", "#74c997", "#cf9be0", "#e6c054", "#67ccd9", "#f088b1", "#bcc064"];
const PAD = 18, NEAR_PX = 12;

export const colour = (at) => {
  const all = document.documentElement.dataset.theme === "dark" ? DARK : LIGHT;
  return all[at % all.length];
};

export class FailureMap {
  constructor(canvas, picked) {
    this.canvas = canvas;
    this.picked = picked;
    this.points = { fineness: 1, x: [], y: [], mode: [], medoids: [] };
    this.chosen = -1;
    canvas.addEventListener("click", (event) => {
      const found = this.nearest(event);
      if (found >= 0) this.picked(found);
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
    document.addEventListener("theme", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  async load(query) {
    const answer = await fetch(`/failures/points?${query}`);
    if (!answer.ok) throw new Error(`the map cannot be read: the server answered ${answer.status}`);
    this.points = await answer.json();
    this.draw();
  }

  choose(index) {
    this.chosen = index;
    this.draw();
  }

  spot(index) {
    const { x, y, fineness } = this.points;
    const { clientWidth: wide, clientHeight: high } = this.canvas;
    return [PAD + (wide - 2 * PAD) * x[index] / fineness, high - PAD - (high - 2 * PAD) * y[index] / fineness];
  }

  nearest(event) {
    const box = this.canvas.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    let best = NEAR_PX ** 2, found = -1;
    for (let index = 0; index < this.points.x.length; index += 1) {
      const [x, y] = this.spot(index);
      const far = (x - left) ** 2 + (y - top) ** 2;
      if (far < best) [best, found] = [far, index];
    }
    return found;
  }

  draw() {
    const { canvas, points } = this;
    const { clientWidth: wide, clientHeight: high } = canvas;
    const dense = window.devicePixelRatio || 1;
    canvas.width = Math.round(wide * dense);
    canvas.height = Math.round(high * dense);
    const pen = canvas.getContext("2d");
    pen.scale(dense, dense);
    const many = points.x.length > 1500;
    pen.globalAlpha = many ? 0.55 : 0.85;
    for (let index = 0; index < points.x.length; index += 1) {
      const [x, y] = this.spot(index);
      pen.fillStyle = colour(points.mode[index]);
      pen.beginPath();
      pen.arc(x, y, many ? 2 : 4, 0, 7);
      pen.fill();
    }
    pen.globalAlpha = 1;
    for (const index of points.medoids) this.ring(pen, index, 7.5, colour(points.mode[index]), 1.75);
    const ink = getComputedStyle(canvas).color;
    if (this.chosen >= 0 && this.chosen < points.x.length) this.ring(pen, this.chosen, 11, ink, 2.5);
    canvas.dataset.points = String(points.x.length);
    for (const swatch of document.querySelectorAll("[data-swatch]")) {
      swatch.style.background = colour(Number(swatch.dataset.swatch));
    }
  }

  ring(pen, index, radius, ink, width) {
    const [x, y] = this.spot(index);
    pen.strokeStyle = ink;
    pen.lineWidth = width;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 7);
    pen.stroke();
  }
}
