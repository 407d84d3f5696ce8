// Time between ledgers, one ray for each ledger, drawn like the curtain of an aurora.

import { axis, picture, scale, ticks, walk } from "./chart.js";
import { byId, drawn, element, keyed, say, set, show } from "./dom.js";
import { count, duration, grouped } from "./wording.js";

const MOST = 120;
/** Ledgers that fill the width when there are fewer. */
const FEW = 30;
const SLOT = 6;
const WIDEST = 10;
const HUES = 4;
const TOP = 14;
const BOTTOM = 24;
const LEFT = 34;

/** Commits that are shown, ascending. */
let commits = [];

export const newest = () => commits.at(-1)?.ledger ?? 0;

/** Takes commits that are newer than those before, and forgets the oldest. */
export function add(more) {
  if (more.length === 0 && commits.length > 0) return;
  commits = [...commits, ...more].slice(-MOST - 1);
  chart.redraw();
  tell();
}

/** Ledgers with the seconds since the one before; the first commit has none before it. */
function gaps() {
  return commits.slice(1).map((commit, at) => ({
    ...commit, seconds: Math.max(commit.committed_at - commits[at].committed_at, 0),
  }));
}

/** Ledgers a minute over all that is shown; null if that cannot be said. */
export function perMinute() {
  if (commits.length < 2) return null;
  const seconds = commits.at(-1).committed_at - commits[0].committed_at;
  return seconds > 0 ? ((commits.at(-1).ledger - commits[0].ledger) / seconds) * 60 : null;
}

const nodes = () => [...new Set(commits.map((commit) => commit.node))].sort();

const grid = drawn("g", {});
const rays = drawn("g", { id: "rays" });
const marker = drawn("line", { class: "marker", visibility: "hidden" });
let positions = [];

const chart = picture(byId("rate-chart"), (width) => (width < 500 ? 170 : 230), draw);
// The light around the rays is the rays again, blurred.
chart.svg.append(veils(), grid, drawn("use", { href: "#rays", class: "glow" }), rays, marker);
const where = walk(chart.svg, () => positions.length, nearest, choose);

function veils() {
  const definitions = drawn("defs", {});
  for (let hue = 0; hue < HUES; hue += 1) {
    definitions.append(drawn("linearGradient", { id: `veil-${hue}`, x1: 0, y1: 0, x2: 0, y2: 1 },
      drawn("stop", { offset: 0, class: `veil-${hue} thin` }),
      drawn("stop", { offset: 0.75, class: `veil-${hue}` }),
      drawn("stop", { offset: 1, class: `veil-${hue} dense` })));
  }
  return definitions;
}

function draw(svg, width, height) {
  const slots = Math.min(MOST, Math.max(FEW, gaps().length), Math.floor((width - LEFT) / SLOT));
  const all = gaps().slice(-slots);
  const ground = height - BOTTOM;
  const sorted = all.map((gap) => gap.seconds).sort((a, b) => a - b);
  // A pause would flatten all others: rays end at three times the usual, and those that are cut off say so.
  const usual = sorted[Math.floor(sorted.length * 0.9)] ?? 1;
  const high = Math.max(Math.min((sorted.at(-1) ?? 1) * 1.1, usual * 3), 0.1);
  const y = scale([0, high], [ground, TOP]);
  const step = (width - LEFT) / slots;
  const wide = Math.min(Math.max(step * 0.72, 1), WIDEST);
  const first = slots - all.length;
  positions = all.map((gap, at) => ({ ...gap, x: LEFT + (first + at + 0.5) * step }));
  axis(grid, ticks(0, high, 3).map((value) => ({
    x1: LEFT, x2: width, y1: y(value), y2: y(value), x: LEFT - 8, y: y(value) + 4, anchor: "end", text: `${value} s`,
  })));
  const names = nodes();
  keyed(rays, positions, (gap) => gap.ledger, () => drawn("rect", {}), (ray, gap) => {
    const top = y(Math.min(gap.seconds, high));
    set(ray, {
      x: (gap.x - wide / 2).toFixed(2), width: wide.toFixed(2), rx: Math.min(wide / 2, 2).toFixed(2),
      y: Math.min(top, ground - 2).toFixed(2), height: Math.max(ground - top, 2).toFixed(2),
      class: "ray", fill: `url(#veil-${names.indexOf(gap.node) % HUES})`,
    });
  });
  set(marker, { y1: TOP - 6, y2: ground });
  set(svg, { "aria-label": summary(all) });
}

function summary(all) {
  if (all.length === 0) return "No ledger has been followed yet.";
  const seconds = all.map((gap) => gap.seconds).sort((a, b) => a - b);
  const middle = duration(seconds[Math.floor(seconds.length / 2)]);
  return `Seconds between the last ${count(all.length + 1, "ledger")}, ${commits[0].ledger} to ${newest()}: ` +
    `half of them below ${middle}, the longest ${duration(seconds.at(-1))}. Arrow keys go from ledger to ledger.`;
}

function tell() {
  const all = gaps();
  const seconds = all.map((gap) => gap.seconds).sort((a, b) => a - b);
  say(byId("rate-caption"), all.length === 0 ? "" :
    `last ${count(all.length, "ledger")} · median ${duration(seconds[Math.floor(seconds.length / 2)])} · longest ${duration(seconds.at(-1))}`);
  const names = nodes();
  keyed(byId("rate-legend"), names, (name) => name,
    (name) => element("li", {}, element("span", { class: "swatch", "aria-hidden": "true" }), element("span", {}, name), " ", element("span", { class: "quiet" })),
    (item, name) => {
      set(item.children[0], { class: `swatch veil-${names.indexOf(name) % HUES}` });
      say(item.children[2], grouped(commits.filter((commit) => commit.node === name).length));
    });
  show(byId("rate-legend"), names.length > 0);
  if (all.length === 0) say(byId("rate-readout"), "Rays appear here as ledgers are followed.");
  else choose(where());
}

function nearest(x) {
  if (positions.length === 0) return null;
  let best = 0;
  positions.forEach((each, at) => { if (Math.abs(each.x - x) < Math.abs(positions[best].x - x)) best = at; });
  return best;
}

function choose(at) {
  const gap = at === null ? null : positions[at];
  set(marker, { visibility: gap ? "visible" : "hidden", x1: gap?.x ?? 0, x2: gap?.x ?? 0 });
  say(byId("rate-readout"), gap ? `Ledger ${grouped(gap.ledger)}, ${duration(gap.seconds)} after the one before, by ${gap.node}` : "");
}
