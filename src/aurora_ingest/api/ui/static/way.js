// One way to pay, drawn as a line with a stop for each asset.

import { element } from "./dom.js";
import { stroops, units } from "./exact.js";
import { assetLabel, assetOf, count, tint } from "./wording.js";

/**
 * @param path as the service tells it.
 * @param best the first path, which others are compared with.
 * @param kind send or receive: which amount is the answer.
 * @param at place in the list.
 */
export function way(path, best, kind, at) {
  const assets = [assetOf(path, "source_"), ...path.path.map((asset) => assetOf(asset)), assetOf(path, "destination_")];
  const amounts = new Map([[0, ["pay", path.source_amount]], [assets.length - 1, ["get", path.destination_amount]]]);
  const open = kind === "send" ? "destination_amount" : "source_amount";
  return element("li", { class: at === 0 ? "way best" : "way" },
    element("p", { class: "way-head" },
      element("span", { class: "rank" }, at === 0 ? "Best" : `${at + 1}.`),
      element("span", { class: "quiet" }, count(assets.length - 1, "exchange")),
      at === 0 ? null : element("span", { class: "worse" }, compared(path[open], best[open], kind))),
    element("ol", { class: "line" }, ...assets.map((asset, place) => stop(asset, amounts.get(place)))));
}

function stop(asset, ends) {
  return element("li", { class: `stop tint-${tint(asset)}` },
    element("span", { class: "station", "aria-hidden": "true" }),
    element("span", { class: "stop-text" },
      ends ? element("span", { class: "amount-line" }, element("span", { class: "verb" }, ends[0]), " ",
        element("span", { class: "amount" }, units(stroops(ends[1])))) : element("span", { class: "amount-line verb" }, "over"),
      assetLabel(asset)));
}

/** How much less arrives, or more is paid, than on the best way. */
function compared(mine, best, kind) {
  const [own, first] = [stroops(mine), stroops(best)];
  if (own === first) return "the same amount";
  const percent = first === 0n ? 0 : Math.abs(Number(((own - first) * 1_000_000n) / first)) / 10_000;
  const shown = percent < 0.01 ? "less than 0.01 %" : `${percent.toFixed(percent < 1 ? 2 : 1)} %`;
  return kind === "send" ? `${shown} less arrives` : `${shown} more to pay`;
}
