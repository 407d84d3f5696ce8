// The view on one pair's order book: now, and after ledgers before.

import { sidesOf, spreadOf, swapped } from "./book_sides.js";
import { showDepth } from "./depth_chart.js";
import { announce, byId, element, put, say, set, show } from "./dom.js";
import { price, shortUnits, stroops } from "./exact.js";
import { onSelect, showHistory } from "./history_chart.js";
import { showLevels } from "./levels_table.js";
import { picker } from "./picker.js";
import { ask, askPage, Problem, wasTakenBack } from "./service.js";
import { lastStanding, watch } from "./watch.js";
import { assetCode, assetLabel, assetParameters, grouped } from "./wording.js";

const MOST_BOOKS = 240;

/** `{ base, counter }` that is shown, null before one is chosen. */
let pair = null;
let now = null;
let kept = null;
let books = [];
/** Ledger of a book before, null while the view stands at now. */
let past = null;
let call = null;
let isOpen = false;
/** Whether the service refused the pair itself: asking again would change nothing. */
let isRefused = false;

const field = picker({
  input: byId("pair-input"),
  list: byId("pair-options"),
  name: "Pairs of assets",
  only: true,
  async load(text, signal) {
    const { document: found } = await askPage("pairs", { search: text, limit: 40 }, signal);
    const nothing = found.all === 0 ? "No offer and no pool is there at this ledger" : "No pair with that name";
    return { items: found.pairs, more: found.found - found.pairs.length, nothing };
  },
  render: (found) => [
    element("span", { class: "pair" }, assetLabel(found.base), element("span", { class: "slash", "aria-hidden": "true" }, "/"), assetLabel(found.counter)),
    element("span", { class: "quiet" }, [offers(found.asks + found.bids), ...(found.pool ? ["pool"] : [])].join(" · ")),
  ],
  pick: (found) => go(found.base, found.counter),
});

const offers = (number) => (number === 0 ? "no offers" : number === 1 ? "1 offer" : `${grouped(number)} offers`);

export function start() {
  onSelect(select);
  byId("pair-swap").addEventListener("click", () => go(pair.counter, pair.base));
  byId("history-ledger").addEventListener("input", (event) => select(Number(event.target.value)));
  byId("history-live").addEventListener("click", () => {
    select(books.length - 1);
    byId("history-ledger").focus();
    announce("The book as it is now");
  });
  watch.addEventListener("standing", ({ detail: facts }) => {
    if (isOpen && !isRefused && (now === null || facts.last_ledger !== now.ledger)) refresh();
  });
  window.addEventListener("hashchange", () => { isOpen = location.hash.startsWith("#/order-book"); });
}

/** Shows the pair of the address; without one, the pair with most offers. */
export function opened(parameters) {
  isOpen = true;
  const [base, counter] = [parameters.get("base"), parameters.get("counter")];
  if (base && counter) choose(base, counter);
  else if (pair !== null) go(pair.base, pair.counter, true);
  else refresh();
}

function go(base, counter, instead = false) {
  const hash = `#/order-book?${new URLSearchParams({ base, counter })}`;
  if (instead) location.replace(hash);
  else location.hash = hash;
}

function choose(base, counter) {
  if (pair?.base === base && pair.counter === counter) return;
  [pair, now, kept, books, past] = [{ base, counter }, null, null, [], null];
  isRefused = false;
  call?.abort();
  call = null;
  field.settle(`${assetCode(base)} / ${assetCode(counter)}`);
  show(byId("pair-swap"));
  put(byId("pair-name"), assetLabel(base), element("span", { class: "slash" }, "in"), assetLabel(counter));
  refresh();
}

async function refresh() {
  if (call !== null || document.hidden) return;
  const mine = new AbortController();
  call = mine;
  set(byId("view-order-book"), { "aria-busy": now === null });
  try {
    if (pair === null) await chooseFirst(mine.signal);
    else await read(mine.signal);
    if (!mine.signal.aborted) show(byId("book-notice"), false);
  } catch (error) {
    if (!wasTakenBack(error, mine.signal)) refused(error);
  } finally {
    if (call === mine) call = null;
    set(byId("view-order-book"), { "aria-busy": null });
  }
}

async function chooseFirst(signal) {
  const { document: found } = await askPage("pairs", { limit: 1 }, signal);
  if (signal.aborted) return;
  show(byId("book-empty"), found.pairs.length === 0);
  say(byId("book-empty"), `At ledger ${grouped(found.ledger)} there is no offer and no pool, so no two assets can be exchanged. The first offer appears here by itself.`);
  call = null;
  if (found.pairs.length > 0 && isOpen) go(found.pairs[0].base, found.pairs[0].counter, true);
}

