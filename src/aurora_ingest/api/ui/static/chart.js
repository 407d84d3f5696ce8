// What all charts share: an SVG as wide as its place, scales, ticks, and a cursor for pointer and arrow keys.

import { drawn, set } from "./dom.js";

/** A linear scale from `[low, high]` to `[from, to]`. */
export function scale([low, high], [from, to]) {
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

/** Round values from low to high, about `wished` of them. */
export function ticks(low, high, wished) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return [low];
  const rough = span / Math.max(wished, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1) {
    found.push(Number((at * step).toPrecision(12)));
  }
  return found;
}

const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const PLAIN = new Intl.NumberFormat("en", { maximumSignificantDigits: 6, useGrouping: false });

export function tickText(value) {
  if (value === 0) return "0";
  if (Math.abs(value) >= 10_000) return COMPACT.format(value);
  return Math.abs(value) < 1e-5 ? value.toExponential(1) : PLAIN.format(value);
}

/**
 * A picture that follows the width of its place.
 *
 * @param place element that holds it.
 * @param height in pixels, or a function of the width.
 * @param draw is given `(svg, width, height)` and changes what is in the SVG.
 */
export function picture(place, height, draw) {
  const svg = drawn("svg", { role: "img", tabindex: "0", focusable: "true" });
  place.append(svg);
  let width = 0;
  const redraw = () => {
    if (width === 0) return;
    const tall = typeof height === "function" ? height(width) : height;
    set(svg, { viewBox: `0 0 ${width} ${tall}`, width, height: tall });
    draw(svg, width, tall);
  };
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (now === width || now === 0) return;
    width = now;
    redraw();
  }).observe(place);
  return { svg, redraw };
}

/**
 * Lets people walk through a picture's points, by pointer or by arrow keys, Home, End and Escape.
 *
 * @param svg the picture.
 * @param points returns how many points there are.
 * @param nearest returns the point at `(x, y)` of the picture.
 * @param chosen is told the point, or null when there is none any more.
 */
export function walk(svg, points, nearest, chosen) {
  let at = null;
  const go = (next) => {
    const most = points() - 1;
    at = most < 0 || next === null ? null : Math.min(Math.max(next, 0), most);
    chosen(at);
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    go(nearest(event.clientX - box.left, event.clientY - box.top));
  });
  svg.addEventListener("pointerleave", () => go(null));
  svg.addEventListener("blur", () => go(null));
  svg.addEventListener("keydown", (event) => {
    const start = { ArrowLeft: points() - 1, ArrowRight: 0 };
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: 10, PageDown: -10 };
    if (event.key === "Escape") go(null);
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(points() - 1);
    else if (event.key in steps) go(at === null ? start[event.key] ?? 0 : at + steps[event.key]);
    else return;
    event.preventDefault();
  });
  return () => at;
}

/** Brings grid lines and labels of an axis in line with its ticks. */
export function axis(group, marks) {
  const nodes = [...group.children];
  marks.forEach((mark, at) => {
    const line = nodes[2 * at] ?? group.appendChild(drawn("line", {}));
    const label = nodes[2 * at + 1] ?? group.appendChild(drawn("text", {}));
    set(line, { x1: mark.x1, x2: mark.x2, y1: mark.y1, y2: mark.y2, class: "grid" });
    set(label, { x: mark.x, y: mark.y, class: "tick", "text-anchor": mark.anchor });
    if (label.textContent !== mark.text) label.textContent = mark.text;
  });
  nodes.slice(2 * marks.length).forEach((node) => node.remove());
}
