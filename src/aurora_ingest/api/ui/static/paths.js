// The path finder: what is sent is fixed or what arrives is, and the ways between are drawn as lines with stops.

import { byId, element, put, say, set, show, announce } from "./dom.js";
import { fitsInt64, stroops } from "./exact.js";
import { picker } from "./picker.js";
import { ask, askPage, Problem, wasTakenBack } from "./service.js";
import { way } from "./way.js";
import { assetCode, assetLabel, assetParameters, count, grouped } from "./wording.js";
import { watch } from "./watch.js";

const ASSET = /^(native|[A-Za-z0-9]{1,12}:G[A-Z2-7]{55})$/;

let call = null;
let answer = null;
const FIELDS = ["source", "destination", "amount"];

const fields = Object.fromEntries(["source", "destination"].map((side) => [side, picker({
  input: byId(`${side}-input`),
  list: byId(`${side}-options`),
  name: "Assets",
  async load(text, signal) {
    const { document: found } = await askPage("assets", { search: text, limit: 40 }, signal);
    return { items: found.assets, more: found.found - found.assets.length, nothing: "No asset that is traded has that name" };
  },
  render: (found) => [assetLabel(found.asset), element("span", { class: "quiet" }, count(found.pairs, "pair"))],
  pick: (found) => {
    fields[side].settle(found.asset);
    complain(side, null);
  },
})]));

export function start() {
  byId("paths-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const question = judged();
    if (question === null) return;
    const hash = `#/paths?${new URLSearchParams(question)}`;
    if (location.hash === hash) find(question);
    else location.hash = hash;
  });
  for (const radio of document.querySelectorAll("[name=kind]")) radio.addEventListener("change", label);
  for (const field of FIELDS) byId(`${field}-input`).addEventListener("input", () => complain(field, null));
  byId("paths-again").addEventListener("click", () => find(answer.question));
  watch.addEventListener("standing", ({ detail: facts }) => {
    if (answer !== null) tellAge(facts.last_ledger);
  });
}

/** Takes a search from the address. */
export function opened(parameters) {
  const asked = Object.fromEntries(["kind", "source", "destination", "amount"].map((name) => [name, parameters.get(name) ?? ""]));
  if (!parameters.has("kind")) return;
  document.querySelector(`[name=kind][value=${asked.kind === "receive" ? "receive" : "send"}]`).checked = true;
  label();
  fields.source.settle(asked.source);
  fields.destination.settle(asked.destination);
  byId("amount-input").value = asked.amount;
  const question = judged();
  if (question !== null) find(question);
}

const kind = () => document.querySelector("[name=kind]:checked").value;

function label() {
  say(byId("amount-label"), kind() === "send" ? "Amount to send" : "Amount to arrive");
}

/** Reads the form; null if something in it cannot be, which is then told and focused. */
function judged() {
  const [source, destination, amount] = ["source", "destination", "amount"].map((name) => byId(`${name}-input`).value.trim());
  const number = stroops(amount);
  const wrong = {
    source: judgedAsset(source, "What do you pay with?"),
    destination: judgedAsset(destination, "What should arrive?"),
    amount: amount === "" ? "How much?"
      : number === null ? "Write a number with at most 7 decimals, as in 12.5"
        : number === 0n ? "The amount has to be above 0"
          : fitsInt64(number) ? null : "The largest amount is 922337203685.4775807",
  };
  for (const [name, words] of Object.entries(wrong)) complain(name, words);
  const first = Object.keys(wrong).find((name) => wrong[name] !== null);
  if (first === undefined) return { kind: kind(), source, destination, amount };
  byId(`${first}-input`).focus();
  announce(wrong[first]);
  return null;
}

function judgedAsset(text, missing) {
  if (text === "") return missing;
  return ASSET.test(text) ? null : "Choose one of the list, or write native or CODE:ISSUER with an issuer of 56 letters and digits";
}

function complain(name, words) {
  const place = byId(`${name}-error`);
  show(place, words !== null);
  say(place, words ?? "");
  set(byId(`${name}-input`), { "aria-invalid": words === null ? null : "true" });
}

function asked({ kind: fixed, source, destination, amount }) {
  return fixed === "send"
    ? ["paths/strict-send", { ...assetParameters(source, "source_"), source_amount: amount, destination_assets: destination }]
    : ["paths/strict-receive", { ...assetParameters(destination, "destination_"), destination_amount: amount, source_assets: source }];
}

async function find(question) {
  call?.abort();
  const mine = new AbortController();
  call = mine;
  set(byId("paths-submit"), { "aria-disabled": "true" });
  say(byId("paths-submit"), "Searching…");
  set(byId("paths-result"), { "aria-busy": "true" });
  try {
    const { document: found, ledger } = await ask(...asked(question), mine.signal);
    if (mine.signal.aborted) return;
    answer = { question, ledger, paths: found._embedded.records };
    show(byId("paths-notice"), false);
    tell();
  } catch (error) {
    if (!wasTakenBack(error, mine.signal)) refused(error);
  } finally {
    if (call === mine) {
      call = null;
      set(byId("paths-submit"), { "aria-disabled": null });
      say(byId("paths-submit"), "Find paths");
      set(byId("paths-result"), { "aria-busy": null });
    }
  }
}

function tell() {
  const { question, ledger, paths } = answer;
  const none = paths.length === 0;
  const words = none ? "No path" : count(paths.length, "path");
  say(byId("paths-count"), words);
  say(byId("paths-when"), `exact at ledger ${grouped(ledger)}`);
  show(byId("paths-again"), false);
  show(byId("paths-result"));
  show(byId("paths-none"), none);
  if (none) tellNothing(question);
  byId("ways").replaceChildren(...paths.map((path, at) => way(path, paths[0], question.kind, at)));
  announce(`${words} at ledger ${ledger}`);
}

function tellNothing({ kind: fixed, source, destination, amount }) {
  const side = fixed === "send" ? source : destination;
  put(byId("paths-none"), `Nobody exchanges ${amount} ${assetCode(side)} that way: no chain of at most five offers and pools leads from `,
    assetLabel(source), " to ", assetLabel(destination), ", or what stands on it does not suffice. A smaller amount may go through.");
}

/** A book that has moved on may give another answer; what people read is not taken from under their eyes. */
function tellAge(ledger) {
  show(byId("paths-again"), ledger !== null && answer.ledger !== null && ledger > answer.ledger);
}

function refused(error) {
  const side = error instanceof Problem && error.field !== null
    ? FIELDS.find((name) => error.field.includes(name === "amount" ? "_amount" : `${name}_asset`)) : undefined;
  show(byId("paths-result"), false);
  answer = null;
  if (side !== undefined) {
    show(byId("paths-notice"), false);
    complain(side, error.reason);
    byId(`${side}-input`).focus();
    announce(error.reason);
    return;
  }
  const notice = byId("paths-notice");
  const waits = error instanceof Problem && (error.status === 503 || error.status === 504);
  show(notice);
  set(notice, { "data-tone": waits ? "warn" : "bad" });
  put(notice, element("strong", {}, error instanceof Problem ? `${error.title}.` : "No answer."), " ", error.message,
    ...(error.reason ? [` ${error.field}: ${error.reason}`] : []));
  announce(error.message);
}
