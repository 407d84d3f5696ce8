// One sentence on how ingestion stands, from the facts of the database.

import { ago, count, duration, grouped } from "./wording.js";

/** Seconds without a word after which a node counts as gone; nodes speak up every few seconds. */
export const SILENT = 30;

/**
 * Returns `{ kind, tone, text, detail }`; tone is good, quiet, warn or bad, detail is null or what to know and do.
 */
export function standingOf(facts) {
  const { last_ledger: ledger, version, current_version: wanted, unfinished, nodes } = facts;
  if (facts.state_invalid) {
    return told("invalid", "bad", `The state at ledger ${grouped(ledger ?? 0)} was found wrong`,
      "It differs from the history archive and is not shown until it has been rebuilt. A following node does that by itself; without one, run aurora-ingest build-state.");
  }
  if (ledger === null && unfinished.length > 0) {
    const build = unfinished[0];
    const progress = `${count(build.units, "unit")} done, builder heard of ${ago(build.seconds_silent)}.`;
    return told("building", "warn", `Still ingesting: the state at ledger ${grouped(build.checkpoint)} is being built`,
      `${progress} Order book and paths are there as soon as it is published.`);
  }
  if (ledger === null) {
    return told("empty", "warn", "Still ingesting: there is no state yet",
      "Nobody builds one at the moment. Start aurora-ingest follow, or aurora-ingest build-state for a single checkpoint.");
  }
  if (version !== wanted) {
    return told("version", "warn", `The state is of version ${version}; this service shows version ${wanted}`,
      "It is shown as soon as a node of this version has rebuilt it.");
  }
  if (nodes.length === 0) return told("alone", "quiet", `Stands at ledger ${grouped(ledger)}; no node follows`, null);
  const quietest = Math.min(...nodes.map((node) => node.seconds_silent));
  if (quietest > SILENT) {
    return told("silent", "bad", `No node has been heard of for ${duration(quietest)}`,
      `The state stays exact at ledger ${grouped(ledger)}, but nobody moves it on. Start aurora-ingest follow again.`);
  }
  const gone = nodes.filter((node) => node.seconds_silent > SILENT);
  if (gone.length > 0) {
    const names = gone.map((node) => node.node).join(", ");
    return told("following", "warn", `Following; ${names} ${gone.length === 1 ? "is" : "are"} silent`, null);
  }
  return told("following", "good", `Following with ${count(nodes.length, "node")}`, null);
}

const told = (kind, tone, text, detail) => ({ kind, tone, text, detail });