async function read(signal) {
  const { base, counter } = pair;
  const question = { ...assetParameters(base, "selling_"), ...assetParameters(counter, "buying_"), limit: 200 };
  const [{ document: book, ledger }, pool, { document: history }] = await Promise.all([
    ask("order_book", question, signal),
    ask("liquidity_pools", { reserves: `${base},${counter}`, limit: 1 }, signal),
    askPage("order_book_history", { base, counter, after: books.at(-1)?.ledger ?? 0 }, signal),
  ]);
  if (signal.aborted) return;
  const first = now === null;
  now = { ledger: ledger ?? lastStanding()?.last_ledger ?? 0, sides: sidesOf(book), pool: poolOf(pool.document, base) };
  kept = history.kept;
  const more = history.books.map((each) => (history.base === base ? each : swapped(each)));
  books = [...books, ...more.map((each) => ({ ledger: each.ledger, sides: sidesOf(each), pool: each.pool }))].slice(-MOST_BOOKS);
  if (past !== null && !books.some((each) => each.ledger === past)) past = null;
  show(byId("book-empty"), false);
  show(byId("book"));
  tell();
  if (first) announce(`Order book of ${assetCode(base)} in ${assetCode(counter)} at ledger ${now.ledger}`);
}

function poolOf(document, base) {
  const reserves = document._embedded.records[0]?.reserves;
  if (!reserves) return null;
  const turned = reserves[0].asset !== base;
  return { base: reserves[turned ? 1 : 0].amount, counter: reserves[turned ? 0 : 1].amount };
}

/** Goes to a book before; the last one is the book as it is now. */
function select(at) {
  if (books.length === 0) return;
  past = at >= books.length - 1 ? null : books[at].ledger;
  tell();
}

function tell() {
  const at = past === null ? books.length - 1 : books.findIndex((book) => book.ledger === past);
  const shown = past === null ? now : books[at];
  const codes = { base: assetCode(pair.base), counter: assetCode(pair.counter) };
  set(byId("book"), { "data-past": past !== null });
  say(byId("book-when"), past === null ? `at ledger ${grouped(now.ledger)}` : `as it was after ledger ${grouped(past)}`);
  tellFigures(shown, codes);
  showDepth(shown.sides, codes);
  showLevels(shown.sides, codes);
  tellHistory(at, codes);
}

function tellFigures({ sides, pool }, codes) {
  const best = (levels) => (levels.length === 0 ? "none" : price(levels[0].n, levels[0].d));
  say(byId("best-bid"), best(sides.bids));
  say(byId("best-ask"), best(sides.asks));
  const spread = spreadOf(sides);
  say(byId("spread"), spread === null ? "–"
    : spread.n < 0n ? "crossed" : `${price(spread.n, spread.d)} · ${spread.percent.toFixed(spread.percent < 1 ? 2 : 1)} %`);
  say(byId("pool"), pool === null ? "none"
    : `${shortUnits(stroops(pool.base))} ${codes.base} + ${shortUnits(stroops(pool.counter))} ${codes.counter}`);
}

function tellHistory(at, codes) {
  show(byId("history"), books.length > 0);
  show(byId("history-empty"), books.length === 0);
  if (books.length === 0) {
    say(byId("history-caption"), "");
    say(byId("history-empty"), kept === null
      ? "No history of order books is kept here. Nodes write it with aurora-ingest follow --order-book-depth 20; aurora-ingest write-order-books fills in ledgers before."
      : `Nothing has changed between ${codes.base} and ${codes.counter} in the ledgers that are kept, ${grouped(kept.first)} to ${grouped(kept.last)}.`);
    return;
  }
  say(byId("history-caption"), `best bid and best ask in ${codes.counter}, ledgers ${grouped(books[0].ledger)} to ${grouped(now.ledger)}`);
  const { sides } = books[at];
  const best = (levels) => (levels.length === 0 ? "none" : price(levels[0].n, levels[0].d));
  const since = past === null ? "Now, and since" : "After";
  const told = `${since} ledger ${grouped(books[at].ledger)}: bid ${best(sides.bids)}, ask ${best(sides.asks)}`;
  const slider = byId("history-ledger");
  set(slider, { max: books.length - 1, "aria-valuetext": told });
  if (Number(slider.value) !== at) slider.value = String(at);
  say(byId("history-output"), told);
  byId("history-live").disabled = past === null;
  showHistory(books, past === null ? null : at, now.ledger);
}

function refused(error) {
  const notice = byId("book-notice");
  const ingesting = error instanceof Problem && error.status === 503;
  const words = error instanceof Problem && error.field !== null ? `${error.field}: ${error.reason}` : error.message;
  isRefused = error instanceof Problem && error.status < 500;
  show(notice);
  if (now === null) show(byId("book"), false);
  set(notice, { "data-tone": ingesting ? "warn" : "bad" });
  put(notice, element("strong", {}, ingesting ? "Not there yet." : "This book cannot be shown."), " ", words,
    ...(isRefused ? [" Choose another pair above."] : [" It is tried again by itself."]));
}
