// The page as a whole: which view is shown, and how the service is.

import { announce, byId, say, set, show } from "./dom.js";
import * as ingestion from "./ingestion.js";
import * as orderBook from "./order_book.js";
import * as paths from "./paths.js";
import { standingOf } from "./standing.js";
import { start as startWatch, watch } from "./watch.js";

const VIEWS = {
  ingestion: { title: "Ingestion", opened: () => {} },
  "order-book": { title: "Order book", opened: orderBook.opened },
  paths: { title: "Payment paths", opened: paths.opened },
};

let shownView = null;
let shownKind = null;

/** Where the address leads: `#/order-book?base=…&counter=…`. */
function place() {
  const [, name = "", query = ""] = /^#\/([^?]*)\??(.*)$/.exec(location.hash) ?? [];
  return { name: name in VIEWS ? name : "ingestion", parameters: new URLSearchParams(query) };
}

function route() {
  const { name, parameters } = place();
  for (const view of Object.keys(VIEWS)) show(byId(`view-${view}`), view === name);
  for (const link of document.querySelectorAll("[data-view]")) {
    set(link, { "aria-current": link.dataset.view === name ? "page" : null });
  }
  document.title = `${VIEWS[name].title} · aurora-ingest`;
  VIEWS[name].opened(parameters);
  // Someone who chose another view goes on reading at its heading; at the start the focus is the browser's.
  if (shownView !== null && shownView !== name) {
    byId(`view-${name}`).querySelector("h1").focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
  shownView = name;
}

function tellStanding(kind, tone, text) {
  set(byId("standing"), { "data-tone": tone });
  say(byId("standing-text"), text);
  if (kind !== shownKind && (shownKind !== null || tone === "bad" || tone === "warn")) announce(text);
  shownKind = kind;
}

watch.addEventListener("standing", ({ detail: facts }) => {
  const { kind, tone, text } = standingOf(facts);
  document.body.classList.remove("stale");
  tellStanding(kind, tone, text);
  say(byId("network"), facts.network_passphrase ?? "");
});
watch.addEventListener("lost", ({ detail: { since } }) => {
  document.body.classList.add("stale");
  const clock = since.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  tellStanding("lost", "bad", `The service has not answered since ${clock}; trying again`);
});

// The address of this page is its view: the link of those who skip the heading is no view.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
window.addEventListener("hashchange", route);
ingestion.start();
orderBook.start();
paths.start();
route();
startWatch();
