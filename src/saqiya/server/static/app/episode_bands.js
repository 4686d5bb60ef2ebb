// The scrubber: the whole episode as lanes of bands, events as ticks, the part that the plots show, the span that loops.

const LANE = 16, GAP = 3, TOP = 14, LEFT = 64, RIGHT = 12;
const LANES = ["who", "control", "phase", "contact", "alarm", "uncertainty"];

export class Bands {
  constructor(root, overview, seek) {
    this.root = root;
    this.canvas = root.querySelector("canvas");
    this.head = root.querySelector(".playhead");
    this.tip = root.querySelector(".tip");
    this.end = overview.duration_ns;
    this.rows = rowsOf(overview.bands);
    this.events = overview.events;
    this.moments = overview.said.failures;
    this.view = [0, this.end];
    this.span = null;
    this.t = 0;
    this.more = [];
    root.style.height = `${this.height}px`;
    new ResizeObserver(() => this.draw()).observe(root);
    root.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      root.setPointerCapture(event.pointerId);
      root.focus({ preventScroll: true });
      seek(this.at(event));
    });
    root.addEventListener("pointermove", (event) => {
      if (event.buttons & 1 && root.hasPointerCapture(event.pointerId)) seek(this.at(event));
      this.hint(event);
    });
    root.addEventListener("pointerleave", () => { this.tip.hidden = true; });
  }

  get height() { return TOP + Math.max(1, this.rows.length + this.more.length) * (LANE + GAP) + 6; }
  get width() { return this.root.clientWidth - LEFT - RIGHT; }
  x(t) { return LEFT + (t / this.end) * this.width; }
  at(event) {
    const x = event.clientX - this.root.getBoundingClientRect().left - LEFT;
    return Math.min(this.end, Math.max(0, Math.round((x / this.width) * this.end)));
  }

  move(t) {
    this.t = t;
    this.head.style.transform = `translateX(${this.x(t)}px)`;
  }

  /** Draw the lanes of another try too, its moments read on this one's clock. */
  beside(bands, read) {
    this.more = bands ? rowsOf(bands.filter((one) => ["who", "phase", "alarm"].includes(one.kind))).map((row) => ({
      name: `└ ${row.name}`,
      bands: row.bands.map((one) => ({ ...one, start_ns: read(one.start_ns), end_ns: read(one.end_ns) })),
    })) : [];
    this.root.style.height = `${this.height}px`;
    this.draw();
  }

  draw() {
    const ratio = window.devicePixelRatio || 1, width = this.root.clientWidth;
    if (!width) return;
    this.canvas.width = width * ratio;
    this.canvas.height = this.height * ratio;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${this.height}px`;
    const brush = this.canvas.getContext("2d"), ink = inks();
    brush.scale(ratio, ratio);
    brush.font = "11px system-ui, sans-serif";
    brush.textBaseline = "middle";
    const shown = this.view[0] > 0 || this.view[1] < this.end;
    brush.fillStyle = ink["--wash"];
    brush.fillRect(this.x(this.view[0]), TOP, this.x(this.view[1]) - this.x(this.view[0]), this.height - TOP);
    [...this.rows, ...this.more].forEach((row, place) => this.lane(brush, ink, row, TOP + place * (LANE + GAP) + GAP));
    brush.strokeStyle = ink["--edge"];
    brush.lineWidth = 1;
    brush.strokeRect(this.x(this.view[0]) - 0.5, TOP - 0.5, this.x(this.view[1]) - this.x(this.view[0]) + 1, this.height - TOP);
    if (shown) this.shade(brush, ink, this.view);
    if (this.span) {
      brush.fillStyle = ink["--focus"];
      brush.fillRect(this.x(this.span[0]), TOP - 5, Math.max(2, this.x(this.span[1]) - this.x(this.span[0])), 4);
    }
    for (const event of this.events) {
      brush.fillStyle = ["success", "handback"].includes(event.name) ? ink["--good"] : ink["--soft"];
      brush.fillRect(this.x(event.t_ns) - 0.75, 2, 1.5, 7);
    }
    for (const moment of this.moments) {
      const x = this.x(moment.t_ns);
      brush.fillStyle = ink["--bad"];
      brush.beginPath();
      brush.moveTo(x - 5, 0); brush.lineTo(x + 5, 0); brush.lineTo(x, 10);
      brush.fill();
    }
    this.move(this.t);
  }

  shade(brush, ink, [begin, end]) {
    brush.globalAlpha = 0.55;
    brush.fillStyle = ink["--paper"];
    brush.fillRect(LEFT, TOP, this.x(begin) - LEFT, this.height - TOP);
    brush.fillRect(this.x(end), TOP, this.x(this.end) - this.x(end), this.height - TOP);
    brush.globalAlpha = 1;
  }

  lane(brush, ink, row, top) {
    brush.fillStyle = ink["--soft"];
    brush.textAlign = "right";
    brush.fillText(cut(brush, row.name, LEFT - 10), LEFT - 6, top + LANE / 2);
    brush.textAlign = "left";
    for (const band of row.bands) {
      if (band.start_ns > this.end) continue; // of another try, that lasted longer
      const x = Math.round(this.x(band.start_ns) * 2) / 2;
      const width = Math.max(band.kind === "alarm" ? 3 : 1, Math.round(this.x(Math.min(band.end_ns, this.end)) * 2) / 2 - x);
      brush.globalAlpha = band.kind === "uncertainty" ? Math.max(0.04, band.level) : 1;
      brush.fillStyle = ink[colour(band)];
      brush.fillRect(x, top, width - (band.kind === "uncertainty" ? 0 : 0.5), LANE);
      brush.globalAlpha = 1;
      if (band.kind === "uncertainty" || width < 26) continue;
      brush.fillStyle = ink[`${colour(band)}-on`] ?? ink["--paper"];
      brush.fillText(cut(brush, short(band.label), width - 8), x + 4, top + LANE / 2 + 0.5);
    }
  }

  hint(event) {
    const box = this.root.getBoundingClientRect(), y = event.clientY - box.top, t = this.at(event);
    const row = [...this.rows, ...this.more][Math.floor((y - TOP - GAP) / (LANE + GAP))];
    const slack = (4 / this.width) * this.end;
    const found = y < TOP
      ? [...this.moments.map((one) => ({ t_ns: one.t_ns, name: `failure: ${one.label || "no name yet"}`, detail: one.phase })), ...this.events]
        .filter((one) => Math.abs(one.t_ns - t) < slack).map((one) => `${one.name} ${one.detail}`)
      : (row?.bands ?? []).filter((one) => one.start_ns - slack <= t && t <= one.end_ns + slack).slice(0, 1)
        .map((one) => [one.label, one.detail].filter(Boolean).join(": "));
    this.tip.hidden = !found.length;
    this.tip.textContent = found.slice(0, 4).join("\n");
    const x = Math.min(event.clientX - box.left, this.root.clientWidth - this.tip.offsetWidth - 4);
    this.tip.style.transform = `translate(${Math.max(0, x)}px, ${this.height + 4}px)`;
  }
}

function rowsOf(bands) {
  const rows = [];
  for (const kind of LANES) {
    const own = bands.filter((one) => one.kind === kind);
    const parts = ["contact", "uncertainty"].includes(kind) ? [...new Set(own.map((one) => one.label))] : own.length ? [null] : [];
    for (const label of parts) {
      rows.push({
        name: label === null ? kind : kind === "uncertainty" ? (label.includes("score") ? "score" : "unsure") : "contact",
        bands: label === null ? own : own.filter((one) => one.label === label),
      });
    }
  }
  return rows;
}

function colour(band) {
  if (band.kind === "who") return band.label.startsWith("policy") ? "--policy" : band.label.startsWith("assist") ? "--assist" : "--person";
  if (band.kind === "control") return { autonomous: "--policy", paused: "--pause", recovery: "--assist" }[band.label] ?? "--person";
  return { phase: "--phase", contact: "--touch", alarm: "--bad", uncertainty: "--bad" }[band.kind];
}

const short = (label) => label.split("/").slice(-1)[0];

function cut(brush, words, room) {
  if (brush.measureText(words).width <= room) return words;
  let end = words.length;
  while (end > 1 && brush.measureText(`${words.slice(0, end)}…`).width > room) end -= 1;
  return end > 2 ? `${words.slice(0, end)}…` : "";
}

export function inks() {
  const style = getComputedStyle(document.querySelector(".episode"));
  const names = ["--paper", "--wash", "--line", "--edge", "--ink", "--soft", "--faint", "--good", "--bad", "--focus",
    "--policy", "--policy-on", "--person", "--person-on", "--assist", "--assist-on", "--pause", "--phase", "--phase-on",
    "--touch", "--touch-on", "--bad-on", "--pause-on", ...Array.from({ length: 8 }, (_, i) => `--line-${i}`)];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name).trim()]));
}
