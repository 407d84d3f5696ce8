// Asking the service, and what can come of it.

const API = new URL("../", document.baseURI);
const PAGE = new URL("data/", document.baseURI);
const PATIENCE = 15_000;

/** The service answered, and says what is wrong. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? `The service answered with status ${status}.`);
    this.status = status;
    this.title = document.title ?? `Status ${status}`;
    this.kind = String(document.type ?? "").split("/").pop();
    this.field = document.extras?.invalid_field ?? null;
    this.reason = document.extras?.reason ?? null;
  }
}

/** The service did not answer at all, or with something that is not its own. */
export class Unreachable extends Error {}

/** A resource of the service itself. */
export const ask = (path, parameters, signal) => answered(new URL(path, API), parameters, signal);

/** A fact that only this page needs. */
export const askPage = (path, parameters, signal) => answered(new URL(path, PAGE), parameters, signal);

async function answered(address, parameters = {}, signal = undefined) {
  for (const [name, value] of Object.entries(parameters)) address.searchParams.set(name, value);
  const limits = [AbortSignal.timeout(PATIENCE)];
  if (signal) limits.push(signal);
  let response;
  let document;
  try {
    response = await fetch(address, { headers: { Accept: "application/json" }, signal: AbortSignal.any(limits) });
    document = await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable("The service does not answer.", { cause: error });
  }
  if (!response.ok) throw new Problem(response.status, document);
  return { document, ledger: Number(response.headers.get("Latest-Ledger")) || null };
}

/** Whether a failed call was only taken back because a newer one was made. */
export const wasTakenBack = (error, signal) => signal.aborted && !(error instanceof Problem);
