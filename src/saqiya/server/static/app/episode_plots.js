// Streams as lines: each in about as many points as it has pixels, the extremes always among them; zoom asks for more.

import { inks } from "./episode_bands.js";
import { ask, clock, later, latest } from "./episode_time.js";

const LEFT = 64, RIGHT = 12, HEIGHT = 118, AT_ONCE = 8, SYNC = "episode";
const ACTIONS = [["executed", "action/executed"], ["intended", "action/intended"], ["operator", "action/operator"]];
const BANDS = ["author", "drive/control"]; // who acted is a code, not a number: the bands above say it in words
const DASHES = { intended: [5, 4], operator: [], executed: [] };
const SHADES = { intended: 0, operator: 1, executed: 7 };

/** What is drawn: the intended action beside the operator's, dimension by dimension; then each stream by itself. */
export function plan(tracks) {
  const named = new Map(tracks.map((one) => [one.name, one]));
  const there = ACTIONS.filter(([, name]) => named.has(name));
  const plots = [];
  if (there.length > 1 && new Set(there.map(([, name]) => named.get(name).width)).size === 1) {
    const width = Math.min(named.get(there[0][1]).width, 8);
    for (let column = 0; column < width; column += 1) {
      plots.push({
        title: `action ${columnOf(named.get(there[0][1]), column)}`, unit: named.get(there[0][1]).unit, note: "",
        lines: there.map(([label, name]) => ({ label, stream: name, column, colour: SHADES[label], dash: DASHES[label] })),
      });
    }
  }
  const drawn = plots.length ? new Set(there.map(([, name]) => name)) : new Set();
  for (const track of tracks) {
    if (drawn.has(track.name) || !track.rows || (BANDS.includes(track.name) && track.width === 1)) continue;
    const width = Math.min(track.width, 16);
    plots.push({
      title: track.name, unit: track.unit,
      note: [track.rate_hz ? `${Number(track.rate_hz.toPrecision(4))} Hz` : track.rows === 1 ? "1 row" : `${track.rows} rows`,
        track.width > width ? `${width} of ${track.width} columns` : "", track.note].filter(Boolean).join(" · "),
      lines: Array.from({ length: width }, (_, column) => ({
        label: columnOf(track, column), stream: track.name, column, colour: column % 8, dash: [],
      })),
    });
  }
  return plots;
}

const columnOf = (track, column) => track.columns[column] || (track.width > 1 ? String(column) : "value");

export class Plots {
  constructor(root, episode, tracks, hooks) {
    this.root = root;
    this.url = `/api/v1/episodes/${encodeURIComponent(episode)}/series`;
    this.hooks = hooks;
    this.view = null;
    this.t = 0;
    this.other = null;
    this.data = new Map();
    this.coming = new Map();
    this.shown = new Set();
    this.seen = tracks.length === 0;
    this.plots = plan(tracks).map((one) => new Plot(this, one));
    root.replaceChildren(...this.plots.map((one) => one.box));
    this.eye = new IntersectionObserver((seen) => {
      for (const one of seen) this.shown[one.isIntersecting ? "add" : "delete"](one.target);
      this.seen = true;
      for (const plot of this.plots) if (plot.stale && this.shown.has(plot.box)) plot.fill();
      this.load();
    }, { rootMargin: "250px" });
    for (const plot of this.plots) this.eye.observe(plot.box);
    this.load = later(() => this.fetch(), 15);
    this.reload = later(() => this.fetch(), 120);
    new ResizeObserver(later(() => { for (const one of this.plots) one.resize(); }, 80)).observe(root);
    document.addEventListener("theme", () => { for (const one of this.plots) one.build(); });
  }

  get points() { return Math.max(100, Math.min(2000, Math.round((this.root.clientWidth - LEFT - RIGHT) / 1.5))); }
  key(stream, other = false) { return `${other ? "other " : ""}${stream}`; }
  window(other = false) { return other ? this.view.map(this.other.forth) : this.view; }
  stamp(other) { return `${this.window(other).map(Math.round)} ${this.points}`; }

  look(view) {
    const first = this.view === null;
    this.view = view;
    for (const plot of this.plots) plot.look();
    (first ? this.load : this.reload)();
  }

  move(t) {
    this.t = t;
    for (const plot of this.plots) if (this.shown.has(plot.box)) plot.move();
  }

  /** Draw the streams of another try too; `forth` reads a moment of this one on that one, `back` the other way. */
  beside(other) {
    this.other = other && { ...other, url: `/api/v1/episodes/${encodeURIComponent(other.id)}/series` };
    for (const key of [...this.data.keys()]) if (key.startsWith("other ")) this.data.delete(key);
    for (const plot of this.plots) plot.build();
    this.fetch();
  }

