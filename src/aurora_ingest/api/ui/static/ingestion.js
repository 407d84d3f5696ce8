// The view on ingestion: the ledger, who writes it, how fast, and whether all is well.

import { byId, element, keyed, put, say, set, show } from "./dom.js";
import { add, newest, perMinute } from "./rate_chart.js";
import { askPage } from "./service.js";
import { SILENT, standingOf } from "./standing.js";
import { ago, count, duration, grouped } from "./wording.js";
import { watch } from "./watch.js";

const OUTCOMES = {
  sound: ["good", "sound"],
  mismatch: ["bad", "differs from the archive"],
  failed: ["warn", "could not be judged"],
  cancelled: ["quiet", "was broken off"],
};

let facts = null;
let readingCommits = false;

export function start() {
  watch.addEventListener("standing", ({ detail }) => {
    facts = detail;
    tell();
    readCommits();
  });
  // Times pass between two looks at the database.
  setInterval(() => { if (facts && !document.hidden) tellTimes(); }, 1000);
}

async function readCommits() {
  if (readingCommits || document.hidden) return;
  if (facts.last_ledger !== null && facts.last_ledger <= newest()) return;
  readingCommits = true;
  try {
    const after = newest();
    const { document: found } = await askPage("commits", { after, limit: 200 });
    add(found.commits);
    tellTimes();
  } catch {
    // The next look at the database tells what is wrong.
  } finally {
    readingCommits = false;
  }
}

function tell() {
  const standing = standingOf(facts);
  const notice = byId("ingestion-notice");
  show(notice, standing.detail !== null);
  if (standing.detail !== null) {
    set(notice, { "data-tone": standing.tone });
    put(notice, element("strong", {}, `${standing.text}.`), " ", standing.detail);
  }
  const building = facts.last_ledger === null && facts.unfinished.length > 0;
  say(byId("hero-label"), building ? "Building the state at ledger" : "Ledger");
  const shown = building ? facts.unfinished[0].checkpoint : facts.last_ledger;
  say(byId("hero-ledger"), shown === null ? "none yet" : grouped(shown));
  set(byId("hero-ledger"), { "data-faint": shown === null });
  tellTimes();
  tellFacts();
  tellNodes();
}

/** Seconds by the database's clock when it was asked, and what has passed since. */
const passed = (seconds) => seconds + (performance.now() - facts.readAt) / 1000;

function tellTimes() {
  const { seconds_since_close: close, seconds_since_commit: commit } = facts;
  say(byId("hero-closed"), close === null ? "not known" : ago(passed(close)));
  set(byId("hero-closed"), { title: facts.closed_at });
  say(byId("hero-committed"), commit === null ? "never followed" : ago(passed(commit)));
  say(byId("hero-leader"), facts.leader ?? "nobody");
  const rate = perMinute();
  say(byId("hero-rate"), rate === null ? "–" : `${rate.toFixed(rate < 100 ? 1 : 0)} a minute`);
}

function tellFacts() {
  const version = facts.version === null ? "none" : String(facts.version);
  const rows = [
    ["Version", facts.version === facts.current_version
      ? mark("good", version) : mark("warn", `${version}; this service shows ${facts.current_version}`)],
    ["State", facts.last_ledger === null ? mark("quiet", "none yet")
      : facts.state_invalid ? mark("bad", "found wrong, waits for a rebuild") : mark("good", "valid")],
    ["Verifier", verifier()],
    ["History", history()],
    ["Builds", facts.unfinished.length === 0 ? mark("quiet", "none unfinished") : stacked(facts.unfinished.map((build) =>
      mark(build.seconds_silent > SILENT ? "warn" : "quiet",
        `checkpoint ${grouped(build.checkpoint)}, ${count(build.units, "unit")}, heard of ${ago(build.seconds_silent)}`)))],
    ["Ledger’s hash", facts.ledger_hash === null ? mark("quiet", "none yet") : element("code", {}, facts.ledger_hash)],
  ];
  keyed(byId("facts"), rows, ([name]) => name,
    ([name]) => element("div", {}, element("dt", {}, name), element("dd", {})),
    (row, [, told]) => put(row.lastElementChild, told));
}

function verifier() {
  if (facts.verified.length === 0) return mark("quiet", "has compared nothing yet");
  return stacked(facts.verified.map((note) => {
    const [tone, words] = OUTCOMES[note.outcome] ?? ["quiet", note.outcome];
    const detail = note.detail ? `: ${note.detail}` : "";
    return mark(tone, `checkpoint ${grouped(note.checkpoint)} ${words}, ${ago(note.seconds_ago)} by ${note.node}, took ${duration(note.seconds)}${detail}`);
  }));
}

function history() {
  if (!facts.gaps_known) return mark("quiet", "too long to look for gaps from here; aurora-ingest status does");
  const tables = Object.entries(facts.gaps);
  if (tables.length === 0) return mark("good", "no gaps");
  return stacked(tables.map(([table, ranges]) => {
    const shown = ranges.slice(0, 3).join(", ");
    return mark("warn", `${table} lacks ledgers ${shown}${ranges.length > 3 ? ` and ${count(ranges.length - 3, "more range")}` : ""}`);
  }));
}

function tellNodes() {
  const nodes = [...facts.nodes].sort((a, b) => a.node.localeCompare(b.node));
  show(byId("nodes-empty"), nodes.length === 0);
  say(byId("nodes-empty"), "No node follows this database. aurora-ingest follow starts one; any number may run beside each other.");
  const front = Math.max(facts.last_ledger ?? 0, ...nodes.map((node) => node.position ?? 0));
  keyed(byId("nodes"), nodes, (node) => node.node,
    () => element("li", {}, element("p", { class: "node-name" }), element("p", { class: "node-facts" })),
    (item, node) => {
      const gone = node.seconds_silent > SILENT;
      const behind = front - (node.position ?? 0);
      const place = node.position === null ? "before its first ledger"
        : behind === 0 ? `at ledger ${grouped(node.position)}` : `at ledger ${grouped(node.position)}, ${grouped(behind)} behind`;
      const told = [place, `version ${node.version}`, node.led === null ? "has led none yet" : `last led ${grouped(node.led)}`];
      put(item.firstElementChild, mark(gone ? "bad" : behind > 64 ? "warn" : "good", node.node),
        ...(node.node === facts.leader && !gone ? [element("span", { class: "badge" }, "leads")] : []),
        ...(gone ? [element("span", { class: "badge", "data-tone": "bad" }, `silent for ${duration(node.seconds_silent)}`)] : []));
      say(item.lastElementChild, told.join(" · "));
    });
}

/** A fact with a sign for how good it is, whose shape differs as well as its colour. */
function mark(tone, text) {
  return element("span", { class: "mark", "data-tone": tone },
    element("span", { class: "sign", "aria-hidden": "true" }), element("span", {}, text));
}

function stacked(marks) {
  return element("div", { class: "stack" }, ...marks);
}
