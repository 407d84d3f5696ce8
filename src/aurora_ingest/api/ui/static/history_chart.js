// Best bid and best ask after each ledger that changed the pair.

import { axis, picture, scale, tickText, ticks } from "./chart.js";
import { byId, drawn, set } from "./dom.js";
import { price } from "./exact.js";
import { count } from "./wording.js";

const TOP = 24;
const BOTTOM = 26;
const LEFT = 56;

let books = [];
let chosen = null;
let end = 0;
let select = () => {};
let xOf = () => 0;

const grid = drawn("g", {});
const marks = drawn("g", {});
const band = drawn("path", { class: "band" });
const lines = { bids: drawn("path", { class: "edge bids" }), asks: drawn("path", { class: "edge asks" }) };
const names = {
  bids: drawn("text", { class: "side-name bids", "text-anchor": "end" }, "Best bid"),
  asks: drawn("text", { class: "side-name asks", "text-anchor": "end" }, "Best ask"),
};
const marker = drawn("line", { class: "marker" });

const chart = picture(byId("history-chart"), (width) => (width < 500 ? 150 : 180), draw);
// The slider below is what the keyboard moves; a second way to the same would only be one more stop.
chart.svg.removeAttribute("tabindex");
chart.svg.append(grid, marks, band, lines.bids, lines.asks, names.bids, names.asks, marker);
chart.svg.addEventListener("pointerdown", follow);
chart.svg.addEventListener("pointermove", (event) => { if (event.buttons > 0) follow(event); });

export function onSelect(listener) {
  select = listener;
}

/**
 * Shows books `{ ledger, sides }`, ascending, one of them chosen; null for the book as it is now, at ledger `newest`.
 */
export function showHistory(newBooks, at, newest) {
  books = newBooks;
  chosen = at;
  end = newest;
  chart.redraw();
}

function follow(event) {
  const at = event.clientX - chart.svg.getBoundingClientRect().left;
  let best = 0;
  books.forEach((book, place) => { if (Math.abs(xOf(book.ledger) - at) < Math.abs(xOf(books[best].ledger) - at)) best = place; });
  select(best);
}

function draw(svg, width, height) {
  if (books.length === 0) return;
  const ground = height - BOTTOM;
  const bests = books.flatMap(({ sides }) => [sides.bids[0]?.price, sides.asks[0]?.price]).filter((each) => each !== undefined);
  const sorted = [...bests].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)] ?? 1;
  const seen = sorted.filter((each) => each >= middle / 3 && each <= middle * 3);
  const air = Math.max(((seen.at(-1) ?? 1) - (seen[0] ?? 0)) * 0.25, middle * 0.002);
  const [low, high] = [(seen[0] ?? 0) - air, (seen.at(-1) ?? 1) + air];
  const [first, last] = [books[0].ledger, Math.max(end, books.at(-1).ledger)];
  xOf = first === last ? () => (LEFT + width) / 2 : scale([first, last], [LEFT + 6, width - 6]);
  const y = scale([low, high], [ground, TOP]);
  const held = (value) => Math.min(Math.max(y(value), TOP), ground);
  axis(grid, ticks(low, high, 3).map((value) => ({
    x1: LEFT, x2: width, y1: y(value), y2: y(value), x: LEFT - 8, y: y(value) + 4, anchor: "end", text: tickText(value),
  })));
  axis(marks, ticks(first, last, width < 500 ? 3 : 7).filter((value) => Number.isInteger(value) && xOf(value) < width - 20).map((value) => ({
    x1: xOf(value), x2: xOf(value), y1: ground, y2: ground + 4, x: xOf(value), y: ground + 18, anchor: "middle", text: String(value),
  })));
  for (const side of ["bids", "asks"]) set(lines[side], { d: stairs(side, held) });
  for (const [side, offset] of [["bids", 17], ["asks", -7]]) {
    const best = books.at(-1).sides[side][0];
    set(names[side], { visibility: best ? "visible" : "hidden", x: width - 8, y: best ? held(best.price) + offset : 0 });
  }
  set(band, { d: between(held) });
  const at = chosen === null ? 0 : xOf(books[chosen].ledger);
  set(marker, { visibility: chosen === null ? "hidden" : "visible", x1: at, x2: at, y1: TOP - 4, y2: ground });
  set(svg, { "aria-label": summary() });
}

/** A book holds until the next ledger that changes it; a side without offers leaves a hole. */
function stretches() {
  return books.map((book, at) => ({
    ...book, from: xOf(book.ledger), to: at + 1 < books.length ? xOf(books[at + 1].ledger) : Math.max(xOf(end), xOf(book.ledger) + 3),
  }));
}

function stairs(side, held) {
  let open = false;
  return stretches().map(({ sides, from, to }) => {
    const best = sides[side][0];
    if (best === undefined) {
      open = false;
      return "";
    }
    const start = open ? `V${held(best.price).toFixed(1)}` : `M${from.toFixed(1)} ${held(best.price).toFixed(1)}`;
    open = true;
    return `${start}H${to.toFixed(1)}`;
  }).join("");
}

function between(held) {
  return stretches().filter(({ sides }) => sides.bids.length > 0 && sides.asks.length > 0).map(({ sides, from, to }) => {
    const [low, high] = [held(sides.bids[0].price), held(sides.asks[0].price)];
    return `M${from.toFixed(1)} ${low.toFixed(1)}H${to.toFixed(1)}V${high.toFixed(1)}H${from.toFixed(1)}Z`;
  }).join("");
}

function summary() {
  const last = books.at(-1).sides;
  const best = (levels) => (levels.length === 0 ? "none" : price(levels[0].n, levels[0].d));
  return `Best bid and best ask after the last ${count(books.length, "ledger")} that changed the pair, up to ledger ${books.at(-1).ledger}: ` +
    `bid ${best(last.bids)}, ask ${best(last.asks)}. The slider below goes through them.`;
}
