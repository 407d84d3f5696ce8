// Where ingestion stands, asked again and again for all views: quickly while all is well, slowly while it is not.

import { askPage } from "./service.js";

const EVERY = 1500;
const SLOWEST = 15_000;

/** Tells `standing` with the facts, `lost` and `back`. */
export const watch = new EventTarget();

let wait = EVERY;
let lostSince = null;
let last = null;
let timer = null;

export const lastStanding = () => last;

export function start() {
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(0); });
  look();
}

function soon(milliseconds) {
  clearTimeout(timer);
  timer = setTimeout(look, milliseconds);
}

async function look() {
  clearTimeout(timer);
  try {
    const { document: facts } = await askPage("status");
    last = { ...facts, readAt: performance.now() };
    wait = EVERY;
    if (lostSince !== null) {
      lostSince = null;
      watch.dispatchEvent(new CustomEvent("back"));
    }
    watch.dispatchEvent(new CustomEvent("standing", { detail: last }));
  } catch (error) {
    lostSince ??= new Date();
    wait = Math.min(wait * 2, SLOWEST);
    watch.dispatchEvent(new CustomEvent("lost", { detail: { error, since: lostSince } }));
  }
  if (!document.hidden) soon(wait);
}
