// How things are called on the page: assets, times, numbers of things.

import { element } from "./dom.js";

const TINTS = 8;

export const count = (number, one, many = `${one}s`) => `${grouped(number)} ${number === 1 ? one : many}`;

export const grouped = (number) => number.toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");

/** 0.34 s, 12 s, 3 min, 5 h, 2 days. */
export function duration(seconds) {
  if (seconds < 1) return `${Math.max(seconds, 0).toFixed(2)} s`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  if (seconds < 63_072_000) return `${Math.round(seconds / 86_400)} days`;
  return `${Math.round(seconds / 31_536_000)} years`;
}

/** Time that has passed, to the second. */
export const ago = (seconds) => (seconds < 1.5 ? "just now" : `${duration(Math.round(seconds))} ago`);

export function assetParts(name) {
  if (name === "native") return { code: "native", issuer: "" };
  const [code, issuer = ""] = name.split(":");
  return { code, issuer };
}

export const shortIssuer = (issuer) => `${issuer.slice(0, 4)}…${issuer.slice(-4)}`;

export const assetCode = (name) => assetParts(name).code;

/** The asset of fields such as `source_asset_type`, `source_asset_code`, `source_asset_issuer`. */
export function assetOf(fields, prefix = "") {
  if (fields[`${prefix}asset_type`] === "native") return "native";
  return `${fields[`${prefix}asset_code`]}:${fields[`${prefix}asset_issuer`]}`;
}

/** Parameters that name an asset as the service reads them. */
export function assetParameters(name, prefix) {
  const { code, issuer } = assetParts(name);
  if (name === "native") return { [`${prefix}asset_type`]: "native" };
  const kind = code.length <= 4 ? "credit_alphanum4" : "credit_alphanum12";
  return { [`${prefix}asset_type`]: kind, [`${prefix}asset_code`]: code, [`${prefix}asset_issuer`]: issuer };
}

/** An asset as it is shown everywhere: a dot of its own tint, the code, the issuer's ends. */
export function assetLabel(name) {
  const { code, issuer } = assetParts(name);
  return element("span", { class: "asset", title: name },
    element("span", { class: `dot tint-${tint(name)}`, "aria-hidden": "true" }),
    element("span", { class: "code" }, code),
    issuer ? element("span", { class: "issuer" }, shortIssuer(issuer)) : null);
}

export function tint(name) {
  let hash = 0x811c9dc5; // FNV-1a
  for (const letter of name) hash = Math.imul(hash ^ letter.codePointAt(0), 0x01000193);
  return (hash >>> 16) % TINTS;
}
