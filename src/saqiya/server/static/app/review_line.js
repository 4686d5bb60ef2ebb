// The line of a submission: who acted, what to look at, and the spans that teach, whose ends can be dragged or moved by
// keys. All moments are whole nanoseconds since its beginning; ends of spans are always edges, the steps of the log.

import { latest } from "./episode_time.js";

const LANES = { who: "who", control: "control", alarm: "alarm" };

export class Line {
  /** `seek(t)` is told every moment that is looked at, `change(n, span)` every span that was moved; null takes it away. */
  constructor(root, known, { seek, change, author }) {
    Object.assign(this, { root, known, seek, change, author });
    this.end = Math.max(1, known.duration_ns);
    this.edges = known.edges;
    this.spans = new Map(); // by the number of its row
    this.t = 0;
    this.edits = change !== null;
    for (const [kind, name] of Object.entries(LANES)) this.bands(name, known.bands.filter((one) => one.kind === kind));
    this.look(known.doubts);
    if (this.edits) this.teaches();
    this.head = root.appendChild(made("div", "playhead"));
    for (const [name, value] of Object.entries({ tabindex: "0", role: "slider", "aria-label": "Moment", "aria-valuemin": "0", "aria-valuemax": this.seconds(this.end) })) this.head.setAttribute(name, value);
    this.head.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("pointerdown", (event) => this.press(event));
    root.addEventListener("pointermove", (event) => { if (root.hasPointerCapture(event.pointerId)) this.move(this.at(event)); });
    this.move(0, false);
  }

  // -- what is drawn ---------------------------------------------------------------------------------------------------

  lane(name, kind = "") {
    const lane = made("div", `lane ${kind}`), bar = made("div", "bar");
    lane.append(made("span", "", name), bar);
    this.root.append(lane);
    return bar;
  }

  place(one, start, end) {
    one.style.left = `${(100 * Math.max(0, start)) / this.end}%`;
    one.style.width = `${(100 * (Math.min(end, this.end) - Math.max(0, start))) / this.end}%`;
  }

  bands(name, all) {
    if (!all.length) return;
    const bar = this.lane(name);
    for (const one of all) {
      const band = made("i", "", one.kind === "alarm" ? "" : one.label);
      band.dataset.who = one.kind === "alarm" ? "alarm" : one.label.split(" ")[0];
      band.title = [one.label, one.detail].filter(Boolean).join(": ");
      this.place(band, one.start_ns, one.end_ns);
      bar.append(band);
    }
  }

  /** Warnings, each over its span; those that lie over each other get rows of their own. */
  look(doubts) {
    this.doubts = doubts;
    this.marks = [];
    if (!doubts.length) return;
    const bar = this.lane("look at"), rows = [];
    for (const one of [...doubts].sort((a, b) => b.severe - a.severe || a.start_ns - b.start_ns)) {
      let row = rows.findIndex((until) => until <= one.start_ns);
      if (row < 0) row = rows.push(0) - 1;
      rows[row] = Math.max(one.end_ns, one.start_ns + this.end / 50);
      const mark = made("b", one.severe ? "severe" : "", one.said);
      mark.title = one.said;
      mark.style.top = `${18 * row}px`;
      this.place(mark, one.start_ns, one.end_ns);
      mark.addEventListener("pointerdown", (event) => { event.stopPropagation(); this.point(one.start_ns, one.end_ns); });
      this.marks.push([one, mark]);
      bar.append(mark);
    }
    bar.style.setProperty("--rows", rows.length);
  }

  /** Go where a warning points at. */
  point(start, end) {
    for (const [one, mark] of this.marks) mark.classList.toggle("on", one.start_ns === start && one.end_ns === end);
    this.move(start);
  }

  // -- moments ---------------------------------------------------------------------------------------------------------

  at(event) {
    const box = this.root.querySelector(".bar").getBoundingClientRect();
    return Math.min(this.end, Math.max(0, Math.round(((event.clientX - box.left) / box.width) * this.end)));
  }

  move(t, told = true) {
    this.t = Math.min(this.end, Math.max(0, t));
    this.head.style.setProperty("--at", this.t / this.end);
    this.head.setAttribute("aria-valuenow", this.seconds(this.t));
    this.head.setAttribute("aria-valuetext", `${this.seconds(this.t)} seconds, ${this.acting(this.t)}`);
    if (told) this.seek(this.t);
  }

  /** Who acts at a moment, in words. */
  acting(t) {
    const now = (kind) => this.known.bands.filter((one) => one.kind === kind && one.start_ns <= t && (t < one.end_ns || one.end_ns >= this.end)).at(-1)?.label;
    return [now("who"), now("control")].filter(Boolean).join(", ") || "nobody knows who acts";
  }

