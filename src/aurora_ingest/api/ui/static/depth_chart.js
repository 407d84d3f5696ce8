// Depth: how much of the base asset can be bought or sold up to each price.

import { axis, picture, scale, tickText, ticks, walk } from "./chart.js";
import { byId, drawn, say, set } from "./dom.js";
import { price, shortUnits } from "./exact.js";
import { count } from "./wording.js";

const TOP = 26;
const BOTTOM = 26;
const LEFT = 56;
/** Prices further than this from the middle would squeeze all others together. */
const REACH = 3;

let sides = { bids: [], asks: [] };
let names = { base: "", counter: "" };
let spots = [];

const grid = drawn("g", {});
const marks = drawn("g", {});
const areas = {};
const lines = {};
for (const side of ["bids", "asks"]) {
  areas[side] = drawn("path", { class: `area ${side}` });
  lines[side] = drawn("path", { class: `edge ${side}` });
}
const middle = drawn("line", { class: "middle" });
const sideNames = { bids: drawn("text", { class: "side-name bids" }, "Bids"), asks: drawn("text", { class: "side-name asks", "text-anchor": "end" }, "Asks") };
const marker = drawn("line", { class: "marker", visibility: "hidden" });
const dot = drawn("circle", { class: "spot", r: 4, visibility: "hidden" });

const chart = picture(byId("depth-chart"), (width) => (width < 500 ? 220 : 300), draw);
chart.svg.append(grid, marks, areas.bids, areas.asks, lines.bids, lines.asks, middle, sideNames.bids, sideNames.asks, marker, dot);
const where = walk(chart.svg, () => spots.length, nearest, choose);

/** Shows other sides of a book; `codes` are the names of base and counter asset. */
export function showDepth(newSides, codes) {
  sides = newSides;
  names = codes;
  chart.redraw();
  choose(where());
}

function reach() {
  const [bid, ask] = [sides.bids[0]?.price, sides.asks[0]?.price];
  const centre = bid !== undefined && ask !== undefined ? (bid + ask) / 2 : bid ?? ask ?? 1;
  const seen = [...sides.bids, ...sides.asks].map((level) => level.price)
    .filter((each) => each >= centre / REACH && each <= centre * REACH);
  const low = Math.min(...seen, centre);
  const high = Math.max(...seen, centre);
  const air = Math.max((high - low) * 0.08, centre * 0.002);
  return [Math.max(low - air, 0), high + air, centre];
}

function draw(svg, width, height) {
  const [low, high, centre] = reach();
  const ground = height - BOTTOM;
  const inside = (level) => level.price >= low && level.price <= high;
  const shown = { bids: sides.bids.filter(inside), asks: sides.asks.filter(inside) };
  const most = Math.max(shown.bids.at(-1)?.depth ?? 0, shown.asks.at(-1)?.depth ?? 0, 1e-7);
  const x = scale([low, high], [LEFT, width - 2]);
  const y = scale([0, most * 1.05], [ground, TOP]);
  axis(grid, ticks(0, most * 1.05, 4).map((value) => ({
    x1: LEFT, x2: width, y1: y(value), y2: y(value), x: LEFT - 8, y: y(value) + 4, anchor: "end", text: tickText(value),
  })));
  axis(marks, ticks(low, high, width < 500 ? 3 : 6).filter((value) => x(value) > LEFT + 16 && x(value) < width - 24).map((value) => ({
    x1: x(value), x2: x(value), y1: ground, y2: ground + 4, x: x(value), y: ground + 18, anchor: "middle", text: tickText(value),
  })));
  for (const side of ["bids", "asks"]) {
    const end = side === "bids" ? x(low) : x(high);
    const edge = stairs(shown[side], x, y, ground, end);
    set(lines[side], { d: edge });
    set(areas[side], { d: edge ? `${edge}V${ground}Z` : "" });
  }
  set(sideNames.bids, { x: LEFT, y: 12, visibility: shown.bids.length > 0 ? "visible" : "hidden" });
  set(sideNames.asks, { x: width - 2, y: 12, visibility: shown.asks.length > 0 ? "visible" : "hidden" });
  const both = shown.bids.length > 0 && shown.asks.length > 0;
  set(middle, { x1: x(centre), x2: x(centre), y1: TOP, y2: ground, visibility: both ? "visible" : "hidden" });
  spots = [...shown.bids.map((level) => ({ ...level, side: "bids" })).reverse(), ...shown.asks.map((level) => ({ ...level, side: "asks" }))]
    .map((level) => ({ ...level, x: x(level.price), y: y(level.depth), ground }));
  const hidden = sides.bids.length + sides.asks.length - spots.length;
  say(byId("depth-caption"), [
    `${names.base} added up, by price in ${names.counter}`,
    ...(hidden > 0 ? [`${count(hidden, "far price")} left out`] : []),
  ].join(" · "));
  set(svg, { "aria-label": summary(shown) });
}

function stairs(levels, x, y, ground, end) {
  if (levels.length === 0) return "";
  const steps = levels.map((level) => `H${x(level.price).toFixed(1)}V${y(level.depth).toFixed(1)}`);
  return `M${x(levels[0].price).toFixed(1)} ${ground}${steps.join("")}H${end.toFixed(1)}`;
}

function summary(shown) {
  const side = (levels, word) => (levels.length === 0 ? `no ${word}`
    : `${count(levels.length, `${word.slice(0, -1)} price`)} from ${price(levels[0].n, levels[0].d)}, ${shortUnits(levels.at(-1).sum)} ${names.base} in all`);
  return `Depth of ${names.base} in ${names.counter}: ${side(shown.bids, "bids")}; ${side(shown.asks, "asks")}. Arrow keys go from price to price.`;
}

function nearest(at) {
  if (spots.length === 0) return null;
  let best = 0;
  spots.forEach((spot, place) => { if (Math.abs(spot.x - at) < Math.abs(spots[best].x - at)) best = place; });
  return best;
}

function choose(at) {
  const spot = at === null ? null : spots[at];
  const visibility = spot ? "visible" : "hidden";
  set(marker, { visibility, x1: spot?.x ?? 0, x2: spot?.x ?? 0, y1: TOP, y2: spot?.ground ?? 0 });
  set(dot, { visibility, cx: spot?.x ?? 0, cy: spot?.y ?? 0, class: `spot ${spot?.side ?? ""}` });
  const verb = spot?.side === "bids" ? "Sell" : "Buy";
  const limit = spot?.side === "bids" ? "at least" : "at most";
  say(byId("depth-readout"), spot
    ? `${verb} up to ${shortUnits(spot.sum)} ${names.base} for ${limit} ${price(spot.n, spot.d)} ${names.counter} each` : "Point at the chart, or walk along it with the arrow keys, to read amounts.");
}