  async fetch() {
    if (this.view === null || !this.seen) return; // before it is known what is on the screen
    const near = this.plots.filter((one) => this.shown.has(one.box)), rest = this.plots.filter((one) => !this.shown.has(one.box));
    const stamp = this.stamp(false);
    for (const other of this.other ? [false, true] : [false]) {
      await this.bring(near, other, stamp);
      if (stamp !== this.stamp(false)) return;
    }
    this.hooks.ready();
    for (const other of this.other ? [false, true] : [false]) await this.bring(rest, other, stamp);
    for (const plot of rest) {
      await quiet();
      if (stamp !== this.stamp(false)) return;
      if (plot.stale) plot.fill();
    }
    this.hooks.whole();
  }

  /** Get what these plots lack for the present view; what is on its way already is waited for, not asked again. */
  async bring(plots, other, stamp) {
    const kept = this.stamp(other), has = (name) => !other || this.other.streams.has(name);
    const names = [...new Set(plots.flatMap((one) => one.lines.map((line) => line.stream)))].filter(has)
      .filter((name) => this.data.get(this.key(name, other))?.stamp !== kept);
    const fresh = names.filter((name) => !this.coming.has(`${this.key(name, other)} ${kept}`));
    for (let from = 0; from < fresh.length; from += AT_ONCE) this.ask(fresh.slice(from, from + AT_ONCE), other, kept, stamp);
    await Promise.all(names.map((name) => this.coming.get(`${this.key(name, other)} ${kept}`)));
  }

  ask(part, other, kept, stamp) {
    const [begin, end] = this.window(other).map((t) => Math.max(0, t) / 1e9);
    const query = new URLSearchParams([...part.map((name) => ["stream", name]), ["start_s", begin], ["end_s", Math.max(end, begin + 1e-6)], ["points", this.points]]);
    const names = part.map((name) => `${this.key(name, other)} ${kept}`);
    const answer = ask(`${other ? this.other.url : this.url}?${query}`).then((found) => {
      if (stamp !== this.stamp(false)) return;
      for (const one of found) this.data.set(this.key(one.stream, other), { ...one, stamp: kept });
      for (const plot of this.plots) if (plot.lines.some((line) => part.includes(line.stream))) plot.renew();
    }).catch((error) => this.hooks.fail(error)).finally(() => { for (const name of names) this.coming.delete(name); });
    for (const name of names) this.coming.set(name, answer);
  }
}

class Plot {
  constructor(plots, { title, unit, note, lines }) {
    Object.assign(this, { plots, lines, chart: null, stale: false });
    this.box = document.getElementById("plot").content.firstElementChild.cloneNode(true);
    this.box.dataset.state = "waiting";
    this.box.dataset.name = title;
    this.box.querySelector("h3").textContent = title;
    this.box.querySelector(".soft").textContent = [unit, note].filter(Boolean).join(" · ");
    this.values = this.box.querySelector(".values");
    this.lost = this.box.querySelector(".lost");
    this.draw = this.box.querySelector(".draw");
    this.head = this.box.querySelector(".playhead");
  }

  get width() { return Math.max(80, this.draw.clientWidth); }

  /** Data of a line and of the same line in the other try, where there is one. */
  *sources() {
    for (const line of this.lines) {
      yield [line, this.plots.data.get(line.stream), false];
      if (this.plots.other?.streams.has(line.stream)) yield [line, this.plots.data.get(`other ${line.stream}`), true];
    }
  }

  build() {
    this.chart?.destroy();
    this.chart = null;
    if (this.box.dataset.state === "drawn") this.fill();
  }

  /** Draw what came, at once where it is on the screen, else when there is time or it comes there. */
  renew() {
    this.stale = true;
    if (this.plots.shown.has(this.box)) this.fill();
  }

  fill() {
    this.stale = false;
    const own = [...this.sources()];
    if (!own.some(([, data]) => data)) return;
    const tables = own.map(([line, data, other]) => {
      if (!data || line.column >= data.low.length) return [[], [], []];
      const t = other ? data.t_ns.map(this.plots.other.back) : data.t_ns;
      const low = data.low[line.column];
      return [t, low, data.high ? data.high[line.column] : low];
    });
    const keep = tables.map(() => [1, 1, 1]); // what is missing stays missing; a null in the data is a gap
    const joined = tables.every((one) => one[0] === tables[0][0])
      ? [tables[0][0], ...tables.flatMap((one) => one.slice(1))] : uPlot.join(tables.map(([t, ...rows]) => [t, ...rows]), keep);
    if (!this.chart) this.chart = this.make(own);
    this.chart.setData(joined, false);
    this.look();
    this.box.dataset.state = "drawn";
    const lost = own.reduce((n, [line, data]) => n + (data?.lost.filter(([column]) => column === line.column).length ?? 0), 0);
    this.lost.textContent = lost ? `${lost} of the points shown hold values that are missing or not finite` : "";
    this.move();
  }