  press(event) {
    if (event.button) return;
    this.root.setPointerCapture(event.pointerId);
    this.head.focus({ preventScroll: true });
    this.move(this.at(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = moved(event, this.index(this.t), this.edges.length);
    if (to === null) return;
    event.preventDefault();
    this.step(to - this.index(this.t));
  }

  /** So many steps of the log on, or back. */
  step(by) {
    if (!this.edges.length) { this.move(this.t + by * 1e7); return; }
    const here = this.index(this.t);
    this.move(this.edges[Math.min(this.edges.length - 1, Math.max(0, here + by))]);
  }

  index(t) { return Math.max(0, latest(this.edges, t)); }

  /** The nearest edge. */
  snap(t) {
    if (!this.edges.length) return Math.round(t / 1e6) * 1e6;
    const at = this.index(t), next = this.edges[Math.min(at + 1, this.edges.length - 1)];
    return next - t < t - this.edges[at] ? next : this.edges[at];
  }

  /** The edge before or after one. */
  beside(t, by) {
    if (!this.edges.length) return Math.min(this.end, Math.max(0, t + by * 1e7));
    return this.edges[Math.min(this.edges.length - 1, Math.max(0, this.index(t) + by))];
  }

  /** Seconds, in as many digits as tell one step from the next. */
  seconds(t) {
    const gap = this.edges.length > 1 ? this.end / (this.edges.length - 1) : 1e7;
    return (t / 1e9).toFixed(gap < 2e6 ? 6 : 3);
  }

  // -- spans -----------------------------------------------------------------------------------------------------------

  teaches() {
    this.bar = this.lane("teaches", "teaches");
    this.hint = this.bar.appendChild(made("em", "", `all that ${this.author} did: drag here to name a part of it`));
    let from = null, row = null;
    this.bar.addEventListener("pointerdown", (event) => {
      if (event.button || event.target.closest(".end")) return;
      event.stopPropagation();
      this.bar.setPointerCapture(event.pointerId);
      from = this.at(event);
      row = null;
      this.move(from);
    });
    this.bar.addEventListener("pointermove", (event) => {
      if (from === null || !this.bar.hasPointerCapture(event.pointerId)) return;
      const to = this.at(event), slack = (6 / this.bar.clientWidth) * this.end;
      if (row === null && Math.abs(to - from) < slack) return; // a click looks, a drag names
      row ??= this.free();
      this.move(this.set(row, Math.min(from, to), Math.max(from, to))[Number(to > from)]);
    });
    for (const name of ["pointerup", "pointercancel"]) this.bar.addEventListener(name, () => { from = null; });
  }

  free() {
    let row = 0;
    while (this.spans.has(row)) row += 1;
    return row;
  }

  /** Put a span where it is wanted: its ends at the nearest edges, at least one step in it. */
  set(row, start, end, told = true) {
    const first = Math.min(this.snap(start), this.beside(this.end, -1));
    const span = [first, Math.max(this.snap(end), this.beside(first, 1))];
    this.spans.set(row, span);
    this.draw(row);
    if (told) this.change(row, span);
    return span;
  }

  remove(row, told = true) {
    this.spans.delete(row);
    this.bar.querySelector(`[data-row="${row}"]`)?.remove();
    this.hint.hidden = this.spans.size > 0;
    if (told) this.change(row, null);
  }

  /** A span of the row that is chosen begins (side 0) or ends (side 1) at the moment. */
  mark(side) {
    const chosen = document.activeElement?.closest?.(".span")?.dataset.row ?? [...this.spans.keys()].at(-1);
    const row = chosen === undefined ? this.free() : Number(chosen);
    const [start, end] = this.spans.get(row) ?? [0, this.end];
    if (side === 0) this.set(row, this.t, Math.max(end, this.t)); else this.set(row, Math.min(start, this.t), this.t);
  }

  draw(row) {
    const [start, end] = this.spans.get(row);
    let box = this.bar.querySelector(`[data-row="${row}"]`);
    if (!box) {
      box = made("div", "span");
      box.dataset.row = row;
      for (const side of [0, 1]) box.append(this.handle(row, side));
      this.bar.append(box);
    }
    this.hint.hidden = true;
    this.place(box, start, end);
    for (const [side, t] of [start, end].entries()) {
      const one = box.children[side];
      one.setAttribute("aria-valuenow", this.seconds(t));
      one.setAttribute("aria-valuetext", `${this.seconds(t)} seconds`);
    }
  }

  handle(row, side) {
    const one = made("button", `end ${side ? "to" : "from"}`);
    const words = { type: "button", role: "slider", "aria-label": `Span ${row + 1} ${side ? "ends" : "begins"}`, "aria-valuemin": "0", "aria-valuemax": this.seconds(this.end) };
    for (const [name, value] of Object.entries(words)) one.setAttribute(name, value);
    const to = (t) => {
      const span = this.spans.get(row);
      const wanted = side ? [span[0], Math.max(t, this.beside(span[0], 1))] : [Math.min(t, this.beside(span[1], -1)), span[1]];
      this.move(this.set(row, ...wanted)[side]);
    };
    one.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      event.stopPropagation();
      one.focus({ preventScroll: true });
      one.setPointerCapture(event.pointerId);
    });
    one.addEventListener("pointermove", (event) => { if (one.hasPointerCapture(event.pointerId)) to(this.at(event)); });
    one.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const t = this.spans.get(row)[side];
      if (event.key === "Delete" || event.key === "Backspace") { this.remove(row); this.head.focus(); } else {
        const here = this.index(t), there = moved(event, here, this.edges.length);
        if (there === null) return;
        to(this.beside(t, there - here));
      }
      event.preventDefault();
      event.stopPropagation();
    });
    return one;
  }
}

/** The place that a key leads to from `at` of `n`; null where it leads nowhere. */
function moved(event, at, n) {
  const by = event.shiftKey ? 10 : 1;
  const to = { ArrowLeft: at - by, ArrowDown: at - by, ArrowRight: at + by, ArrowUp: at + by, PageDown: at - 10, PageUp: at + 10, Home: 0, End: n - 1 }[event.key];
  return to ?? null;
}

function made(tag, kind = "", words = "") {
  const one = document.createElement(tag);
  if (kind.trim()) one.className = kind.trim();
  one.textContent = words;
  return one;
}
