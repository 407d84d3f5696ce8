// Both sides of a book as tables, changed in place.

import { byId, element, keyed, say, set, show } from "./dom.js";
import { asNumber, shortPrice, shortUnits, units } from "./exact.js";
import { count } from "./wording.js";

const FEW = 12;

let sides = { bids: [], asks: [] };
let codes = { base: "", counter: "" };
let all = false;

byId("levels-more").addEventListener("click", () => {
  all = !all;
  tell();
});

export function showLevels(newSides, newCodes) {
  sides = newSides;
  codes = newCodes;
  tell();
}

function tell() {
  const most = Math.max(asNumber(sides.bids.at(-1)?.sum ?? 0n), asNumber(sides.asks.at(-1)?.sum ?? 0n), 1e-7);
  for (const side of ["bids", "asks"]) {
    const levels = all ? sides[side] : sides[side].slice(0, FEW);
    const body = byId(side);
    if (levels.length === 0) {
      keyed(body, [null], () => "none", () => element("tr", { class: "none" }, element("td", { colspan: "3" })),
        (row) => say(row.firstElementChild, side === "bids" ? `Nobody buys ${codes.base}` : `Nobody sells ${codes.base}`));
      continue;
    }
    keyed(body, levels, (level) => `${level.n}/${level.d}`,
      () => element("tr", {}, element("td", {}), element("td", {}), element("td", {})),
      (row, level) => {
        const [at, amount, sum] = row.children;
        say(at, shortPrice(level.n, level.d));
        set(at, { title: `${level.n} / ${level.d} ${codes.counter}` });
        say(amount, shortUnits(level.amount));
        set(amount, { title: `${units(level.amount)} ${codes.base}` });
        say(sum, shortUnits(level.sum));
        set(sum, { title: `${units(level.sum)} ${codes.base}` });
        row.style.setProperty("--share", `${((level.depth / most) * 100).toFixed(1)}%`);
      });
  }
  const hidden = Math.max(sides.bids.length - FEW, 0) + Math.max(sides.asks.length - FEW, 0);
  show(byId("levels-more"), hidden > 0);
  say(byId("levels-more"), all ? "Show fewer" : `Show ${count(hidden, "more price")}`);
}