  make(own) {
    const ink = inks(), grid = { stroke: ink["--line"], width: 1 }, series = [{}], bands = [];
    for (const [line, , other] of own) {
      const stroke = ink[`--line-${line.colour}`], dash = other ? [2, 3] : line.dash;
      bands.push({ series: [series.length + 1, series.length], fill: `${stroke}40` });
      for (let i = 0; i < 2; i += 1) series.push({ stroke, width: other ? 1 : 1.25, dash, points: i ? { show: false } : { show: few, size: 4 }, spanGaps: false });
    }
    const axis = { stroke: ink["--soft"], grid, ticks: grid, font: "11px system-ui, sans-serif" };
    const chart = new uPlot({
      width: this.width, height: HEIGHT, padding: [6, RIGHT, 0, 0], legend: { show: false }, bands, series,
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false }, sync: { key: SYNC, setSeries: false } },
      scales: { x: { time: false, range: () => this.plots.view }, y: { range: (_, low, high) => roomy(low, high) } },
      axes: [
        { ...axis, size: 22, gap: 2, values: (_, ticks) => ticks.map((t, at) => clock(t, digits(ticks)) + (at === 0 && t < 60e9 ? " s" : "")), space: 70 },
        { ...axis, size: LEFT, gap: 4, values: (_, ticks) => ticks.map((value) => Number(value.toPrecision(6)).toString()), space: 28 },
      ],
      hooks: {
        setSelect: [(made) => {
          if (made.select.width < 4) return;
          const view = [made.posToVal(made.select.left, "x"), made.posToVal(made.select.left + made.select.width, "x")];
          made.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          this.plots.hooks.zoom(view);
        }],
      },
    }, [[], ...series.slice(1).map(() => [])], this.draw);
    chart.over.append(this.head);
    chart.over.addEventListener("click", (event) => {
      if (Math.abs(event.clientX - (this.down ?? event.clientX)) < 4) this.plots.hooks.seek(chart.posToVal(event.offsetX, "x"));
    });
    chart.over.addEventListener("pointerdown", (event) => { this.down = event.clientX; });
    chart.over.addEventListener("dblclick", () => this.plots.hooks.zoom(null));
    return chart;
  }

  look() {
    if (!this.chart) return;
    this.chart.batch(() => {
      this.chart.setScale("x", { min: this.plots.view[0], max: this.plots.view[1] });
      this.chart.setScale("y", { min: null, max: null });
    });
    this.move();
  }

  move() {
    if (!this.chart) return;
    const x = this.chart.valToPos(this.plots.t, "x");
    this.head.hidden = !(x >= -1 && x <= this.chart.over.clientWidth + 1);
    this.head.style.transform = `translateX(${x}px)`;
    this.tell();
  }

  /** The values at the moment, beside the names of the lines. */
  tell() {
    const ink = inks.now ??= inks();
    if (this.values.childElementCount !== this.lines.length) {
      this.values.replaceChildren(...this.lines.map((line) => {
        const made = document.createElement("span");
        made.style.setProperty("--swatch", `var(--line-${line.colour})`);
        return made;
      }));
    }
    this.lines.forEach((line, place) => {
      const data = this.plots.data.get(line.stream), at = data ? latest(data.t_ns, this.plots.t) : -1;
      const low = at < 0 ? null : data.low[line.column]?.[at], high = at < 0 ? null : (data.high ?? data.low)[line.column]?.[at];
      const words = low === null || low === undefined ? "–" : low === high ? short(low) : `${short(low)} to ${short(high)}`;
      const text = this.lines.length > 6 ? `${line.label}` : `${line.label} ${words}`;
      const made = this.values.children[place];
      if (made.textContent !== text) made.textContent = text;
      made.title = words;
    });
    return ink;
  }

  resize() { this.chart?.setSize({ width: this.width, height: HEIGHT }); this.move(); }
}

/** Whether so few rows are on the screen that each is worth a dot: a row alone makes no line. */
const few = (_, __, from, to) => to - from < 60;

const quiet = () => new Promise((done) => { (window.requestIdleCallback ?? ((act) => setTimeout(act, 20)))(done, { timeout: 500 }); });

const short = (value) => Number(value.toPrecision(4)).toString();

function digits(ticks) {
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) / 1e9 : 1;
  return Math.max(0, Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)));
}

function roomy(low, high) {
  if (low === null || high === null || low === undefined) return [0, 1];
  const room = high > low ? (high - low) * 0.08 : Math.max(Math.abs(high) * 0.1, 0.5);
  return [low - room, high + room];
}
